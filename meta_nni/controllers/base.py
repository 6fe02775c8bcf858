"""What every controller is: a function from a history to the next configs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from meta_nni.trial import History, Run, Suggestion

__all__ = ["Controller"]


class Controller(Protocol):
    """Decides which configs to try next.

    A controller keeps no state besides what it learned from earlier runs: `propose` is a
    function of the history, the generator and those weights, so that resuming a run and
    replaying it are free. It is called by one thread at a time and never touches a store.
    """

    def learn(self, run: Run, sources: Sequence[History], rng: np.random.Generator) -> None:
        """Learns from earlier runs; called once, before the first `propose` of a run.

        Args:
            run: The run to come: its task and its space.
            sources: Earlier runs, of any task and space; may be empty.
            rng: The only source of randomness.
        """
        ...

    def propose(self, history: History, count: int, rng: np.random.Generator) -> list[Suggestion]:
        """Proposes configs that no trial of the history has.

        Args:
            history: The run so far. Pending trials count as tried.
            count: How many to propose, at least 1.
            rng: The only source of randomness.

        Returns:
            `count` suggestions, all different; fewer only if the space is exhausted.
        """
        ...

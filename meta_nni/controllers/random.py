"""Random search: the reference that every other controller must beat."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from meta_nni.controllers.fresh import draw_fresh, tried_keys
from meta_nni.trial import History, Run, Suggestion

__all__ = ["RandomController"]


class RandomController:
    """Draws every parameter from its own distribution (Bergstra & Bengio 2012)."""

    def learn(self, run: Run, sources: Sequence[History], rng: np.random.Generator) -> None:
        """Learns nothing."""

    def propose(self, history: History, count: int, rng: np.random.Generator) -> list[Suggestion]:
        """See `Controller.propose`."""
        space, seen = history.run.space, tried_keys(history)
        drawn = [draw_fresh(space, seen, rng) for _ in range(count)]
        return [
            Suggestion(config, source="random", why="drawn at random")
            for config in drawn
            if config is not None
        ]

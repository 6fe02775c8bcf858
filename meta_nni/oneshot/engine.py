"""What a one-shot method is to the search that runs it: epochs, and a state to save."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np

from meta_nni.trial import Config

__all__ = ["Engine", "Score"]


class Score(NamedTuple):
    """What a config reached with the shared weights of the moment.

    Attributes:
        config: The config.
        accuracy: Share of rows that were classified rightly, 0 to 1.
        rows: How many rows of the validation half were looked at.
    """

    config: Config
    accuracy: float
    rows: int


class Engine(Protocol):
    """The live part of a search.

    Attributes:
        stopped: Why the search should not go on; None while it should.
    """

    stopped: str | None

    @property
    def variables(self) -> list[Any]:
        """All Keras variables that an epoch depends on."""
        ...

    @property
    def facts(self) -> dict[str, Any]:
        """All else that an epoch depends on, as JSON; can be set to what it once was."""
        ...

    @facts.setter
    def facts(self, facts: dict[str, Any]) -> None: ...

    def epoch(self, number: int, rate: float, rng: np.random.Generator) -> list[Score]:
        """Trains for one pass over the training half.

        Args:
            number: Of the epoch, from 0.
            rate: Learning rate of the shared weights.
            rng: Source of all randomness.

        Returns:
            What was scored; the last is the config that the search would end with now,
            on all rows.
        """
        ...

    def finish(self, rng: np.random.Generator) -> list[Score]:
        """Chooses the config to end with: the last of the returned scores."""
        ...

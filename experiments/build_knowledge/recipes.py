"""How the shipped knowledge is measured.

A changed recipe needs a new name: values of different recipes do not compare.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MAX_MEMORY_BYTES", "RECIPES", "Recipe"]

MAX_MEMORY_BYTES = 4 * 2**30
"""Resident memory above which a candidate is killed, and has failed."""


@dataclass(frozen=True)
class Recipe:
    """A training recipe, and how many configs of each task to measure with it.

    Attributes:
        name: Recorded with every row.
        configs: Configs per task.
        epochs: Most epochs.
        patience: Epochs without a better value after which training stops.
        samples: Most training rows, the fifth of them to validate on included.
        batch_size: Rows per step.
        max_parameters: Larger models fail before training.
        max_seconds: Processor seconds; then the best epoch so far counts.
    """

    name: str
    configs: int
    epochs: int
    patience: int
    samples: int = 2000
    batch_size: int = 32
    max_parameters: int = 5_000_000
    max_seconds: float = 60.0

    @property
    def budget(self) -> dict[str, float]:
        """What a row says it was allowed to spend."""
        return {
            "epochs": float(self.epochs),
            "samples": float(self.samples),
            "seconds": self.max_seconds,
            "parameters": float(self.max_parameters),
        }


RECIPES = {
    "image": Recipe("autokeras-image-v1", configs=40, epochs=5, patience=3),
    "text": Recipe("autokeras-text-v1", configs=40, epochs=6, patience=3),
    "tabular": Recipe("autokeras-tabular-v1", configs=80, epochs=25, patience=6),
}
"""The recipe of each kind of data."""

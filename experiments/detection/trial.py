"""One trial: the detector of a config, trained on pictures of playing cards."""

from __future__ import annotations

import time
from pathlib import Path

from meta_nni import run_trial
from meta_nni.models import KerasEvaluator

__all__ = ["cards", "evaluator"]


def cards(folder: Path) -> dict[str, str]:
    """Where the cards are."""
    cards = folder / "cards"
    return {
        "coco": str(cards / "train.json"),
        "images": str(cards),
        "test": str(cards / "test.json"),
    }


def evaluator(data: dict[str, str], seed: int = 0) -> KerasEvaluator:
    """How trials train: 60 epochs, or as many as three minutes of the processor allow."""
    return KerasEvaluator(
        "detection",
        data=data,
        epochs=60,
        patience=60,  # the rate falls over all epochs: the last are the best
        max_seconds=180,
        clock=time.process_time,
        seed=seed,
    )


if __name__ == "__main__":
    run_trial(evaluator(cards(Path())))

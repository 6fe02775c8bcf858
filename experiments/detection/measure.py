"""Measures the best detector of a search against what needs no learning.

    python -m experiments.detection.measure --store FILE.db [--seed 1] [--repeats 3]

Trains the best config again, with several seeds, exports it, and measures the exported model on
the test pictures, which no trial saw. Beside it: the same network before training, and boxes
that know classes only (of each class its mean box, with its share of boxes as the score).
Writes `results.md`, `predictions.jpg` and the trials as measured, `trials.jsonl`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from experiments.detection.run import HERE
from experiments.detection.trial import cards, evaluator
from meta_nni import ExperienceStore
from meta_nni.data import load_data
from meta_nni.models.detection.builder import build
from meta_nni.models.detection.drawing import draw_boxes
from meta_nni.models.detection.metrics import average_precision
from meta_nni.models.problem import Problem
from meta_nni.trial import Config, History

__all__ = ["main", "prior_boxes", "untrained_boxes"]

Array = npt.NDArray[Any]

_SHOWN = 16  # pictures


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, and writes what was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--store", type=Path, required=True, help="of experiments.detection.run")
    parser.add_argument("--seed", type=int, default=1, help="of the search")
    parser.add_argument("--repeats", type=int, default=3, help="trainings of the best config")
    options = parser.parse_args(arguments)
    store = ExperienceStore.open(options.store, create=False)
    history = store.history(f"detection-{options.seed}")
    if history.best is None:
        raise SystemExit(f"no trial of the search {history.run.run_id!r} has a value yet")
    store.export(HERE / "trials.jsonl", [history.run.run_id])
    config = history.best.config
    problem, test = evaluator(cards(HERE)).problem, load_data(cards(HERE), "test")
    y_test = problem.encode(test.y, test.classes)
    pictures = (problem.x_val, test.x)
    rows = [
        ("boxes of class priors", *(prior_boxes(problem, len(x)) for x in pictures)),
        ("untrained weights", *(untrained_boxes(config, problem, x) for x in pictures)),
    ]
    for seed in range(options.repeats):
        model = _trained(config, seed)
        boxes = [model.predict(x, verbose=0) for x in pictures]
        rows.append((f"best config, seed {seed}", *boxes))
        print(rows[-1][0], average_precision(y_test, boxes[1]), flush=True)
    (HERE / "results.md").write_text(_report(history, rows, problem.y_val, y_test), "utf-8")
    shown, found = slice(_SHOWN), rows[2][2]
    names = [str(name) for name in problem.classes]
    draw_boxes(test.x[shown], found[shown], names, HERE / "predictions.jpg", y_test[shown])


def prior_boxes(problem: Problem, count: int) -> Array:
    """Of each class its mean box, scored by its share of boxes, for `count` pictures.

    Returns:
        Class, score, x1, y1, x2, y2, float32 [count, classes, 6].
    """
    boxes = problem.y[problem.y[..., 0] >= 0]
    priors = [
        [label, np.mean(boxes[:, 0] == label), *boxes[boxes[:, 0] == label, 1:].mean(axis=0)]
        for label in np.unique(boxes[:, 0])
    ]
    return np.tile(np.array(priors, np.float32), (count, 1, 1))


def untrained_boxes(config: Config, problem: Problem, x: Array) -> Array:
    """What a config's network finds in pictures x before training."""
    keras.utils.set_random_seed(0)
    candidate = build(config, problem, epochs=1, batch_size=1)
    return candidate.predict(candidate.transform(x))


def _trained(config: Config, seed: int) -> keras.Model:
    """Trains a config and returns the exported model, from bytes to boxes."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "detector.keras"
        evaluator(cards(HERE), seed).export(config, file)
        return keras.models.load_model(file)


def _report(
    history: History, rows: Sequence[tuple[str, Array, Array]], y_val: Array, y_test: Array
) -> str:
    best = history.best
    assert best is not None
    ended = [trial for trial in history.trials if trial.result is not None]
    values = [f"{trial.value:.3f}" if trial.value is not None else "failed" for trial in ended]
    lines = [
        "# Detectors of playing cards, measured",
        "",
        f"`python -m experiments.detection.run --seed {history.run.run_id.split('-')[-1]}` and "
        "`python -m experiments.detection.measure` (a number of one machine; other versions of "
        "TensorFlow round otherwise).",
        "",
        f"{len(ended)} trials; mAP@0.5 on {len(y_val)} validation pictures, in order: "
        f"{', '.join(values)}. Best: trial {best.number}, {best.value:.3f}.",
        "",
        f"| boxes | validation mAP@0.5 | @[.5:.95] | test mAP@0.5 ({len(y_test)} pictures) "
        "| @[.5:.95] |",
        "|---|---|---|---|---|",
    ]
    for name, validation, test in rows:
        measured = [average_precision(y_val, validation), average_precision(y_test, test)]
        numbers = [f"{m[key]:.3f}" for m in measured for key in ("map_50", "map_50_95")]
        lines.append(f"| {name} | {' | '.join(numbers)} |")
    config = json.dumps(best.config, indent=2)
    return "\n".join([*lines, "", "The best config:", "", "```json", config, "```", ""])


if __name__ == "__main__":
    main()

"""The tasks, their rows, and the knowledge that is left when a task is taken out of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from meta_nni.data import load_data
from meta_nni.knowledge import Provenance
from meta_nni.models.problem import stratified_rows
from meta_nni.trial import History

__all__ = ["EPOCHS", "TASKS", "Rows", "kind_of", "left_out", "load_rows", "sources_without"]

Array = npt.NDArray[Any]

TASKS: dict[str, tuple[str, ...]] = {
    "tabular": ("vehicle", "german_credit", "image_segment", "phoneme"),
    "text": ("snips_intents", "subjectivity", "review_site"),
    "image": ("sklearn_digits", "fashion_mnist", "sign_digits"),
}
"""Names of data sets by kind. Chosen before anything was measured: classification, unlike one
another, enough rows, cheap to train on, and not all of them easy."""

EPOCHS = {"tabular": 10, "text": 4, "image": 4}
"""Most epochs of a trial."""

_MAX_TEST_ROWS = 2_000


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """What a search is given, and the rows that it is judged by. Axes: N and T rows.

    Attributes:
        x: Training rows, the last fifth of which AutoKeras validates on, [N, ...].
        y: Their labels, [N].
        x_test: Test rows, which no tuner sees, [T, ...].
        y_test: Their labels, [T].
    """

    x: Array
    y: Array
    x_test: Array
    y_test: Array


def kind_of(task: str) -> str:
    """The kind of a task's data.

    Raises:
        ValueError: The task is none of `TASKS`.
    """
    for kind, names in TASKS.items():
        if task in names:
            return kind
    raise ValueError(f"task is {task!r}, expected one of {sum(TASKS.values(), ())}")


def load_rows(data: Path, task: str, seed: int, samples: int | None = None) -> Rows:
    """Draws the rows of one replication: the same for every arm.

    Args:
        data: Folder of the data sets: `<kind>/<task>.npz`.
        task: One of `TASKS`.
        seed: Which training rows, and their order.
        samples: Most training rows, drawn so that each class keeps its share; None is all.
    """
    rng = np.random.default_rng([seed, len(task), *task.encode()])
    file = {"npz": str(data / kind_of(task) / f"{task}.npz")}
    train, test = load_data(file), load_data(file, "test")
    assert train.classes is not None
    assert test.classes is not None
    count = len(train.y) if samples is None else min(samples, len(train.y))
    rows = rng.permutation(stratified_rows(train.y, count, rng))
    kept = slice(_MAX_TEST_ROWS)
    labels = train.classes[train.y[rows]], test.classes[test.y[kept]]
    return Rows(train.x[rows], labels[0], test.x[kept], labels[1])


def left_out(task: str, knowledge: Sequence[History], index: Sequence[dict[str, Any]]) -> set[str]:
    """Names of what shares rows or origin with a task, itself included.

    Args:
        task: One of `TASKS`.
        knowledge: Runs that name their data set and their relatives.
        index: Entries of the data sets' index, which names relatives too.
    """
    own = [h.run for h in knowledge if Provenance.of(h.run).data_set == task]
    shared = [each["shares"] for each in index if each["name"] == task]
    return {task}.union(*(run.extra.get("shares", ()) for run in own), *shared)


def sources_without(task: str, knowledge: Sequence[History], data: Path) -> list[History]:
    """The runs of `knowledge` that know nothing of a task's rows or their origin.

    Args:
        task: One of `TASKS`.
        knowledge: Such as `meta_nni.knowledge.shipped_knowledge()`.
        data: Folder of the data sets, with `index.json`.
    """
    names = left_out(task, knowledge, json.loads((data / "index.json").read_text("utf-8")))
    return [
        history
        for history in knowledge
        if not names & {history.run.task.name, str(Provenance.of(history.run).data_set)}
    ]

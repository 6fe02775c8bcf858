"""What all trials of a task share: the rows to fit and the rows to validate on.

The validation rows come from the training split and are the same for every trial of a
task, whatever the trial's own seed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from meta_nni.data import Kind, Target, load_data

__all__ = ["Problem", "load_problem", "stratified_rows"]

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """Rows to fit and rows to validate on, of one kind. Axes: N rows to fit, V to validate.

    Attributes:
        kind: What x is, such as "image".
        target: What y is: "classification", "regression" or "detection".
        x: The rows to fit, [N, ...] as in `meta_nni.data.Dataset`.
        y: Their targets: int64 [N], codes 0 .. classes - 1 into `classes`; float64 [N] for
            regression; boxes float32 [N, M, 5] of detection, as in `Dataset`.
        x_val: The rows to validate on, [V, ...].
        y_val: Their targets, [V].
        classes: The labels among the taken rows, in the order of their codes; empty for
            regression.
        is_categorical: Which columns of a table hold codes of categories, bool [columns];
            None if unknown or not a table.
    """

    kind: Kind
    target: Target
    x: Array
    y: Array
    x_val: Array
    y_val: Array
    classes: Array
    is_categorical: Array | None = None

    @property
    def num_outputs(self) -> int:
        """Outputs of a network: one per class, or the one number of a regression."""
        return max(len(self.classes), 1)

    def encode(self, y: Array, classes: Array | None) -> Array:
        """Turns the targets of another split, with its classes, into this problem's codes.

        Labels that no row of the problem has get the code -1.
        """
        if classes is None:
            return y
        codes = {label: code for code, label in enumerate(self.classes.tolist())}
        table = np.array([codes.get(label, -1) for label in classes.tolist()], np.int64)
        if self.target != "detection":
            return table[y]
        known = np.append(table, -1)[y[..., :1].astype(np.int64)]  # padding has the code -1
        return np.where(known >= 0, np.concatenate([known, y[..., 1:]], -1), -1).astype(np.float32)


def load_problem(
    data: Mapping[str, Any],
    samples: int | None = None,
    validation_fraction: float = 0.2,
    seed: int = 0,
) -> Problem:
    """Loads the training split of `data` and divides it.

    Args:
        data: Where the data is, such as `{"npz": file}`; see `meta_nni.data.load_data`.
        samples: Most rows to take, validation rows included; None takes all.
        validation_fraction: Share of the taken rows to validate on, above 0 and below 1.
        seed: Seed of the choice of rows.

    Raises:
        ValueError: One of the two parts, or all classes but one, are left without rows.
    """
    dataset = load_data(data)
    rng = np.random.default_rng(seed)
    rows = np.arange(len(dataset.y))
    if samples is not None and samples < len(rows):
        rows = stratified_rows(_strata(dataset.y), samples, rng)
    x, y = dataset.x[rows], dataset.y[rows]
    drawable = _drawable(dataset.target, _strata(y))
    num_val = round(validation_fraction * len(drawable))
    if not 0 < num_val < len(rows):
        raise ValueError(
            f"validation_fraction {validation_fraction} of {len(drawable)} rows leaves {num_val} "
            "to validate on; expected at least one row there and one to fit"
        )
    classes: Array = np.empty(0)
    if dataset.classes is not None and dataset.target == "detection":
        classes = dataset.classes
    elif dataset.classes is not None:
        present, y = np.unique(y, return_inverse=True)
        classes = dataset.classes[present]
        if len(classes) < 2:
            raise ValueError(f"{len(rows)} samples hold the class {classes[0]} only; take more")
    val = drawable[stratified_rows(_strata(y[drawable]), num_val, rng)]
    fit = rng.permutation(np.setdiff1d(np.arange(len(y)), val))
    flags = dataset.is_categorical
    return Problem(dataset.kind, dataset.target, x[fit], y[fit], x[val], y[val], classes, flags)


def _strata(y: Array) -> Array:
    """One number per row to stratify by: of boxes [N, M, 5] the class of the first."""
    return y[:, 0, 0] if y.ndim == 3 else y


def _drawable(target: Target, strata: Array) -> Array:
    """The rows that may be validated on: without the only one of a class, which is fitted."""
    if target == "regression":
        return np.arange(len(strata))
    _, codes, counts = np.unique(strata, return_inverse=True, return_counts=True)
    return np.flatnonzero(counts[codes] > 1)


def stratified_rows(y: Array, count: int, rng: np.random.Generator) -> Array:
    """Draws `count` different rows that keep the distribution of `y`, classes or numbers.

    Systematic sampling: rows are ordered by y, at random among equals, and taken at equal
    steps from a random start, so each class keeps its share to within one row.

    Args:
        y: Targets, shape (N,).
        count: How many rows to draw, 1 .. N.
        rng: Source of randomness.

    Returns:
        Indices of the drawn rows, int64 [count].
    """
    order = np.lexsort((rng.random(len(y)), y))
    steps = (np.arange(count) + rng.random()) * (len(y) / count)
    rows: Array = order[steps.astype(np.int64)]
    return rows

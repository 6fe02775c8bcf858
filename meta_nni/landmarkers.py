"""Landmarkers: how well very simple learners do on a task, as a measure of its difficulty.

Pfahringer, Bensusan and Giraud-Carrier (2000), "Meta-learning by landmarking various
learning algorithms". Every learner here fits a target matrix, shape (rows, K): one-hot
for K classes, one column for regression, so that one ridge and one tree serve both.
Array axes: n training rows, m held-out rows, F features, K targets.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

__all__ = ["LANDMARKERS", "Floats", "Learner", "bayes", "linear", "nearest", "skill", "tree"]

Floats = NDArray[np.float64]
Learner = Callable[[Floats, Floats, Floats], Floats]
"""Fits x (n, F) and y (n, K), returns predictions (m, K) for held-out rows (m, F)."""

_PENALTIES = (0.01, 1.0)
"""Of the rows' mean squared length."""

_UNTHREADED_ROWS = 128

_TREE_FEATURES = 256
_TREE_BINS = 16
_TREE_MIN_ROWS = 5


def skill(
    learner: Learner, x: Floats, y: Floats, folds: NDArray[np.int64], *, numbers: bool = False
) -> float | None:
    """Returns the cross-validated skill of a learner.

    Args:
        learner: What to fit and ask.
        x: Features, float64, (n, F).
        y: Targets, float64, (n, K): one-hot classes, or columns of numbers.
        folds: The fold in which each row is held out, int64, (n,).
        numbers: Whether several columns are numbers; a single one always is.

    Returns:
        The share of what a constant prediction leaves that the learner explains, within
        -1..1: R2 for numbers, `(accuracy - a) / (1 - a)` for classes, where a is the
        largest class's share. None if all targets are equal.
    """
    predicted = np.empty_like(y)
    for fold in np.unique(folds):
        held_out = folds == fold
        predicted[held_out] = learner(x[~held_out], y[~held_out], x[held_out])
    if numbers or y.shape[1] == 1:
        left = float(((predicted - y) ** 2).sum())
        baseline = float(((y - y.mean(axis=0)) ** 2).sum())
    else:
        left = float((predicted.argmax(axis=1) != y.argmax(axis=1)).mean())
        baseline = 1.0 - float(y.mean(axis=0).max())
    return max(-1.0, min(1.0, 1.0 - left / baseline)) if baseline > 1e-12 else None


def nearest(x: Floats, y: Floats, held_out: Floats) -> Floats:
    """Predicts the target of the nearest row by Euclidean distance."""
    distances = (x**2).sum(axis=1) - 2.0 * held_out @ x.T
    found: Floats = y[distances.argmin(axis=1)]
    return found


def linear(x: Floats, y: Floats, held_out: Floats) -> Floats:
    """Ridge regression in its dual form; of two penalties the better one left one out.

    With `P = inv(X X' + a I)` the weights of the rows are `d = P y`, and a row's
    leave-one-out error is `d_i / P_ii` (Cawley and Talbot 2004).
    """
    x_mean, y_mean = x.mean(axis=0), y.mean(axis=0)
    centred = x - x_mean
    is_wide = x.shape[0] <= x.shape[1]
    small = centred @ centred.T if is_wide else centred.T @ centred
    found = []
    for share in _PENALTIES:
        penalty = share * float(small.trace()) / len(x) + 1e-12
        inverse = _inverse(small + penalty * np.eye(len(small)))
        if not is_wide:  # Woodbury: the same P from the smaller matrix.
            inverse = (np.eye(len(x)) - centred @ inverse @ centred.T) / penalty
        dual = inverse @ (y - y_mean)
        found.append((float(((dual / inverse.diagonal()[:, None]) ** 2).sum()), dual))
    _, dual = min(found, key=lambda pair: pair[0])
    predicted: Floats = (held_out - x_mean) @ (centred.T @ dual) + y_mean
    return predicted


def _inverse(matrix: Floats) -> Floats:
    """Returns the inverse of a symmetric positive definite matrix.

    Halved until small, by Schur complements, so that the work is matrix products: threaded
    factorisations of the whole slow down tenfold where other processes use the cores.
    """
    if len(matrix) <= _UNTHREADED_ROWS:
        return np.asarray(np.linalg.inv(matrix))
    half = len(matrix) // 2
    first = _inverse(matrix[:half, :half])
    mixed = first @ matrix[:half, half:]
    second = _inverse(matrix[half:, half:] - matrix[half:, :half] @ mixed)
    corner = -mixed @ second
    return np.block([[first - corner @ mixed.T, corner], [corner.T, second]])


def bayes(x: Floats, y: Floats, held_out: Floats) -> Floats:
    """Gaussian naive Bayes for one-hot targets; log posterior up to a constant.

    A tenth of the mean variance is added to each variance: without it a pixel that never
    varies within a class decides alone.
    """
    counts = np.maximum(y.sum(axis=0), 1e-9)[:, None]
    mean = y.T @ x / counts
    variance = np.maximum(y.T @ x**2 / counts - mean**2, 0.0) + 0.1 * x.var(axis=0).mean() + 1e-12
    distance = (held_out**2) @ (1.0 / variance).T - 2.0 * held_out @ (mean / variance).T
    constant = (mean**2 / variance + np.log(variance)).sum(axis=1)
    posterior: Floats = np.log(counts[:, 0]) - 0.5 * (distance + constant)
    return posterior


def tree(x: Floats, y: Floats, held_out: Floats, depth: int = 4) -> Floats:
    """Regression tree on the targets, by histograms of the most variable features.

    The loss is the squared error summed over targets, which for one-hot targets is the
    Gini impurity (Breiman et al. 1984).
    """
    chosen = np.argsort(-x.var(axis=0), kind="stable")[:_TREE_FEATURES]
    x, held_out = x[:, chosen], held_out[:, chosen]
    quantiles = np.linspace(0, 1, _TREE_BINS + 1)[1:-1]
    cuts = np.quantile(x, quantiles, axis=0, method="higher")
    bins = (x[None] >= cuts[:, None]).sum(axis=0)
    held_bins = (held_out[None] >= cuts[:, None]).sum(axis=0)
    predicted = np.empty((len(held_out), y.shape[1]))
    _grow(bins, y, held_bins, np.arange(len(held_out)), predicted, depth)
    return predicted


def stump(x: Floats, y: Floats, held_out: Floats) -> Floats:
    """A tree of one split."""
    return tree(x, y, held_out, depth=1)


def _grow(
    bins: NDArray[Any],
    y: Floats,
    held_bins: NDArray[Any],
    held_rows: NDArray[Any],
    predicted: Floats,
    depth: int,
) -> None:
    """Splits a node until `depth` is used up, and writes the leaves' means for held-out rows."""
    split = _best_split(bins, y) if depth and len(y) >= 2 * _TREE_MIN_ROWS else None
    if split is None:
        predicted[held_rows] = y.mean(axis=0)
        return
    feature, cut = split
    for side in (0, 1):
        rows = (bins[:, feature] > cut) == side
        held = (held_bins[:, feature] > cut) == side
        _grow(bins[rows], y[rows], held_bins[held], held_rows[held], predicted, depth - 1)


def _best_split(bins: NDArray[Any], y: Floats) -> tuple[int, int] | None:
    """Returns the feature and the last bin of the lower side that explain most, or None."""
    rows, features = bins.shape
    columns = (bins + np.arange(features) * _TREE_BINS).ravel()
    starts = np.arange(0, columns.size + 1, features)
    members = scipy.sparse.csr_array((np.ones(columns.size), columns, starts))
    members.resize(rows, features * _TREE_BINS)
    lower = (members.T @ np.column_stack([np.ones(rows), y])).reshape(features, _TREE_BINS, -1)
    lower = lower.cumsum(axis=1)[:, :-1]
    upper = np.append(rows, y.sum(axis=0)) - lower
    size = np.minimum(lower[..., 0], upper[..., 0])
    with np.errstate(divide="ignore", invalid="ignore"):
        explained = (lower[..., 1:] ** 2).sum(axis=-1) / lower[..., 0]
        explained += (upper[..., 1:] ** 2).sum(axis=-1) / upper[..., 0]
    explained = np.where(size >= _TREE_MIN_ROWS, explained, -np.inf)
    best = int(explained.argmax())
    unsplit = float((y.sum(axis=0) ** 2).sum()) / rows
    if explained.flat[best] <= unsplit * (1.0 + 1e-9) + 1e-12:
        return None
    return best // (_TREE_BINS - 1), best % (_TREE_BINS - 1)


LANDMARKERS: dict[str, Learner] = {
    "landmark_nearest": nearest,
    "landmark_linear": linear,
    "landmark_bayes": bayes,
    "landmark_stump": stump,
    "landmark_tree": tree,
}
"""The learners by the name of their metafeature, in the order in which they run."""

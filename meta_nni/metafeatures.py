"""Computes a task's metafeatures from its training rows.

Every kind of data is turned into one matrix of features (pixels, standardised columns,
hashed words), on which redundancy and difficulty are measured alike, so that tasks of
different kinds can be compared. `meta_nni.task.METAFEATURES` says what each number means.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse.linalg
import scipy.spatial.distance
from numpy.typing import NDArray

from meta_nni.data import Dataset
from meta_nni.landmarkers import LANDMARKERS, Floats, Learner, bayes, skill
from meta_nni.metafeatures_rows import READERS, Features, skewness, standardise

__all__ = ["compute_metafeatures"]

# Fixed sizes, never adapted to measured time: the same data always gives the same numbers.
_ROWS = 1_000
_DUPLICATE_ROWS = 10_000
_FOLDS = 4
_CORRELATED = 256


def compute_metafeatures(
    dataset: Dataset,
    rng: np.random.Generator,
    seconds: float = 5.0,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> Features:
    """Returns the metafeatures of a task.

    Sizes and targets are counted on all rows, the rest on at most 1,000 rows drawn with
    `rng` (duplicates: 10,000), so that the same data and the same generator state give the
    same numbers. Redundancy and landmarkers are groups that can be left out: before each
    of them the clock is read, and once `seconds` are used up this and all later groups are
    missing from the answer (and masked in the embedding). What does not apply (the height
    of a text, naive Bayes in regression) is missing as well.

    Args:
        dataset: Training rows.
        rng: Draws the rows and the folds; always the same number of draws.
        seconds: Time budget; a group that has begun is finished.
        clock: Returns seconds; for tests.

    Returns:
        Finite numbers by name, a subset of `METAFEATURES`. Sequences and pictures with boxes
        are described by the same names: a sequence's width is its steps and its channels are
        the features of a step; classes are those of boxes, and landmarkers guess the class of
        a picture's largest box, or its place and size where there is one class. They
        have further ones, which do not enter the embedding: `steps`, `boxes_per_image`,
        `box_area_mean` and `_std`, of shares of the picture, and `box_aspect_mean` and `_std`,
        of the binary logarithm of width by height in pixels.
    """
    deadline = clock() + seconds
    total = len(dataset.y)
    rows = np.sort(rng.permutation(total)[:_DUPLICATE_ROWS])
    sample = np.sort(rng.permutation(total)[:_ROWS])
    y = _row_targets(dataset)[sample]
    folds = _draw_folds(y, rng)
    x, found = READERS[dataset.kind](dataset, sample)
    found |= _kind(dataset) | _target(dataset)
    problem = _problem(dataset, sample, x, y, folds)
    for group in _groups(dataset, rows, x, problem):
        if clock() >= deadline:
            break
        found |= group()
    return {name: float(value) for name, value in found.items() if np.isfinite(value)}


def _groups(
    dataset: Dataset,
    rows: NDArray[Any],
    x: Floats,
    problem: _Problem,
) -> Iterator[Callable[[], Features]]:
    """Yields what may be left out, the most telling first."""
    if len(np.unique(problem.folds)) > 1:
        for name, learner in LANDMARKERS.items():
            if not problem.numbers or learner is not bayes:
                yield partial(_landmark, name, learner, problem)
    yield partial(_redundancy, x)
    yield partial(_duplicates, dataset.x, rows)


def _landmark(name: str, learner: Learner, problem: _Problem) -> Features:
    value = skill(learner, problem.x, problem.y, problem.folds, numbers=problem.numbers)
    return {} if value is None else {name: value}


def _draw_folds(y: NDArray[Any], rng: np.random.Generator) -> NDArray[np.int64]:
    """Returns the fold of each row; each fold has its share of each class, or range of y."""
    order = np.lexsort((rng.random(len(y)), y))
    folds = np.empty(len(y), np.int64)
    folds[order] = np.arange(len(y)) % min(_FOLDS, len(y))
    return folds


def _kind(dataset: Dataset) -> Features:
    kinds = {f"kind_{kind}": float(dataset.kind == kind) for kind in ("image", "text", "tabular")}
    return {**kinds, "regression": float(dataset.target == "regression")}


def _target(dataset: Dataset) -> Features:
    total = len(dataset.y)
    if dataset.classes is None:
        return {"n_train": total, "target_skew": skewness(dataset.y)}
    codes = dataset.y
    if dataset.target == "detection":
        codes = dataset.y[..., 0][dataset.y[..., 0] >= 0].astype(np.int64)
    counts = np.bincount(codes)
    shares = counts[counts > 0] / len(codes)
    entropy = -(shares * np.log(shares)).sum() / np.log(max(len(shares), 2))
    return {
        "n_train": total,
        "n_classes": len(shares),
        "rows_per_class": len(codes) / len(shares),
        "class_entropy": entropy,
        "class_min_fraction": shares.min(),
        "class_max_fraction": shares.max(),
    }


def _row_targets(dataset: Dataset) -> NDArray[Any]:
    """Returns one target per row: of boxes the class of the largest, -1 where there is none."""
    if dataset.target != "detection":
        return dataset.y
    return _largest(dataset.y)[:, 0].astype(np.int64)


class _Problem(NamedTuple):
    """What landmarkers learn.

    Attributes:
        x: Features, (n, F).
        y: Numbers or one-hot classes, (n, K).
        folds: In which each row is held out, (n,).
        numbers: Whether they are numbers.
    """

    x: Floats
    y: Floats
    folds: NDArray[np.int64]
    numbers: bool


def _problem(
    dataset: Dataset,
    sample: NDArray[Any],
    x: Floats,
    y: NDArray[Any],
    folds: NDArray[np.int64],
) -> _Problem:
    if dataset.target == "regression":
        return _Problem(x, standardise(y)[:, None], folds, numbers=True)
    if dataset.target == "detection" and len(np.unique(y[y >= 0])) == 1:
        boxed = y >= 0
        places = _places(dataset.y[sample[boxed]])
        return _Problem(x[boxed], places, folds[boxed], numbers=True)
    return _Problem(x, np.asarray(y[:, None] == np.unique(y), np.float64), folds, numbers=False)


def _places(boxes: NDArray[Any]) -> Floats:
    """Centre and logarithm of the area of the largest of boxes (n, K, 5), standardised, (n, 3)."""
    x1, y1, x2, y2 = _largest(boxes).T[1:].astype(np.float64)
    numbers = (x1 + x2, y1 + y2, np.log((x2 - x1) * (y2 - y1)))
    return np.stack([standardise(each) for each in numbers], axis=1)


def _largest(boxes: NDArray[Any]) -> NDArray[Any]:
    """Returns each picture's largest box of (n, K, 5), padding where it has none, (n, 5)."""
    codes, x1, y1, x2, y2 = np.moveaxis(boxes, -1, 0)
    largest = np.where(codes >= 0, (x2 - x1) * (y2 - y1), -1.0).argmax(axis=1)
    found: NDArray[Any] = boxes[np.arange(len(boxes)), largest]
    return found


def _redundancy(x: Floats) -> Features:
    """Measures how much of the features (n, F) is said twice."""
    centred = x - x.mean(axis=0)
    gram = centred @ centred.T if x.shape[0] <= x.shape[1] else centred.T @ centred
    total = gram.trace()
    if total <= 1e-12:
        return {}
    first = _largest_eigenvalues(gram, 10)
    return {
        "pca_1_fraction": min(1.0, first.max() / total),
        "pca_10_fraction": min(1.0, first.sum() / total),
        "correlation": _mean_correlation(centred),
        "intrinsic_dimension": _intrinsic_dimension(x),
    }


def _largest_eigenvalues(gram: Floats, count: int) -> Floats:
    """Returns the largest `count` eigenvalues; a wide matrix is not decomposed as a whole."""
    size = len(gram)
    if size <= 4 * count:
        return np.asarray(np.linalg.eigvalsh(gram)[-count:])
    # ARPACK draws a random start unless it is given one.
    start = np.random.default_rng(0).standard_normal(size)
    found = scipy.sparse.linalg.eigsh(gram, count, v0=start, return_eigenvectors=False, tol=1e-6)
    return np.asarray(found, np.float64)


def _mean_correlation(centred: Floats) -> float:
    """Returns the mean absolute correlation among the most variable features."""
    scale = np.linalg.norm(centred, axis=0)
    kept = np.argsort(-scale, kind="stable")[:_CORRELATED]
    kept = kept[scale[kept] > 1e-12]
    if len(kept) < 2:
        return np.nan
    unit = centred[:, kept] / scale[kept]
    pairs = scipy.spatial.distance.squareform(unit.T @ unit, checks=False)
    return float(np.abs(pairs).mean())


def _intrinsic_dimension(x: Floats) -> float:
    """Estimates the dimension of the rows' manifold from two nearest distances.

    TwoNN (Facco et al. 2017): ratios of the second to the first distance follow a Pareto
    law whose exponent is the dimension; its maximum likelihood estimate is taken.
    """
    if len(x) < 3:
        return np.nan
    distances = scipy.spatial.distance.squareform(scipy.spatial.distance.pdist(x))
    np.fill_diagonal(distances, np.inf)
    first, second = np.partition(distances, 1, axis=1)[:, :2].T
    logs = np.log(second[first > 1e-9] / first[first > 1e-9])
    return float(len(logs) / logs.sum()) if logs.sum() > 1e-9 else np.nan


def _duplicates(x: NDArray[Any], rows: NDArray[Any]) -> Features:
    found = x[rows].tolist() if x.dtype.kind == "U" else (x[row].tobytes() for row in rows)
    return {"duplicate_fraction": 1.0 - len(set(found)) / len(rows)}

"""Computes a task's metafeatures from its training rows.

Every kind of data is turned into one matrix of features (pixels, standardised columns,
hashed words), on which redundancy and difficulty are measured alike, so that tasks of
different kinds can be compared. `meta_nni.task.METAFEATURES` says what each number means.
"""

from __future__ import annotations

import re
import time
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse.linalg
import scipy.spatial.distance
from numpy.typing import NDArray

from meta_nni.data import Dataset
from meta_nni.landmarkers import LANDMARKERS, Floats, Learner, bayes, skill

__all__ = ["compute_metafeatures"]

# Fixed sizes, never adapted to measured time: the same data always gives the same numbers.
_ROWS = 1_000
_DUPLICATE_ROWS = 10_000
_FOLDS = 4
_STATISTICS_SIDE = 32
_FEATURES_SIDE = 16
_TEXT_CHARACTERS = 5_000
_TEXT_BUCKETS = 1_024
_LEVELS = 32
_CORRELATED = 256

_WORD = re.compile(r"\w+")

Features = dict[str, float]


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
        Finite numbers by name, a subset of `METAFEATURES`.
    """
    deadline = clock() + seconds
    total = len(dataset.y)
    rows = np.sort(rng.permutation(total)[:_DUPLICATE_ROWS])
    sample = np.sort(rng.permutation(total)[:_ROWS])
    y = dataset.y[sample]
    folds = _draw_folds(y, rng)
    x, found = _READERS[dataset.kind](dataset, sample)
    found |= _kind(dataset) | _target(dataset)
    targets = _target_matrix(dataset, y)
    for group in _groups(dataset, rows, x, targets, folds):
        if clock() >= deadline:
            break
        found |= group()
    return {name: float(value) for name, value in found.items() if np.isfinite(value)}


def _groups(
    dataset: Dataset,
    rows: NDArray[Any],
    x: Floats,
    targets: Floats,
    folds: NDArray[np.int64],
) -> Iterator[Callable[[], Features]]:
    """Yields what may be left out, the most telling first."""
    if len(np.unique(folds)) > 1:
        for name, learner in LANDMARKERS.items():
            if dataset.target == "classification" or learner is not bayes:
                yield partial(_landmark, name, learner, x, targets, folds)
    yield partial(_redundancy, x)
    yield partial(_duplicates, dataset.x, rows)


def _landmark(
    name: str, learner: Learner, x: Floats, targets: Floats, folds: NDArray[np.int64]
) -> Features:
    value = skill(learner, x, targets, folds)
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
        return {"n_train": total, "target_skew": _skew(dataset.y)}
    counts = np.bincount(dataset.y)
    shares = counts[counts > 0] / total
    entropy = -(shares * np.log(shares)).sum() / np.log(max(len(shares), 2))
    return {
        "n_train": total,
        "n_classes": len(shares),
        "rows_per_class": total / len(shares),
        "class_entropy": entropy,
        "class_min_fraction": shares.min(),
        "class_max_fraction": shares.max(),
    }


def _target_matrix(dataset: Dataset, y: NDArray[Any]) -> Floats:
    """Returns the sampled targets as the matrix that landmarkers fit, (n, K)."""
    if dataset.target == "regression":
        return _standardise(y)[:, None]
    return np.asarray(y[:, None] == np.unique(y), np.float64)


def _standardise(values: NDArray[Any]) -> Floats:
    """Returns a vector with mean 0 and variance 1; zeros if it does not vary."""
    scaled = values.astype(np.float64)
    # Scaled first: squares of very large or very small values would leave the range of floats.
    scaled = scaled / (np.abs(scaled).max(initial=0.0) or 1.0)
    centred = scaled - scaled.mean() if scaled.size else scaled
    spread = float(np.sqrt((centred**2).mean())) if scaled.size else 0.0
    return np.asarray(centred / spread if spread > 1e-12 else np.zeros_like(centred))


def _skew(values: NDArray[Any]) -> float:
    """Returns the skewness of a vector without missing values; 0 if it does not vary."""
    score = _standardise(values)
    return float((score * score * score).mean())


def _read_images(dataset: Dataset, sample: NDArray[Any]) -> tuple[Floats, Features]:
    images = dataset.x if dataset.x.ndim == 4 else dataset.x[..., None]
    height, width, channels = images.shape[1:]
    pixels = _in_range(_pool(images[sample], _STATISTICS_SIDE), dataset.x.dtype == np.uint8)
    flat = pixels.reshape(len(pixels), -1)
    features = {
        "n_features": height * width * channels,
        "height": height,
        "width": width,
        "channels": channels,
        "value_mean": flat.mean(),
        "value_std": flat.std(),
        "value_skew": _skew(flat.ravel()),
        "zero_fraction": (flat == 0).mean(),
        "constant_fraction": (np.ptp(flat, axis=0) == 0).mean(),
        "neighbour_correlation": _neighbour_correlation(pixels),
    }
    x = _pool(pixels, _FEATURES_SIDE).reshape(len(pixels), -1)
    return x.astype(np.float64), features


def _pool(images: NDArray[Any], side: int) -> NDArray[np.float32]:
    """Returns images (n, H, W, C) averaged over blocks so that no side exceeds `side`."""
    for axis in (1, 2):
        length = images.shape[axis]
        if length > side:
            starts = np.arange(0, length, -(-length // side))
            sizes = np.diff(np.append(starts, length)).astype(np.float32)
            sums = np.add.reduceat(images, starts, axis=axis, dtype=np.float32)
            images = sums / sizes.reshape([-1 if a == axis else 1 for a in range(4)])
    pooled: NDArray[np.float32] = np.asarray(images, np.float32)
    return pooled


def _in_range(pixels: NDArray[np.float32], is_byte: bool) -> NDArray[np.float32]:
    """Returns pixels scaled to 0..1; floats in 0..1 stay as they are."""
    if is_byte:
        return pixels / np.float32(255)
    low, high = pixels.min(), pixels.max()
    if low >= 0 and high <= 1:
        return pixels
    scaled: NDArray[np.float32] = (pixels - low) / (high - low or 1)
    return scaled


def _neighbour_correlation(pixels: NDArray[np.float32]) -> float:
    """Returns the mean correlation of pixels with their right and lower neighbours."""
    pairs = [
        (pixels[:, :, :-1], pixels[:, :, 1:]),
        (pixels[:, :-1], pixels[:, 1:]),
    ]
    with np.errstate(divide="ignore", invalid="ignore"):
        found = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in pairs if a.size > 1]
    return float(np.mean(found)) if found else np.nan


def _read_texts(dataset: Dataset, sample: NDArray[Any]) -> tuple[Floats, Features]:
    texts = dataset.x[sample].tolist()
    words = [_WORD.findall(text[:_TEXT_CHARACTERS].lower()) for text in texts]
    buckets = {
        word: zlib.crc32(word.encode("utf-8", "surrogatepass")) % _TEXT_BUCKETS
        for word in set().union(*words)
    }
    cells = [row * _TEXT_BUCKETS + buckets[word] for row, line in enumerate(words) for word in line]
    counts = np.bincount(np.array(cells, np.int64), minlength=len(texts) * _TEXT_BUCKETS)
    counts = counts.reshape(len(texts), _TEXT_BUCKETS)
    features = {
        "n_features": len(buckets),
        "words_per_text": np.mean([len(line) for line in words]),
        "characters_per_text": np.mean([len(text) for text in texts]),
        "zero_fraction": (counts == 0).mean(),
        "constant_fraction": (np.ptp(counts, axis=0) == 0).mean(),
    }
    return _tf_idf(counts), features


def _tf_idf(counts: NDArray[Any]) -> Floats:
    """Returns counts (n, F) weighted by rarity, each row of length 1."""
    rarity = np.log((1 + len(counts)) / (1 + (counts > 0).sum(axis=0)))
    x = np.log1p(counts) * rarity
    weighted: Floats = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    return weighted


def _read_table(dataset: Dataset, sample: NDArray[Any]) -> tuple[Floats, Features]:
    table = dataset.x[sample].astype(np.float64)
    columns = [column[~np.isnan(column)] for column in table.T]
    flags = dataset.is_categorical
    numeric = [i for i in range(len(columns)) if flags is None or not flags[i]]
    skews = [abs(_skew(columns[i])) for i in numeric if len(columns[i])]
    distinct = [len(np.unique(column)) for column in columns]
    shares = [count / len(column) for count, column in zip(distinct, columns, strict=True) if count]
    features = {
        "n_features": table.shape[1],
        "value_skew": np.mean(skews) if skews else np.nan,
        "zero_fraction": (table == 0).mean(),
        "constant_fraction": np.mean([count < 2 for count in distinct]),
        "distinct_fraction": np.mean(shares) if shares else np.nan,
        "missing_fraction": np.isnan(table).mean(),
        "categorical_fraction": np.nan if flags is None else flags.mean(),
    }
    blocks = [_column(table[:, i], i in numeric) for i in range(len(columns))]
    return np.concatenate(blocks, axis=1), features


def _column(column: Floats, is_numeric: bool) -> Floats:
    """Returns a column standardised (missing: the mean), or one-hot (missing: all zero)."""
    known = ~np.isnan(column)
    if is_numeric or not known.any():
        filled = np.zeros((len(column), 1))
        filled[known, 0] = np.clip(_standardise(column[known]), -5.0, 5.0)
        return filled
    levels, counts = np.unique(column[known], return_counts=True)
    levels = levels[np.argsort(-counts, kind="stable")[:_LEVELS]]
    return np.asarray(column[:, None] == levels, np.float64)


_READERS: dict[str, Callable[[Dataset, NDArray[Any]], tuple[Floats, Features]]] = {
    "image": _read_images,
    "text": _read_texts,
    "tabular": _read_table,
}


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

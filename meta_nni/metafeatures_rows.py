"""What each kind of data looks like: its sizes and values, and a matrix of features.

Readers take a data set and the numbers of the sampled rows, int64 (n,), and return features,
float64 (n, F), with the metafeatures that only this kind has. Axes: n sampled rows, F features.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meta_nni.data import Dataset
from meta_nni.landmarkers import Floats

__all__ = ["READERS", "Features", "box_features", "skewness", "standardise"]

# Fixed sizes, never adapted to measured time: the same data always gives the same numbers.
_STATISTICS_SIDE = 32
_FEATURES_SIDE = 16
_STEP_FEATURES = 1_024
_TEXT_CHARACTERS = 5_000
_TEXT_BUCKETS = 1_024
_LEVELS = 32

_WORD = re.compile(r"\w+")

Features = dict[str, float]


def standardise(values: NDArray[Any]) -> Floats:
    """Returns a vector with mean 0 and variance 1; zeros if it does not vary."""
    scaled = values.astype(np.float64)
    # Scaled first: squares of very large or very small values would leave the range of floats.
    scaled = scaled / (np.abs(scaled).max(initial=0.0) or 1.0)
    centred = scaled - scaled.mean() if scaled.size else scaled
    spread = float(np.sqrt((centred**2).mean())) if scaled.size else 0.0
    return np.asarray(centred / spread if spread > 1e-12 else np.zeros_like(centred))


def skewness(values: NDArray[Any]) -> float:
    """Returns the skewness of a vector without missing values; 0 if it does not vary."""
    score = standardise(values)
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
        "value_skew": skewness(flat.ravel()),
        "zero_fraction": (flat == 0).mean(),
        "constant_fraction": (np.ptp(flat, axis=0) == 0).mean(),
        "neighbour_correlation": _neighbour_correlation(pixels),
    }
    x = _pool(pixels, _FEATURES_SIDE).reshape(len(pixels), -1)
    return x.astype(np.float64), features


def _pool(images: NDArray[Any], side: int, axes: tuple[int, ...] = (1, 2)) -> NDArray[np.float32]:
    """Returns images (n, H, W, C) averaged over blocks so that no side exceeds `side`."""
    for axis in axes:
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
    found = [_correlation(a, b) for a, b in pairs if a.size > 1]
    return float(np.mean(found)) if found else np.nan


def _correlation(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Returns the correlation of two arrays; NaN if one does not vary or has one value."""
    if first.size < 2:
        return np.nan
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])


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
    skews = [abs(skewness(columns[i])) for i in numeric if len(columns[i])]
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
        filled[known, 0] = np.clip(standardise(column[known]), -5.0, 5.0)
        return filled
    levels, counts = np.unique(column[known], return_counts=True)
    levels = levels[np.argsort(-counts, kind="stable")[:_LEVELS]]
    return np.asarray(column[:, None] == levels, np.float64)


def _read_sequences(dataset: Dataset, sample: NDArray[Any]) -> tuple[Floats, Features]:
    """Steps are standardised per feature and averaged over blocks of time."""
    sequences = dataset.x[sample].astype(np.float64)
    steps, width = sequences.shape[1:]
    values = _share_of_range(sequences)
    features = {
        "n_features": steps * width,
        "steps": steps,
        "width": steps,
        "channels": width,
        "value_mean": values.mean(),
        "value_std": values.std(),
        "value_skew": skewness(sequences.ravel()),
        "zero_fraction": (sequences == 0).mean(),
        "constant_fraction": (np.ptp(sequences, axis=(0, 1)) == 0).mean(),
        "neighbour_correlation": _correlation(values[:, :-1], values[:, 1:]),
    }
    columns = [standardise(sequences[..., i].ravel()) for i in range(width)]
    scaled = np.clip(np.stack(columns, axis=-1), -5.0, 5.0).reshape(sequences.shape)
    blocks = min(_FEATURES_SIDE, max(1, _STEP_FEATURES // width))
    pooled = _pool(scaled[..., None], blocks, axes=(1,)).reshape(len(scaled), -1)
    return pooled.astype(np.float64), features


def _share_of_range(values: Floats) -> Floats:
    """Returns numbers scaled to 0..1; those in 0..1 stay as they are."""
    low, high = values.min(), values.max()
    if low >= 0 and high <= 1:
        return values
    scaled = values / max(abs(low), abs(high))  # first: a range may leave that of floats
    shares: Floats = (scaled - scaled.min()) / (np.ptp(scaled) or 1.0)
    return shares


def _read_pictures(dataset: Dataset, sample: NDArray[Any]) -> tuple[Floats, Features]:
    """Pictures with boxes are images, and the boxes have metafeatures of their own."""
    x, features = _read_images(dataset, sample)
    return x, features | box_features(dataset)


def box_features(dataset: Dataset) -> Features:
    """Returns the metafeatures of all boxes of a data set for detection."""
    boxes = dataset.y[dataset.y[..., 0] >= 0].astype(np.float64)
    height, width = dataset.x.shape[1:3]
    wide, high = boxes[:, 3] - boxes[:, 1], boxes[:, 4] - boxes[:, 2]
    aspects = np.log2(wide * width / (high * height))
    return {
        "boxes_per_image": len(boxes) / len(dataset.y),
        "box_area_mean": (wide * high).mean(),
        "box_area_std": (wide * high).std(),
        "box_aspect_mean": aspects.mean(),
        "box_aspect_std": aspects.std(),
    }


READERS: dict[str, Callable[[Dataset, NDArray[Any]], tuple[Floats, Features]]] = {
    "image": _read_images,
    "text": _read_texts,
    "tabular": _read_table,
    "sequence": _read_sequences,
    "detection": _read_pictures,
}
"""The reader of each kind."""

"""A multilayer perceptron of tables: `search_spaces/mlp.json`.

Preprocessing is part of the network: numbers are normalised, with a flag where one is
missing; categories are embedded, with vectors of their own for missing and unknown ones.
Axes: N rows, B batch, K columns, M of them numbers, C of them categories, W width.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import layers, ops

from meta_nni.models.heads import to_candidate
from meta_nni.models.problem import Problem
from meta_nni.models.training import Candidate
from meta_nni.trial import Config

__all__ = ["build"]

Array = npt.NDArray[Any]

_MOST_LABELS = 256  # of a column, the most frequent ones; others are unknown
_MISSING, _UNKNOWN, _FIRST = 0, 1, 2  # places in a column's embedding
_FARTHEST = 8.0  # standard deviations: one wild number must not decide a step


def build(config: Config, problem: Problem, epochs: int, batch_size: int) -> Candidate:
    """Builds the network of a config.

    Args:
        config: A config of `mlp`.
        problem: Tables [N, K], NaN where missing; labels or numbers. Without `is_categorical`
            all columns are numbers.
        epochs: Epochs of training.
        batch_size: Not used; the config has its own.
    """
    return to_candidate(config, problem, epochs, _network(config, problem), _to_floats)


def _to_floats(x: Array) -> Array:
    return x.astype(np.float32)


def _network(config: Config, problem: Problem) -> tuple[Any, Any]:
    """Its input float32 [B, K] and its features [B, W]."""
    x = _to_floats(problem.x)
    flags = problem.is_categorical
    flags = np.zeros(x.shape[1], bool) if flags is None else flags
    inputs = keras.Input((x.shape[1],))
    parts = []
    if not flags.all():
        parts += _numbers(config, inputs, x, np.flatnonzero(~flags))
    if flags.any():
        parts.append(_categories(config, inputs, x, np.flatnonzero(flags)))
    features = ops.concatenate(parts, axis=1) if len(parts) > 1 else parts[0]
    features = layers.Dense(config["width"])(features)
    for _ in range(config["depth"]):
        features = _block(config, features)
    return inputs, features


def _numbers(config: Config, inputs: Any, x: Array, columns: Array) -> list[Any]:
    """Normalised numbers [B, M], and flags for those of them that are missing somewhere."""
    known = np.ma.masked_invalid(x[:, columns].astype(np.float64))
    mean, variance = known.mean(axis=0).filled(0.0), known.var(axis=0).filled(1.0)
    normalize = layers.Normalization(mean=mean, variance=np.where(variance > 0, variance, 1.0))
    numbers = normalize(ops.take(inputs, columns, axis=1))
    missing = ops.isnan(numbers)
    numbers = ops.clip(ops.where(missing, 0.0, numbers), -_FARTHEST, _FARTHEST)
    if config["numbers"] == "logarithmic":
        numbers = ops.sign(numbers) * ops.log1p(ops.abs(numbers))
    gaps = np.flatnonzero(np.isnan(x[:, columns]).any(axis=0))
    return [numbers] + [ops.cast(ops.take(missing, gaps, axis=1), "float32")] * bool(len(gaps))


def _categories(config: Config, inputs: Any, x: Array, columns: Array) -> Any:
    """All columns' embeddings, one beside the other: [B, C * category_embedding]."""
    labels = [_labels(x[:, column]) for column in columns]
    table = np.full((len(labels), max(map(len, labels))), np.nan, np.float32)
    for row, own in zip(table, labels, strict=True):
        row[: len(own)] = own
    codes = ops.take(inputs, columns, axis=1)  # [B, C]
    same = ops.equal(ops.expand_dims(codes, 2), table)  # [B, C, labels]; NaN equals nothing
    place = _FIRST + ops.argmax(ops.cast(same, "int32"), axis=2)
    place = ops.where(ops.any(same, axis=2), place, _UNKNOWN)
    place = ops.where(ops.isnan(codes), _MISSING, place)
    starts = np.cumsum([0, *(_FIRST + len(own) for own in labels)])
    embed = layers.Embedding(int(starts[-1]), config["category_embedding"])
    return layers.Flatten()(embed(ops.cast(place, "int32") + starts[:-1].astype(np.int32)))


def _labels(column: Array) -> Array:
    """The labels of a column, without NaN, in their order: [labels], one at least."""
    labels, counts = np.unique(column[~np.isnan(column)], return_counts=True)
    if not len(labels):
        return np.zeros(1, np.float32)
    return np.sort(labels[np.argsort(-counts, kind="stable")[:_MOST_LABELS]])


def _block(config: Config, features: Any) -> Any:
    """[B, W] -> [B, W]."""
    block, width = config["block"], config["width"]
    drop = layers.Dropout(config["dropout"])
    if block["_name"] == "plain":
        output = _normalize(config, layers.Dense(width)(features))
        return drop(layers.Activation(block["activation"])(output))
    if block["_name"] == "gated":
        return drop(_normalize(config, _gated(width, features)))
    if block["_name"] == "residual":  # Gorishniy et al. 2021, section 3.2
        inner = layers.Dense(block["expansion"] * width, "relu")(_normalize(config, features))
        return layers.Add()([features, layers.Dense(width)(drop(inner))])
    # The gated residual network of Lim et al. 2021, equations 2 to 5.
    inner = layers.Dense(width)(layers.Dense(width, "elu")(features))
    output = layers.Add()([features, _gated(width, drop(inner))])
    return _normalize(config, output)


def _gated(width: int, features: Any) -> Any:
    """A gated linear unit (Dauphin et al. 2017, equation 1)."""
    gate = layers.Dense(width, "sigmoid")(features)
    return layers.Multiply()([layers.Dense(width)(features), gate])


def _normalize(config: Config, features: Any) -> Any:
    if config["normalization"] == "batch":
        # Keras's 0.99 needs hundreds of steps before validation sees useful statistics.
        return layers.BatchNormalization(momentum=0.9)(features)
    return layers.LayerNormalization()(features) if config["normalization"] == "layer" else features

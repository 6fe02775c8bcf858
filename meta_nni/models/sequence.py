"""A small network of sequences: `search_spaces/sequence.json`.

Features are normalised and steps thinned out by averaging, an encoder lets steps see their
neighbours, pooling makes one vector of them. Axes: N rows, B batch, L steps, K features.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import layers

from meta_nni.models.encoders import encode, pool
from meta_nni.models.heads import to_candidate
from meta_nni.models.problem import Problem
from meta_nni.models.training import Candidate
from meta_nni.trial import Config

__all__ = ["build"]


def build(config: Config, problem: Problem, epochs: int, batch_size: int) -> Candidate:
    """Builds the network of a config.

    Args:
        config: A config of `sequence`.
        problem: Sequences [N, L, K] of numbers; labels or numbers. Steps of zeros that fill
            up a short one are steps like others.
        epochs: Epochs of training.
        batch_size: Not used; the config has its own.
    """
    return to_candidate(config, problem, epochs, _network(config, problem.x), _to_floats)


def _to_floats(x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return x.astype(np.float32)


def _network(config: Config, x: npt.NDArray[Any]) -> tuple[Any, Any]:
    """Its input float32 [B, L, K] and its features."""
    inputs = keras.Input(x.shape[1:])
    numbers = x.astype(np.float64)
    variance = numbers.var(axis=(0, 1))
    steps = layers.Normalization(
        mean=numbers.mean(axis=(0, 1)), variance=np.where(variance > 0, variance, 1.0)
    )(inputs)
    stride = min(config["stride"], x.shape[1])
    if stride > 1:
        steps = layers.AveragePooling1D(stride, padding="same")(steps)
    encoder = config["encoder"]
    both_ways = encoder.get("bidirectional", False)
    return inputs, pool(config["pooling"], encode(encoder, steps), both_ways=both_ways)

"""Preprocessing as layers: a model that takes raw rows and needs nothing but Keras.

Each function puts in front of a model what its candidate does to rows with NumPy. Axes: B
batch, H height, W width, C channels, K columns, L words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from meta_nni.models.images import to_pixels
from meta_nni.models.problem import Problem
from meta_nni.models.training import Candidate

__all__ = ["of_columns", "of_pixels", "of_texts", "standalone"]

_UNKNOWN = "[UNK]"  # Keras's own word for all that is not in a vocabulary
_RENAMED = "\N{REPLACEMENT CHARACTER}" * 3


def standalone(candidate: Candidate, problem: Problem) -> keras.Model:
    """Returns one model of a candidate's preprocessing and its network.

    Args:
        candidate: With its weights; the model shares them.
        problem: The raw rows that it was built for.

    Raises:
        ValueError: It cannot be said with Keras's own layers; says which part.
    """
    if candidate.standalone is not None:
        model = candidate.standalone()
    elif candidate.transform is to_pixels:
        model = of_pixels(candidate.model, problem.x)
    else:
        raise ValueError("the preprocessing of this space is not made of layers")
    plain = keras.models.clone_model(model, clone_function=_plain)
    parts = plain._flatten_layers()
    if foreign := sorted({type(part).__name__ for part in parts if not _is_own(part)}):
        raise ValueError(f"the model has layers that are not Keras's own: {foreign}")
    return plain


def _is_own(layer: keras.Layer) -> bool:
    return type(layer).__module__.split(".")[0] == "keras"


def _plain(layer: keras.Layer) -> keras.Layer:
    """The layer itself, or a model of what it calls where it is not Keras's own."""
    if isinstance(layer, keras.Model):
        return keras.models.clone_model(layer, clone_function=_plain)
    if _is_own(layer):
        return layer
    inputs = keras.Input(layer.input.shape[1:], dtype=layer.input.dtype)
    return keras.Model(inputs, layer.call(inputs))


def of_pixels(model: keras.Model, x: np.ndarray[Any, Any]) -> keras.Model:
    """Returns a model of images like `x`: [B, H, W] or [B, H, W, C], bytes divided by 255.

    Args:
        model: Takes float32 [B, H, W, C], as `to_pixels` makes them.
        x: Some of the images; their shape and dtype count.
    """
    inputs = keras.Input(x.shape[1:])  # float32, to which Keras casts bytes
    output = inputs if x.ndim == 4 else layers.Reshape((*x.shape[1:], 1))(inputs)
    if x.dtype == np.uint8:
        output = layers.Rescaling(1 / 255)(output)
    return keras.Model(inputs, model(output))


def of_texts(model: keras.Model, vocabulary: Mapping[str, int], length: int) -> keras.Model:
    """Returns a model of texts [B], strings of TensorFlow, cut at white space.

    The word "[UNK]" is taken for an unknown one, whatever the vocabulary says.

    Args:
        model: Takes int32 [B, L]: the words' numbers; 0 for others, and for padding.
        vocabulary: Numbers of the words: 1, 2, … in this order.
        length: Words of a text that count, L.
    """
    # Keras has 0 for padding and 1 for others, for which it reserves a word.
    words = [_RENAMED if word == _UNKNOWN else word for word in vocabulary]
    tokenize = layers.TextVectorization(
        standardize=None,
        split="whitespace",
        output_sequence_length=length,
        vocabulary=words,
    )
    inputs = keras.Input((), dtype="string")
    numbers = ops.maximum(ops.cast(tokenize(inputs), "int32") - 1, 0)
    return keras.Model(inputs, model(numbers))


def of_columns(model: keras.Model, labels: Sequence[Sequence[float] | None]) -> keras.Model:
    """Returns a model of tables [B, K] of numbers, NaN where one is missing.

    Args:
        model: Takes float32 [B, K]: numbers, 0 where missing, and positions of categories.
        labels: Per column its categories in the order of their positions, NaN among them if
            that is one; any other has the position after the last. None for numbers.
    """
    inputs = keras.Input((len(labels),))
    columns = [
        _number(inputs[:, k : k + 1]) if known is None else _position(inputs[:, k : k + 1], known)
        for k, known in enumerate(labels)
    ]
    return keras.Model(inputs, model(ops.concatenate(columns, axis=1)))


def _number(column: Any) -> Any:
    return ops.where(ops.isnan(column), 0.0, column)


def _position(column: Any, labels: Sequence[float]) -> Any:
    """[B, 1] -> float32 [B, 1]."""
    same = ops.equal(column, np.array([labels], np.float32))  # [B, labels]; NaN equals nothing
    found = ops.any(same, axis=1, keepdims=True)
    place = ops.argmax(ops.cast(same, "int32"), axis=1, keepdims=True)
    position = ops.where(found, ops.cast(place, "float32"), float(len(labels)))
    missing = [k for k, label in enumerate(labels) if np.isnan(label)]
    return ops.where(ops.isnan(column), float(missing[0]), position) if missing else position

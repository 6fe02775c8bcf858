"""A detector as one model of Keras's own parts: from bytes to boxes, suppression included.

TensorFlow's suppression cannot stand in a file that `keras.models.load_model` reads without
this package, so that it is said here in Keras's operations, which need no layers of their own.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from meta_nni.models.detection.decoding import LEAST_SCORE, MOST_BOXES, OVERLAP
from meta_nni.models.detection.priors import Priors

__all__ = ["standalone", "suppress"]

_CANDIDATES = 512  # best scores of an image that take part; the cost grows with their square
_ROUNDS = 8  # boxes in a chain of which each suppresses the next


def standalone(
    network: keras.Model, priors: Priors, num_classes: int, shape: tuple[int, int, int]
) -> keras.Model:
    """Returns a model of images like the data's, uint8 or float in 0 .. 255, [B, *shape].

    Its output is that of `decoding.decode`, float32 [B, 50, 6].

    Args:
        network: Gives the raw predictions; the model shares its weights.
        priors: Decode the boxes.
        num_classes: C.
        shape: Height, width and 3.
    """
    bare = keras.Model(network.input, network.output)  # without the loss, which no file holds
    image = keras.Input(shape)
    pixels = layers.Resizing(*network.input.shape[1:3], interpolation="bilinear")(image)
    raw = bare(layers.Rescaling(1 / 255)(pixels))
    scores = ops.sigmoid(raw[..., :num_classes])
    return keras.Model(image, suppress(scores, priors.decode(raw[..., num_classes:])))


def suppress(scores: Any, corners: Any) -> Any:
    """Drops boxes that overlap a better, kept one of their class.

    Greedy suppression keeps a box if no better box that is kept overlaps it. Applied over and
    over from "all are kept", this rule settles the best box first, then every box whose
    suppressors are settled: 8 rounds are exact unless 9 boxes suppress each the next in turn.

    Args:
        scores: [B, L, C] in 0 .. 1.
        corners: [B, L, 4].

    Returns:
        Class, score, x1, y1, x2, y2, best first, padded with class -1, [B, 50, 6].
    """
    num_priors, num_classes = scores.shape[1:]
    count = min(_CANDIDATES, num_priors * num_classes)
    best, index = ops.top_k(ops.reshape(scores, (-1, num_priors * num_classes)), count)
    classes = ops.mod(index, num_classes)
    place = ops.expand_dims(ops.floor_divide(index, num_classes), -1)
    boxes = ops.take_along_axis(corners, place, axis=1)  # [B, count, 4]
    beats = ops.logical_and(_overlap(boxes), _same_and_better(classes, count))
    candidate = best > LEAST_SCORE
    kept = candidate
    for _ in range(_ROUNDS):
        beaten = ops.any(ops.logical_and(beats, ops.expand_dims(kept, 1)), axis=-1)
        kept = ops.logical_and(candidate, ops.logical_not(beaten))
    labels = ops.expand_dims(ops.cast(classes, "float32"), -1)
    found = ops.concatenate([labels, ops.expand_dims(best, -1), ops.clip(boxes, 0.0, 1.0)], -1)
    padding = ops.reshape(ops.convert_to_tensor([-1.0, 0, 0, 0, 0, 0]), (1, 1, 6))
    shown = ops.where(ops.expand_dims(kept, -1), found, padding)
    _, order = ops.top_k(ops.where(kept, best, -1.0), min(MOST_BOXES, count))
    shown = ops.take_along_axis(shown, ops.expand_dims(order, -1), axis=1)
    missing = ops.zeros_like(shown[:, :1]) + padding
    return ops.concatenate([shown, ops.repeat(missing, MOST_BOXES - shown.shape[1], axis=1)], 1)


def _same_and_better(classes: Any, count: int) -> Any:
    """[B, i, j]: boxes i and j are of one class, and j, which stands before i, is better."""
    same = ops.equal(*_pairs(classes))
    position = ops.arange(count)
    return ops.logical_and(same, ops.expand_dims(position, 0) < ops.expand_dims(position, 1))


def _overlap(boxes: Any) -> Any:
    """[B, i, j]: whether boxes [B, K, 4] overlap too much to be two objects."""
    x1, y1, x2, y2 = (_pairs(boxes[..., side]) for side in range(4))
    width = ops.minimum(*x2) - ops.maximum(*x1)
    height = ops.minimum(*y2) - ops.maximum(*y1)
    both = ops.relu(width) * ops.relu(height)
    area, other = _pairs(ops.prod(ops.maximum(boxes[..., 2:] - boxes[..., :2], 0.0), axis=-1))
    # In this order: of [1, K, 1] + [1, 1, K] Keras on TensorFlow makes [1, 1, K].
    return both > OVERLAP * (area - both + other)


def _pairs(numbers: Any) -> tuple[Any, Any]:
    """[B, K] -> [B, K, 1] and [B, 1, K], for what has a row of pairs for each."""
    return ops.expand_dims(numbers, 2), ops.expand_dims(numbers, 1)

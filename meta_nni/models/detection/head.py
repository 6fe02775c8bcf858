"""Heads: from feature maps to what they say of each prior's classes and box."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from keras import layers

__all__ = ["make_head"]

_RARE = 0.01  # score of every class before training (Lin et al. 2017, section 3.3)


def make_head(
    maps: Sequence[Any], num_classes: int, per_cell: int, depth: int, shared: bool
) -> Any:
    """Applies a head to each map.

    Two towers of convolutions, for classes and for boxes, as RetinaNet has (Lin et al. 2017).

    Args:
        maps: [B, H, W, channels] each, of equal channels.
        num_classes: C.
        per_cell: Priors of each cell, A.
        depth: Convolutions of a tower, from 0.
        shared: Whether all maps share one head's weights, but for batch normalisation.

    Returns:
        Logits of the classes, then the coded box, of each prior: [B, L, C + 4].
    """
    rare = -math.log((1 - _RARE) / _RARE)
    classes = _applied(maps, depth, shared, num_classes * per_cell, rare)
    boxes = _applied(maps, depth, shared, 4 * per_cell, 0.0)
    parts = [
        layers.Concatenate()([layers.Reshape((-1, num_classes))(c), layers.Reshape((-1, 4))(b)])
        for c, b in zip(classes, boxes, strict=True)
    ]
    return parts[0] if len(parts) == 1 else layers.Concatenate(axis=1)(parts)


def _applied(maps: Sequence[Any], depth: int, shared: bool, filters: int, bias: float) -> list[Any]:
    tower = _tower(depth, maps[0].shape[-1], filters, bias)
    outputs = []
    for level, features in enumerate(maps):
        if level and not shared:
            tower = _tower(depth, features.shape[-1], filters, bias)
        outputs.append(tower(features))
    return outputs


def _tower(depth: int, channels: int, filters: int, bias: float) -> Callable[[Any], Any]:
    convolutions = [
        layers.Conv2D(channels, 3, padding="same", use_bias=False) for _ in range(depth)
    ]
    last = layers.Conv2D(
        filters,
        1 if depth else 3,
        padding="same",
        kernel_initializer="glorot_uniform",
        bias_initializer=_constant(bias),
    )

    def apply(features: Any) -> Any:
        for convolution in convolutions:
            # Levels have statistics of their own, so each has its own normalisation.
            normalised = layers.BatchNormalization(momentum=0.9)(convolution(features))
            features = layers.ReLU()(normalised)
        return last(features)

    return apply


def _constant(value: float) -> Any:
    from keras import initializers

    return initializers.Constant(value)

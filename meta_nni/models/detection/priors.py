"""Priors: the places and sizes at which a head looks for boxes, and the code of its boxes.

Two codes: distances to the four sides (FCOS: Tian et al. 2019, equation 1) from points, and
offsets of centre and size (Faster R-CNN: Ren et al. 2015, equation 2) from anchors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from keras import ops

__all__ = ["Priors", "make_anchors", "make_points", "to_corners"]

Array = npt.NDArray[np.float32]

_STRIDES_PER_SIDE = 4.0  # RetinaNet (Lin et al. 2017): anchors of 32 pixels at stride 8
_LARGEST = 4.0  # the logarithm of a size is cut there, or a bad step makes boxes infinite


@dataclass(frozen=True, slots=True, eq=False)
class Priors:
    """Where a head looks for boxes.

    Attributes:
        boxes: Centre x, centre y, width and height of each prior, float32 [L, 4].
        cells: Width and height of the prior's cell of the feature map, float32 [L, 2].
        level: Index of the prior's feature map, from the finest, int64 [L].
        anchored: Whether boxes are coded from anchors, else as distances from points.
        per_cell: Priors of each cell of a feature map.
    """

    boxes: Array
    cells: Array
    level: npt.NDArray[np.int64]
    anchored: bool
    per_cell: int

    def __len__(self) -> int:
        return len(self.boxes)

    def decode(self, raw: Any) -> Any:
        """Turns what a head says of boxes into corners, by Keras's operations.

        Args:
            raw: Numbers of the head, [B, L, 4].

        Returns:
            x1, y1, x2, y2, [B, L, 4]; not cut at the image's borders.
        """
        centre, size = self.boxes[:, :2], self.boxes[:, 2:]
        first, last = raw[..., :2], raw[..., 2:]
        if self.anchored:
            middle = first * size + centre
            half = ops.exp(ops.minimum(last, _LARGEST)) * (size / 2)
            return ops.concatenate([middle - half, middle + half], axis=-1)
        before = ops.exp(ops.minimum(first, _LARGEST)) * (-size / 2) + centre
        after = ops.exp(ops.minimum(last, _LARGEST)) * (size / 2) + centre
        return ops.concatenate([before, after], axis=-1)

    def encode(self, boxes: Array) -> Array:
        """The inverse of `decode`, of boxes [..., L, 4] that hold their points.

        A point outside its box, or a box without area, gives NaN or an infinite number.
        """
        centre, size = self.boxes[:, :2], self.boxes[:, 2:]
        first, last = boxes[..., :2], boxes[..., 2:]
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.anchored:
                raw = [(0.5 * (first + last) - centre) / size, np.log((last - first) / size)]
            else:
                raw = [np.log(2 * (centre - first) / size), np.log(2 * (last - centre) / size)]
        return np.concatenate(raw, axis=-1).astype(np.float32)


def make_points(size: tuple[int, int], strides: Sequence[int]) -> Priors:
    """One prior in the middle of each cell of each level.

    Args:
        size: Height and width of the network's input, in pixels.
        strides: Pixels per cell of each level, from the finest.
    """
    return _make(size, strides, [1.0], [1.0], anchored=False)


def make_anchors(
    size: tuple[int, int], strides: Sequence[int], scales: int, ratios: Sequence[float]
) -> Priors:
    """Anchors of several sizes and shapes in the middle of each cell (Lin et al. 2017, 4).

    Args:
        size: Height and width of the network's input, in pixels.
        strides: Pixels per cell of each level, from the finest.
        scales: Sizes per level: the sides are 4 strides times 2 ** (k / scales), k from 0.
        ratios: Heights divided by widths; the area does not depend on it.
    """
    return _make(size, strides, [2 ** (k / scales) for k in range(scales)], ratios, anchored=True)


def _make(
    size: tuple[int, int],
    strides: Sequence[int],
    scales: Sequence[float],
    ratios: Sequence[float],
    anchored: bool,
) -> Priors:
    image = np.array(size[::-1], np.float64)  # width, height
    shapes = np.array([[s / r**0.5, s * r**0.5] for s in scales for r in ratios])  # [A, 2]
    boxes, cells, level = [], [], []
    for index, stride in enumerate(strides):
        rows, columns = -(-size[0] // stride), -(-size[1] // stride)
        y, x, a = np.mgrid[:rows, :columns, : len(shapes)].reshape(3, -1)
        centre = (np.stack([x, y], 1) + 0.5) * stride
        sides = _STRIDES_PER_SIDE * stride * shapes[a]
        boxes.append(np.concatenate([centre / image, sides / image], 1))
        cells.append(np.tile(stride / image, (len(x), 1)))
        level.append(np.full(len(x), index))
    return Priors(
        np.concatenate(boxes).astype(np.float32),
        np.concatenate(cells).astype(np.float32),
        np.concatenate(level),
        anchored,
        len(shapes),
    )


def to_corners(boxes: Array) -> Array:
    """Centre x, centre y, width, height as x1, y1, x2, y2, [..., 4]."""
    half = 0.5 * boxes[..., 2:]
    return np.concatenate([boxes[..., :2] - half, boxes[..., :2] + half], axis=-1)

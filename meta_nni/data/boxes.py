"""Boxes, the targets of object detection: from pixels to arrays, and what is wrong with them.

Axes: n images, K boxes. A box is its class and the corners x1, y1, x2, y2 as shares of the
picture's width and height.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meta_nni.data.problems import DataError, Problems

__all__ = ["Box", "are_boxes", "check_boxes", "drop_faulty", "from_pixels", "pack"]

Box = tuple[float, float, float, float, float]
"""class, x1, y1, x2, y2."""

_PADDING = -1.0
_TOLERANCE = 1.0
"""Pixels by which a box may stick out: tools round differently. What sticks out is cut off."""


def are_boxes(y: NDArray[Any]) -> bool:
    """Whether targets have the axes of boxes, [n, K, 5]."""
    return y.ndim == 3 and y.shape[2] == 5


def check_boxes(
    y: NDArray[Any], classes: NDArray[Any] | None, name: str
) -> tuple[NDArray[np.float32], NDArray[Any]]:
    """Checks boxes and their classes' names.

    Args:
        y: float [n, K, 5], padded with boxes of -1.
        classes: The names in the order of the codes, unicode (classes,).
        name: The array's name in messages.

    Returns:
        The boxes as float32, and the names.

    Raises:
        DataError: A box is outside, empty, or of a class without a name; or there is none.
    """
    if not are_boxes(y) or y.dtype.kind != "f":
        raise DataError(
            f"{name} has the dtype {y.dtype} and the shape {y.shape}, expected boxes: floats and "
            "(rows, boxes, 5) = class, x1, y1, x2, y2 in 0..1, padded with -1"
        )
    if classes is None or classes.ndim != 1 or classes.dtype.kind != "U" or not len(classes):
        raise DataError(
            f"{name} holds boxes, expected class_names beside them: one string per class"
        )
    faults = Problems()
    for image, box, what in _faults(y, len(classes)):
        faults.add(f"{name}[{image}, {box}]", what)
    faults.finish()
    if not (y[..., 0] >= 0).any():
        raise DataError(f"{name} holds no box, expected at least one")
    return y.astype(np.float32), classes


def drop_faulty(y: NDArray[Any], num_classes: int, name: str, problems: Problems) -> NDArray[Any]:
    """Notes the faulty boxes and returns the others, [n, K, 5], padded at the end."""
    kept = y[..., 0] >= 0
    for image, box, what in _faults(y, num_classes):
        problems.add(f"{name}[{image}, {box}]", what)
        kept[image, box] = False
    order = np.argsort(~kept, axis=1, kind="stable")[..., None]
    cleared: NDArray[Any] = np.where(kept[..., None], y, np.asarray(_PADDING, y.dtype))
    return np.take_along_axis(cleared, order, axis=1)


def _faults(y: NDArray[Any], num_classes: int) -> list[tuple[int, int, str]]:
    """Image, position and fault of each box that is faulty; padding is none."""
    codes, (x1, y1, x2, y2) = y[..., 0], np.moveaxis(y[..., 1:], -1, 0)
    padding = codes == _PADDING
    known = (codes >= 0) & (codes < num_classes) & (codes == np.floor(codes))
    inside = (x1 >= 0) & (y1 >= 0) & (x2 <= 1) & (y2 <= 1)
    filled = (x1 < x2) & (y1 < y2)
    tests = (
        (known, f"expected a class of 0..{num_classes - 1}, or -1 for padding"),
        (inside, "expected corners within 0..1"),
        (filled, "expected x1 < x2 and y1 < y2: the box is empty"),
    )
    found = {}
    for passed, expected in reversed(tests):
        for image, box in np.argwhere(~passed & ~padding).tolist():
            found[image, box] = f"the box is {y[image, box].tolist()}, {expected}"
    return [(*place, what) for place, what in sorted(found.items())]


def from_pixels(
    code: int, corners: Sequence[float], width: float, height: float
) -> tuple[Box | None, str]:
    """Turns corners in pixels into shares of the picture.

    Args:
        code: The class.
        corners: x1, y1, x2, y2 in pixels from the upper left corner.
        width: Of the picture, in pixels.
        height: Likewise.

    Returns:
        The box, and what is wrong with it: then there is no box.
    """
    shown = f"the box is {[round(float(c), 2) for c in corners]}"
    if not np.isfinite(corners).all():
        return None, f"{shown}, expected finite corners"
    limits = np.array([width, height, width, height])
    values = np.asarray(corners, np.float64)
    if (values < -_TOLERANCE).any() or (values > limits + _TOLERANCE).any():
        return None, f"{shown}, outside of the picture of {width:g}x{height:g} pixels"
    x1, y1, x2, y2 = (np.clip(values, 0, limits) / limits).astype(np.float32).tolist()
    if x1 >= x2 or y1 >= y2:
        return None, f"{shown}: x1, y1, x2, y2, which is empty"
    return (float(code), x1, y1, x2, y2), ""


def pack(boxes: Sequence[Sequence[Box]]) -> NDArray[np.float32]:
    """Returns boxes per image as one array [n, K, 5], padded with -1; K is at least 1."""
    most = max([1, *map(len, boxes)])
    packed = np.full((len(boxes), most, 5), _PADDING, np.float32)
    for image, found in enumerate(boxes):
        packed[image, : len(found)] = np.reshape(found, (-1, 5))
    return packed

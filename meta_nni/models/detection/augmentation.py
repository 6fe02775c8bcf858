"""Augmentation that moves boxes with their pixels.

An image and its boxes are cut by a window, which may reach over the image's borders, and
resized to the network's input in one bilinear step.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from meta_nni.models.detection.priors import Priors
from meta_nni.models.detection.targets import Assign, make_targets
from meta_nni.trial import Config

__all__ = ["AugmentedBatches", "augment", "resize"]

Array = npt.NDArray[Any]

_LEAST_SEEN = 0.4  # part of a box's area that must stay in the window, else the box is dropped


def resize(x: Array, size: tuple[int, int]) -> Array:
    """Images uint8 [N, H, W, 3] as float32 [N, height, width, 3] in 0 .. 1, bilinear."""
    rows = _samples(0.0, 1.0, x.shape[1], size[0])
    columns = _samples(0.0, 1.0, x.shape[2], size[1])
    return np.stack([_resample(image, rows, columns) for image in x])


def augment(
    image: Array, boxes: Array, size: tuple[int, int], settings: Config, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Draws one variant of an image with its boxes.

    Args:
        image: uint8 [H, W, 3].
        boxes: Class, x1, y1, x2, y2, padded with -1, float32 [M, 5].
        size: Height and width of the result.
        settings: `flip` ("none", "horizontal", or "any": both axes and quarter turns), `scale`
            (the window's side is 1 / (1 + s) to 1 + s of the image's, and its centre moves by
            up to half of s), `brightness` (contrast and level change by up to this part).
        rng: Source of randomness.

    Returns:
        Float32 [height, width, 3] in 0 .. 1, and boxes [M, 5]: cut at the window's borders,
        and dropped (-1) if less than 0.4 of them is seen.
    """
    boxes = boxes.copy()
    if settings["flip"] == "any" and rng.random() < 0.5:  # a quarter turn, up to flips
        image = image.swapaxes(0, 1)
        boxes = boxes[:, [0, 2, 1, 4, 3]]
    side = np.exp(rng.uniform(-1, 1) * np.log1p(settings["scale"]))
    # Height and width of the window in image heights: the result's shape, so nothing is warped.
    window = side * _fitted(image.shape[:2], size) * np.exp(rng.uniform(-1, 1, 2) * 0.1)
    centre = 0.5 + rng.uniform(-0.5, 0.5, 2) * settings["scale"] * window
    start, end = centre - window / 2, centre + window / 2
    flips = {"none": (0.0, 0.0), "horizontal": (0.0, 0.5), "any": (0.5, 0.5)}[settings["flip"]]
    for axis, chance in enumerate(flips):
        if rng.random() < chance:
            start[axis], end[axis] = end[axis], start[axis]
    rows = _samples(start[0], end[0], image.shape[0], size[0])
    columns = _samples(start[1], end[1], image.shape[1], size[1])
    pixels = _light(_resample(image, rows, columns), settings["brightness"], rng)
    return pixels, _move(boxes, start[::-1], end[::-1])


def _fitted(shape: tuple[int, ...], size: tuple[int, int]) -> Array:
    """The smallest window, as parts of height and width, of the result's shape around all."""
    want, have = size[1] / size[0], shape[1] / shape[0]
    return np.array([max(have / want, 1.0), max(want / have, 1.0)])


def _samples(start: float, end: float, length: int, count: int) -> tuple[Array, Array]:
    """Where `count` samples of start .. end, parts of `length` pixels, lie.

    Samples beyond the ends have the end's pixel. `start` above `end` flips.

    Returns:
        The pixel before each, int64 [count], and how far it is on the way to the next, [count].
    """
    place = (start + (np.arange(count) + 0.5) / count * (end - start)) * length - 0.5
    place = np.clip(place, 0, length - 1)
    low = np.minimum(place.astype(np.int64), max(length - 2, 0))
    return low, (place - low).astype(np.float32)


def _resample(image: Array, rows: tuple[Array, Array], columns: tuple[Array, Array]) -> Array:
    """Bilinear, one axis after the other: [H, W, 3] -> float32 [height, width, 3] in 0 .. 1."""
    pixels = image.astype(np.float32) * np.float32(1 / 255)
    for axis, (low, part) in enumerate((rows, columns)):
        before = pixels.take(low, axis)
        after = pixels.take(np.minimum(low + 1, pixels.shape[axis] - 1), axis)
        pixels = before + (after - before) * np.expand_dims(part, (1, 2) if axis == 0 else (0, 2))
    return pixels


def _light(pixels: Array, strength: float, rng: np.random.Generator) -> Array:
    """Another contrast for each image and another level for each colour."""
    contrast = 1 + rng.uniform(-1, 1) * strength
    level = (rng.uniform(-1, 1) + 0.5 * rng.uniform(-1, 1, 3)) * strength / 2
    lit: Array = np.clip((pixels - 0.5) * contrast + 0.5 + level, 0, 1).astype(np.float32)
    return lit


def _move(boxes: Array, start: Array, end: Array) -> Array:
    """Boxes in the coordinates of a window; start and end are x, y and may be flipped."""
    corners = (boxes[:, 1:].reshape(-1, 2, 2) - start) / (end - start)
    whole = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
    seen = np.clip(whole, 0, 1)
    areas = [np.prod(b[:, 2:] - b[:, :2], axis=1) for b in (seen, whole)]
    kept = (boxes[:, 0] >= 0) & (areas[0] >= _LEAST_SEEN * areas[1]) & (areas[0] > 0)
    moved = np.concatenate([boxes[:, :1], seen], axis=1)
    return np.where(kept[:, None], moved, -1.0).astype(np.float32)


class AugmentedBatches(keras.utils.PyDataset):  # type: ignore[misc] # keras has no types
    """Batches of augmented images and their targets, new ones in every epoch.

    Args:
        x: Images uint8 [N, H, W, 3].
        y: Their boxes, float32 [N, M, 5].
        size: Height and width of the network's input.
        settings: As of `augment`.
        batch_size: Images of a batch; those that are left over wait for the next epoch.
        priors: The L priors.
        num_classes: C.
        assign: Which prior answers for which box.
        seed: Seed of order and augmentation.
    """

    def __init__(
        self,
        x: Array,
        y: Array,
        size: tuple[int, int],
        settings: Config,
        batch_size: int,
        priors: Priors,
        num_classes: int,
        assign: Assign,
        seed: int,
    ) -> None:
        super().__init__()
        self._x, self._y, self._size, self._settings = x, y, size, settings
        self._batch_size = min(batch_size, len(x))
        self._priors, self._num_classes, self._assign = priors, num_classes, assign
        self._rng = np.random.default_rng(seed)
        self._order = self._rng.permutation(len(x))

    def __len__(self) -> int:
        return len(self._x) // self._batch_size

    def __getitem__(self, index: int) -> tuple[Array, Array]:
        rows = self._order[index * self._batch_size : (index + 1) * self._batch_size]
        drawn = [
            augment(self._x[row], self._y[row], self._size, self._settings, self._rng)
            for row in rows
        ]
        y = np.stack([boxes for _, boxes in drawn])
        targets = make_targets(y, self._priors, self._num_classes, self._assign)
        return np.stack([pixels for pixels, _ in drawn]), targets

    def on_epoch_end(self) -> None:
        """Draws another order."""
        self._order = self._rng.permutation(len(self._x))

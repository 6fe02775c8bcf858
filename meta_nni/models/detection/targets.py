"""Targets: which priors answer for which true box.

A target is float32 [L, C + 5]: of each prior the wanted score of every class, the box's four
corners, and 1 where the prior answers for a box (it is *positive*), else 0. A score of 1 marks
the class of a positive; scores between 0 and 1 say how little a false alarm there counts.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from meta_nni.models.detection.priors import Priors, to_corners

__all__ = [
    "Assign",
    "assign_by_centre",
    "assign_by_gaussian",
    "assign_by_iou",
    "iou",
    "make_targets",
]

Array = npt.NDArray[np.float32]
Assign = Callable[[Array, Priors], tuple[Array, Array]]
"""Takes corners [M, 4] of true boxes and the priors; returns for each box and prior [M, L] the
wanted score in 0 .. 1 and how well the prior answers for the box, of which 0 is not at all."""

_NEGATIVE, _POSITIVE = 0.4, 0.5  # intersection over union, RetinaNet (Lin et al. 2017, section 4)
_IGNORED = 0.95  # wanted score of an anchor between the two: a false alarm counts next to nothing


def make_targets(y: Array, priors: Priors, num_classes: int, assign: Assign) -> Array:
    """Encodes true boxes for a batch.

    Args:
        y: Class, x1, y1, x2, y2 of each true box, padded with -1, float32 [B, M, 5].
        priors: The L priors.
        num_classes: C.
        assign: Which prior answers for which box.

    Returns:
        The targets of the module's text, float32 [B, L, C + 5].
    """
    return np.stack([_encode(boxes[boxes[:, 0] >= 0], priors, num_classes, assign) for boxes in y])


def _encode(boxes: Array, priors: Priors, num_classes: int, assign: Assign) -> Array:
    target = np.zeros((len(priors), num_classes + 5), np.float32)
    if not len(boxes):
        return target
    classes, corners = boxes[:, 0].astype(np.int64), boxes[:, 1:]
    scores, fit = assign(corners, priors)
    for wanted, label in zip(scores, classes, strict=True):
        target[:, label] = np.maximum(target[:, label], np.minimum(wanted, _IGNORED))
    owner = fit.argmax(axis=0)  # [L]
    positive = np.flatnonzero(fit.max(axis=0) > 0)
    target[positive, classes[owner[positive]]] = 1.0
    target[positive, num_classes:-1] = corners[owner[positive]]
    target[positive, -1] = 1.0
    return target


def assign_by_centre(radius: float) -> Assign:
    """Points within `radius` cells of a box's centre and inside the box are positive.

    Centre sampling of FCOS (Tian et al. 2019; the radius is of its authors' later version).
    A box belongs to the level whose priors are nearest to its longer side. Where boxes compete
    the smaller one wins; the point nearest to a centre always answers for it.
    """

    def assign(corners: Array, priors: Priors) -> tuple[Array, Array]:
        distance, own = _distance(corners, priors), _own_level(corners, priors)
        points = priors.boxes[None, :, :2]
        inside = ((points > corners[:, None, :2]) & (points < corners[:, None, 2:])).all(axis=-1)
        near = (distance.max(axis=-1) <= radius) & inside & own
        near |= _nearest(distance, own)
        area = np.prod(corners[:, 2:] - corners[:, :2], axis=-1)[:, None]
        fit = np.where(near, 1.0 / np.maximum(area, 1e-6), 0.0)
        return near.astype(np.float32), fit.astype(np.float32)

    return assign


def assign_by_gaussian(overlap: float) -> Assign:
    """The point nearest to a box's centre is positive, and scores fall off around it.

    CenterNet (Zhou et al. 2019, section 3): a Gaussian whose deviation is a part of the box's
    size, here `overlap` / 6 of width and height.
    """

    def assign(corners: Array, priors: Priors) -> tuple[Array, Array]:
        distance, own = _distance(corners, priors), _own_level(corners, priors)
        size = (corners[:, 2:] - corners[:, :2])[:, None] / priors.cells
        deviation = np.maximum(overlap * size / 6, 1e-3)
        scores = np.exp(-0.5 * ((distance / deviation) ** 2).sum(axis=-1)) * own
        return scores.astype(np.float32), _nearest(distance, own).astype(np.float32)

    return assign


def assign_by_iou(corners: Array, priors: Priors) -> tuple[Array, Array]:
    """Anchors that overlap a box by half are positive (Lin et al. 2017, section 4).

    Those between 0.4 and 0.5 are left out. The best anchor always answers for its box (Ren et
    al. 2015, section 3.1.2).
    """
    overlap = iou(corners, to_corners(priors.boxes))  # [M, L]
    best = np.zeros(overlap.shape, bool)
    best[np.arange(len(corners)), overlap.argmax(axis=1)] = True
    fit = np.where(overlap >= _POSITIVE, overlap, 0.0) + best
    return (overlap >= _NEGATIVE).astype(np.float32), fit.astype(np.float32)


def _distance(corners: Array, priors: Priors) -> Array:
    """Of each point from each box's centre, in cells, [M, L, 2]."""
    centre = 0.5 * (corners[:, :2] + corners[:, 2:])
    offset = np.abs(priors.boxes[None, :, :2] - centre[:, None])
    return (offset / priors.cells).astype(np.float32)


def _own_level(corners: Array, priors: Priors) -> npt.NDArray[np.bool_]:
    """Whether a prior is of the level for boxes of this size, [M, L]."""
    size = (corners[:, 2:] - corners[:, :2])[:, None] / priors.boxes[None, :, 2:]
    misfit = np.abs(np.log(np.maximum(size.max(axis=-1), 1e-6)))
    own: npt.NDArray[np.bool_] = misfit <= misfit.min(axis=1, keepdims=True) + 1e-6
    return own


def _nearest(distance: Array, own: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Whether a prior is the one nearest to the box's centre on its level, [M, L]."""
    length = np.where(own, (distance**2).sum(axis=-1), np.inf)
    nearest = np.zeros(own.shape, bool)
    nearest[np.arange(len(own)), length.argmin(axis=1)] = True
    return nearest


def iou(first: Array, second: Array) -> Array:
    """Intersection over union of corners [M, 4] and [L, 4], in 0 .. 1, [M, L]."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    both = np.prod(np.maximum(high - low, 0), axis=-1)
    areas = [np.prod(np.maximum(b[:, 2:] - b[:, :2], 0), axis=-1) for b in (first, second)]
    union = areas[0][:, None] + areas[1][None] - both
    return np.asarray(both / np.maximum(union, 1e-9), np.float32)

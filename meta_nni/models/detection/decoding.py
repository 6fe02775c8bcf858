"""From a head's numbers to boxes: scores, corners and non-maximum suppression."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from meta_nni.models.detection.priors import Priors

__all__ = ["LEAST_SCORE", "MOST_BOXES", "OVERLAP", "decode", "suppress"]

Array = npt.NDArray[np.float32]

LEAST_SCORE = 0.01
"""Boxes of a lower score are dropped: they hardly move mean average precision."""
MOST_BOXES = 50
"""Boxes of an image, at most."""
OVERLAP = 0.5
"""Intersection over union above which two boxes of one class are one object."""


def decode(raw: Array, priors: Priors, num_classes: int) -> Array:
    """Decodes predictions and drops boxes that overlap a better one of their class.

    Args:
        raw: Logits of classes and coded boxes, float32 [N, L, C + 4].
        priors: Decode the boxes.
        num_classes: C.

    Returns:
        Class, score, x1, y1, x2, y2 of at most 50 boxes, best first, padded with class -1,
        float32 [N, 50, 6]. NaN everywhere if a prediction is not finite.
    """
    if not np.isfinite(raw).all():
        return np.full((len(raw), MOST_BOXES, 6), np.nan, np.float32)
    logits = np.maximum(raw[..., :num_classes], -80.0)  # where exp(-logit) is still finite
    scores = (1 / (1 + np.exp(-logits))).astype(np.float32)
    return suppress(scores, np.asarray(priors.decode(raw[..., num_classes:])))


def suppress(scores: Array, corners: Array) -> Array:
    """Drops boxes of a low score or that overlap a better one of their class, by TensorFlow.

    Args:
        scores: Of each class, in 0 .. 1, float32 [N, L, C].
        corners: x1, y1, x2, y2; cut at the image's borders, float32 [N, L, 4].

    Returns:
        As of `decode`.
    """
    import tensorflow as tf

    found: Any = tf.image.combined_non_max_suppression(
        corners[:, :, None, [1, 0, 3, 2]],  # TensorFlow has y first
        scores,
        max_output_size_per_class=MOST_BOXES,
        max_total_size=MOST_BOXES,
        iou_threshold=OVERLAP,
        score_threshold=LEAST_SCORE,
    )
    boxes, best, classes, counts = (np.asarray(part) for part in found)
    decoded = np.concatenate([classes[..., None], best[..., None], boxes[..., [1, 0, 3, 2]]], -1)
    decoded[np.arange(decoded.shape[1]) >= counts[:, None]] = [-1, 0, 0, 0, 0, 0]
    return decoded.astype(np.float32)

"""Losses of detectors: focal for classes; GIoU or L1 for boxes.

Predictions are raw, float32 [B, L, C + 4]: logits of the classes, then the coded box. Targets
are those of `meta_nni.models.detection.targets`. All run on Keras's operations.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import ops

from meta_nni.models.detection.priors import Priors

__all__ = ["detection_loss", "focal_loss", "giou_loss", "l1_loss"]

_TINY = 1e-7
_FALL_OFF = 4.0  # CornerNet's beta


def focal_loss(wanted: Any, logits: Any, alpha: float, gamma: float) -> Any:
    """The focal loss of each score, with fewer penalties near a positive.

    With p = sigmoid(logit) and the wanted score q:
    `-alpha (1 - p)^gamma log(p)` where q = 1 and
    `-(1 - alpha) (1 - q)^4 p^gamma log(1 - p)` elsewhere.
    For q of 0 and 1 that is Lin et al. 2017, equation 5; for q between them it is CornerNet's
    penalty-reduced form (Law, Deng 2018, equation 1).

    Args:
        wanted: q, [...].
        logits: [...].
        alpha: Weight of positives, in 0 .. 1.
        gamma: How much scores that are right already count less, from 0.

    Returns:
        Losses in nats, [...].
    """
    score = ops.sigmoid(logits)
    hit = ops.power(1 - score, gamma) * ops.softplus(-logits)
    alarm = ops.power(1 - wanted, _FALL_OFF) * ops.power(score, gamma) * ops.softplus(logits)
    return ops.where(wanted >= 1, alpha * hit, (1 - alpha) * alarm)


def giou_loss(true: Any, predicted: Any) -> Any:
    """1 - GIoU of corners [..., 4], in 0 .. 2 (Rezatofighi et al. 2019, algorithm 1).

    GIoU is IoU - (area of the smallest box around both - union) / that area.
    """
    low = ops.maximum(true[..., :2], predicted[..., :2])
    high = ops.minimum(true[..., 2:], predicted[..., 2:])
    both = ops.prod(ops.maximum(high - low, 0.0), axis=-1)
    union = _area(true) + _area(predicted) - both
    around = ops.maximum(true[..., 2:], predicted[..., 2:]) - ops.minimum(
        true[..., :2], predicted[..., :2]
    )
    hull = ops.prod(around, axis=-1)
    iou = both / ops.maximum(union, _TINY)
    return 1 - iou + (hull - union) / ops.maximum(hull, _TINY)


def l1_loss(true: Any, predicted: Any) -> Any:
    """Mean absolute error of corners [..., 4] in sides of the true box.

    The L1 of DETR (Carion et al. 2020, section 3.1), divided by width and height so that small
    boxes weigh as large ones do.
    """
    size = ops.maximum(true[..., 2:] - true[..., :2], _TINY)
    error = ops.abs(true - predicted) / ops.concatenate([size, size], axis=-1)
    return ops.mean(error, axis=-1)


def _area(boxes: Any) -> Any:
    return ops.prod(ops.maximum(boxes[..., 2:] - boxes[..., :2], 0.0), axis=-1)


def detection_loss(
    priors: Priors,
    num_classes: int,
    box_loss: str,
    box_weight: float,
    alpha: float,
    gamma: float,
) -> Callable[[Any, Any], Any]:
    """Returns the loss of a batch: (classes + box_weight x boxes) / positives.

    Args:
        priors: Decode the boxes.
        num_classes: C.
        box_loss: "giou" or "l1".
        box_weight: Weight of the boxes' loss against the classes'.
        alpha: Of the focal loss.
        gamma: Of the focal loss.
    """
    of_boxes = {"giou": giou_loss, "l1": l1_loss}[box_loss]

    def loss(target: Any, raw: Any) -> Any:
        positive = target[..., -1]
        classes = focal_loss(target[..., :num_classes], raw[..., :num_classes], alpha, gamma)
        decoded = priors.decode(raw[..., num_classes:])
        boxes = positive * of_boxes(target[..., num_classes:-1], decoded)
        total = ops.sum(classes) + box_weight * ops.sum(boxes)
        return total / ops.maximum(ops.sum(positive), 1.0)

    return loss

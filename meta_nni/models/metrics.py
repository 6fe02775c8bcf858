"""Measured numbers of a model's predictions, by scikit-learn's definitions.

`meta_nni.metrics` names them. Arguments everywhere: y holds codes int64 [N], -1 for a label
that the model does not know, numbers [N], or boxes float32 [N, boxes, 5]; predicted holds
probabilities float32 [N, classes], [N, 1] of the second of two classes, numbers [N, 1], or
boxes float32 [N, k, 6] with their scores.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from meta_nni.metrics import METRICS, Metric

__all__ = ["score", "score_all"]

Array = npt.NDArray[Any]


def score(y: Array, predicted: Array, metric: Metric) -> float:
    """Measures predictions by one metric.

    Args:
        y: What is true, see above.
        predicted: What was predicted, see above.
        metric: One of `METRICS`.

    Returns:
        The number, in the metric's own direction; NaN if a prediction is not finite or the
        metric is undefined, such as R2 of equal targets.
    """
    if not np.isfinite(predicted).all():
        return float("nan")
    if metric.target == "detection":
        return _of_boxes(y, predicted)[metric.name]
    if metric.target == "classification":
        predicted = _probabilities(predicted)
    return float(_MEASURES[metric.name](y, predicted))


def score_all(y: Array, predicted: Array, target: str) -> dict[str, float]:
    """Measures predictions by every metric of a target.

    Args:
        y: What is true, see above.
        predicted: What was predicted, see above.
        target: "classification", "regression" or "detection".

    Returns:
        The numbers by name; what is not defined, such as the AUC of a single class, is missing.
    """
    if target == "detection":
        return _of_boxes(y, predicted)
    wanted = [metric for metric in METRICS.values() if metric.target == target]
    found = {metric.name: score(y, predicted, metric) for metric in wanted}
    return {name: value for name, value in found.items() if np.isfinite(value)}


def _of_boxes(y: Array, predicted: Array) -> dict[str, float]:
    from meta_nni.models.detection.metrics import average_precision

    found: dict[str, float] = average_precision(y, predicted)
    return found


def _probabilities(predicted: Array) -> Array:
    """Gives the single column of a sigmoid its complement: [N, 1] -> [N, 2]."""
    if predicted.shape[1] > 1:
        return predicted
    return np.concatenate([1 - predicted, predicted], axis=1)


def _accuracy(y: Array, probabilities: Array) -> float:
    return float(np.mean(probabilities.argmax(axis=1) == y))


def _balanced_accuracy(y: Array, probabilities: Array) -> float:
    """Recall, mean over the classes of y (scikit-learn's, whose warnings this avoids)."""
    right = probabilities.argmax(axis=1) == y
    return float(np.mean([right[y == code].mean() for code in np.unique(y)]))


def _by_class(position: int, average: str, y: Array, probabilities: Array) -> float:
    """Precision, recall or F1, by position, over the classes that occur."""
    from sklearn.metrics import precision_recall_fscore_support

    measured = precision_recall_fscore_support(
        y, probabilities.argmax(axis=1), average=average, zero_division=0
    )
    return float(measured[position])


def _auc(y: Array, probabilities: Array) -> float:
    """Each class against the rest, mean over the classes of y; NaN if there is only one."""
    from sklearn.metrics import roc_auc_score

    codes = [code for code in np.unique(y) if code >= 0 and not (y == code).all()]
    areas = [roc_auc_score(y == code, probabilities[:, code]) for code in codes]
    return float(np.mean(areas)) if areas else float("nan")


def _log_loss(y: Array, probabilities: Array) -> float:
    true = np.where(y >= 0, probabilities[np.arange(len(y)), y], 0.0)
    return float(-np.log(np.maximum(true, np.finfo(np.float32).eps)).mean())


def _errors(y: Array, predicted: Array) -> Array:
    errors: Array = y.astype(np.float64) - predicted[:, 0]
    return errors


def _r2(y: Array, predicted: Array) -> float:
    variance = np.var(y.astype(np.float64))
    return float(1.0 - np.mean(_errors(y, predicted) ** 2) / variance) if variance > 0 else math.nan


def _mean_absolute_error(y: Array, predicted: Array) -> float:
    return float(np.abs(_errors(y, predicted)).mean())


def _mean_squared_error(y: Array, predicted: Array) -> float:
    return float(np.mean(_errors(y, predicted) ** 2))


_MEASURES: dict[str, Callable[[Array, Array], float]] = {
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "precision": partial(_by_class, 0, "macro"),
    "precision_weighted": partial(_by_class, 0, "weighted"),
    "recall": partial(_by_class, 1, "macro"),
    "recall_weighted": partial(_by_class, 1, "weighted"),
    "f1": partial(_by_class, 2, "macro"),
    "f1_weighted": partial(_by_class, 2, "weighted"),
    "auc": _auc,
    "log_loss": _log_loss,
    "r2": _r2,
    "mean_absolute_error": _mean_absolute_error,
    "mean_squared_error": _mean_squared_error,
}

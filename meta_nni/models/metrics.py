"""Measured numbers of a model's predictions, by scikit-learn's definitions."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["score", "score_all"]

Array = npt.NDArray[Any]


def score(y: Array, predicted: Array, target: str) -> float:
    """The number that a search maximises: accuracy, or R2 for regression.

    Args:
        y: True codes int64 [N], -1 for a label that the model does not know; or numbers [N].
        predicted: Probabilities float32 [N, classes], [N, 1] of the second of two classes,
            or predicted numbers [N, 1].
        target: "classification" or "regression".

    Returns:
        Accuracy in 0 .. 1, or R2 in -inf .. 1; NaN if a prediction is not finite.
    """
    if not np.isfinite(predicted).all():
        return float("nan")
    if target == "classification":
        return float(np.mean(_probabilities(predicted).argmax(axis=1) == y))
    errors = y.astype(np.float64) - predicted[:, 0]
    return float(1.0 - np.mean(errors**2) / np.var(y.astype(np.float64)))


def score_all(y: Array, predicted: Array, target: str) -> dict[str, float]:
    """All numbers of a trained model; arguments as in `score`.

    Returns:
        accuracy, precision, recall and f1 (macro: the mean over the classes that occur),
        and log_loss in nats; for regression r2 and mean_squared_error.
    """
    from sklearn import metrics

    if target == "regression":
        mse = metrics.mean_squared_error(y, predicted[:, 0])
        return {"r2": score(y, predicted, target), "mean_squared_error": float(mse)}
    probabilities = _probabilities(predicted)
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(
        y, probabilities.argmax(axis=1), average="macro", zero_division=0
    )
    true = np.where(y >= 0, probabilities[np.arange(len(y)), y], 0.0)
    return {
        "accuracy": score(y, predicted, target),
        "precision": float(precision),
        "recall": float(recall),
        "f1": float(f1),
        "log_loss": float(-np.log(np.maximum(true, np.finfo(np.float32).eps)).mean()),
    }


def _probabilities(predicted: Array) -> Array:
    """Gives the single column of a sigmoid its complement: [N, 1] -> [N, 2]."""
    if predicted.shape[1] > 1:
        return predicted
    return np.concatenate([1 - predicted, predicted], axis=1)

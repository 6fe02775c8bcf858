"""How every candidate is trained and measured, whatever built it.

One callback does what a trial needs after each epoch: predict the validation rows, score
them, keep the best epoch, report, and stop on time. So a trial traces two graphs (train,
predict), and all numbers of the result belong to the same epoch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from meta_nni.metrics import Metric
from meta_nni.models.metrics import score

__all__ = ["Budget", "Candidate", "Failure", "Fitted", "fit"]

Array = npt.NDArray[Any]
Report = Callable[[int, float], None]

_PREDICT_BATCH = 128
_PACE_BATCHES = 8  # batches after which the length of an epoch can be foretold
_PACE_SLACK = 1.25  # how much too slow the pace must be before a trial is given up


class Failure(Exception):
    """A candidate that gives no value; the message says why."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A compiled model with its data, as its own preprocessing made them.

    Attributes:
        model: Compiled; outputs probabilities [B, classes], [B, 1] for the second of two
            classes, or a number [B, 1].
        x: The rows to fit, as the model takes them.
        y: Their targets, as the model's loss takes them.
        x_val: The rows to validate on, as the model takes them.
        y_val: Their codes int64 [V], or numbers.
        transform: Turns raw rows of another split into what the model takes.
        batch_size: Rows per training step.
        standalone: Makes one model of `transform` and `model`; None where
            `models.standalone` knows how, or nobody does.
        decode: Turns what the model predicts into what metrics take, such as maps into
            boxes; None where it is the same.
        batches: What to train on instead of x and y, such as augmented rows; x and y may then
            be as the problem has them.
    """

    model: keras.Model
    x: Array
    y: Array
    x_val: Array
    y_val: Array
    transform: Callable[[Array], Array]
    batch_size: int
    standalone: Callable[[], keras.Model] | None = None
    decode: Callable[[Array], Array] | None = None
    batches: keras.utils.PyDataset | None = None

    def predict(self, x: Array, **settings: Any) -> Array:
        """What the model predicts of rows as it takes them, decoded; settings are Keras's."""
        raw: Array = self.model.predict(x, verbose=0, **settings)
        return raw if self.decode is None else self.decode(raw)


@dataclass(frozen=True, slots=True)
class Budget:
    """What a trial may spend.

    Attributes:
        epochs: Most epochs.
        patience: Epochs without a better value after which training stops.
        max_parameters: Most parameters, trainable or not; None is no limit.
        max_seconds: Most seconds, from the start of the build; None is no limit.
    """

    epochs: int
    patience: int
    max_parameters: int | None = None
    max_seconds: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """What training left: the value of each epoch, and the best epoch's predictions [V, ...]."""

    curve: tuple[float, ...]
    best_epoch: int
    predicted: Array
    parameters: int


class _OutOfTime(Exception):
    pass


def fit(
    candidate: Candidate,
    metric: Metric,
    budget: Budget,
    report: Report,
    elapsed: Callable[[], float],
    class_weight: dict[int, float] | None = None,
) -> Fitted:
    """Trains a candidate and leaves its model with the weights of the best epoch.

    Args:
        candidate: What to train.
        metric: What the value of an epoch is.
        budget: What may be spent. When time is up training stops at the next batch, and
            the best epoch so far counts.
        report: Called after each epoch with its number, from 0, and its value.
        elapsed: Seconds since the start of the trial.
        class_weight: Weight of each code in the loss; None weighs all alike.

    Raises:
        Failure: The model is too large, no epoch ended in time, the first epoch gave
            predictions that are not finite, or the metric is undefined on the rows.
    """
    parameters = candidate.model.count_params()
    if budget.max_parameters is not None and parameters > budget.max_parameters:
        raise Failure(f"{parameters} parameters, the limit is {budget.max_parameters}")
    keeper = _BestEpoch(candidate, metric, budget, report, elapsed)
    # Creates metrics and optimizer state first; else TensorFlow traces the training step twice.
    rows = slice(0, candidate.batch_size)
    batches = candidate.batches
    first = batches[0] if batches is not None else (candidate.x[rows], candidate.y[rows])
    candidate.model._symbolic_build(data_batch=first)
    try:
        candidate.model.fit(
            **({"x": batches} if batches is not None else _rows(candidate)),
            epochs=budget.epochs,
            callbacks=[keeper],
            class_weight=class_weight,
            verbose=0,
        )
    except _OutOfTime as error:
        if keeper.weights is None:
            raise Failure(str(error)) from None
    if keeper.weights is None:
        raise Failure("predictions are not finite after the first epoch: training diverged")
    candidate.model.set_weights(keeper.weights)
    return Fitted(tuple(keeper.curve), keeper.best_epoch, keeper.predicted, parameters)


def _rows(candidate: Candidate) -> dict[str, Any]:
    return {"x": candidate.x, "y": candidate.y, "batch_size": candidate.batch_size}


class _BestEpoch(keras.callbacks.Callback):  # type: ignore[misc] # keras has no types
    """Scores each epoch, keeps the best, and stops on time, on patience, on divergence."""

    def __init__(
        self,
        candidate: Candidate,
        metric: Metric,
        budget: Budget,
        report: Report,
        elapsed: Callable[[], float],
    ) -> None:
        super().__init__()
        self.candidate, self.metric, self.budget = candidate, metric, budget
        self.report, self.elapsed = report, elapsed
        self.curve: list[float] = []
        self.weights: list[Array] | None = None
        self.predicted: Array = np.empty(0)
        self.best_epoch = -1
        self._first_batch_ended = 0.0
        self._x_val, self._batch = _even_batches(candidate.x_val)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Stops when time is up, or is bound to be before the first epoch's end."""
        self._check_time()
        if self.budget.max_seconds is None or self.curve:
            return
        now = self.elapsed()
        if batch == 0:
            self._first_batch_ended = now
        elif batch >= _PACE_BATCHES:
            pace = (now - self._first_batch_ended) / batch
            num_batches = math.ceil(len(self.candidate.x) / self.candidate.batch_size)
            needed = now + pace * (num_batches - 1 - batch)
            if needed > _PACE_SLACK * self.budget.max_seconds:
                raise _OutOfTime(
                    f"one epoch would take about {needed:.0f} s, "
                    f"the limit is {self.budget.max_seconds:g} s"
                )

    def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
        """Stops when time is up."""
        self._check_time()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Scores the epoch and decides whether to go on."""
        y_val = self.candidate.y_val
        predicted = self.candidate.predict(self._x_val, batch_size=self._batch, callbacks=[self])[
            : len(y_val)
        ]
        if not np.isfinite(predicted).all():
            self.model.stop_training = True
            return
        value = score(y_val, predicted, self.metric)
        if not math.isfinite(value):
            alike = "no box" if self.metric.target == "detection" else "one target only"
            raise Failure(
                f"{self.metric.name} is undefined on the {len(y_val)} rows to validate on, which "
                f"hold {alike}; take more rows, or another metric"
            )
        sign = self.metric.sign
        if self.weights is None or sign * value > sign * self.curve[self.best_epoch]:
            self.weights = self.candidate.model.get_weights()
            self.predicted, self.best_epoch = predicted, epoch
        self.curve.append(value)
        self.report(epoch, value)
        if epoch - self.best_epoch >= self.budget.patience:
            self.model.stop_training = True

    def _check_time(self) -> None:
        limit = self.budget.max_seconds
        if limit is not None and self.elapsed() > limit:
            raise _OutOfTime(f"no epoch ended within the limit of {limit:g} s")


def _even_batches(x: Array) -> tuple[Array, int]:
    """Repeats a few rows so that all batches are of one size, which is traced only once."""
    num_batches = math.ceil(len(x) / _PREDICT_BATCH)
    size = math.ceil(len(x) / num_batches)
    return x[np.arange(num_batches * size) % len(x)], size

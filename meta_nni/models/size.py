"""What a model costs to use: its parameters, its megabytes, its latency."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from meta_nni.models.problem import Problem

if TYPE_CHECKING:
    import keras

    from meta_nni.models.training import Candidate

__all__ = ["few_rows", "latency_ms", "median_ms", "model_mb"]

_WARM_UP = 3  # predictions before the measured ones: the first traces the graph
_REPEATS = 30
_MAX_SECONDS = 2.0  # of measuring, after at least five predictions


def model_mb(model: keras.Model) -> float:
    """Megabytes (2**20 bytes) of a model's weights, trainable or not, as they are held."""
    return float(sum(weights.nbytes for weights in model.get_weights()) / 2**20)


def latency_ms(
    candidate: Candidate, batch_size: int, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Median milliseconds of one prediction of `batch_size` rows, after warm-up.

    Rows are as the model takes them, so that preprocessing outside the model is not
    counted; decoding its output is. The median of 30 predictions, or of as many, at least
    five, as two seconds allow, is robust to what else the machine does now and then, not
    to steady load.

    Args:
        candidate: Trained or not; the rows come from its validation rows, repeated.
        batch_size: Rows predicted together.
        clock: Measures seconds.

    Raises:
        ValueError: `batch_size` is below 1.
    """
    if batch_size < 1:
        raise ValueError(f"latency_batch is {batch_size}, expected 1 or more, or None")
    rows = candidate.x_val[np.arange(batch_size) % len(candidate.x_val)]

    def predict() -> None:
        predicted = np.asarray(candidate.model.predict_on_batch(rows))
        if candidate.decode is not None:
            candidate.decode(predicted)

    return median_ms(predict, clock)


def median_ms(
    predict: Callable[[], object], clock: Callable[[], float] = time.perf_counter
) -> float:
    """Median milliseconds of a call, after warm-up; see `latency_ms`.

    Args:
        predict: What is measured.
        clock: Measures seconds.
    """
    taken: list[float] = []
    for number in range(_WARM_UP + _REPEATS):
        started = clock()
        predict()
        if number >= _WARM_UP:
            taken.append(clock() - started)
        if len(taken) >= 5 and sum(taken) > _MAX_SECONDS:
            break
    return 1000.0 * float(np.median(taken))


def few_rows(problem: Problem) -> Problem:
    """Returns a problem of the same shapes and classes, with as few rows as show them.

    Networks of images, sequences and boxes depend on no more: building them for such a
    problem takes no longer than building. Those of texts and tables depend on vocabularies
    and categories, so that their problem stays as it is.
    """
    if problem.kind in ("text", "tabular"):
        return problem
    rows = np.arange(min(len(problem.y), 4))
    if problem.target == "classification":
        rows = np.unique(problem.y, return_index=True)[1]
    x, y = problem.x[rows], problem.y[rows]
    return replace(problem, x=x, y=y, x_val=x, y_val=y)

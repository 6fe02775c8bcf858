"""How long a trial will take, learned from all that was measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt

from meta_nni.policy.source import Source
from meta_nni.trial import Trial

__all__ = ["CostModel", "Seconds", "last_timed", "log_seconds"]

Floats = npt.NDArray[np.float64]

_RIDGE = 0.3  # variance of log seconds that configs do not explain, over that of an effect
_MAX_TIMED = 512
_SHORTEST, _LONGEST = 1e-6, 1e9  # seconds; no training takes less or more


class CostModel:
    """Predicts seconds: each run has its own level, configs shift it alike in all runs.

    `log s = level(run) + x beta`: effects multiply. beta comes from ridge regression on
    the differences to each run's means (the within estimator, Mundlak 1978), so that a
    slower machine moves the level only. The level is that of the run's own trials, or the
    weighted mean of the sources' levels before it has any.
    """

    def __init__(self, sources: Sequence[Source], weights: Floats) -> None:
        self._means: list[tuple[Floats, float]] = []
        self._weights: list[float] = []
        self._gram: Floats | float = 0.0
        self._moment: Floats | float = 0.0
        for source, weight in zip(sources, weights, strict=True):
            logs = [log_seconds(trial) for trial in source.trials]
            rows = [i for i, log in enumerate(logs) if log is not None]
            if rows:
                x, y = _flat(source.x[rows]), np.array([logs[i] for i in rows], float)
                gram, moment = _moments(x, y)
                self._gram, self._moment = self._gram + gram, self._moment + moment
                self._means.append((x.mean(0), float(y.mean())))
                self._weights.append(float(weight) + 1e-9)

    def after(self, own_x: Floats, own_logs: Floats) -> Seconds | None:
        """Returns what is known after the run's own trials; None if nothing is.

        Args:
            own_x: `vectors` of the run's trials that were timed, shape (T, P, F).
            own_logs: Log seconds of these trials, shape (T,).
        """
        gram, moment, means, weights = self._gram, self._moment, self._means, self._weights
        if len(own_logs):
            own = _flat(own_x)
            more = _moments(own, own_logs)
            gram, moment = gram + more[0], moment + more[1]
            means, weights = [(own.mean(0), float(own_logs.mean()))], [1.0]
        if not means:
            return None
        beta = _solve(np.asarray(gram), np.asarray(moment))
        level = np.average([log - row @ beta for row, log in means], weights=weights)
        return Seconds(float(level), beta)


@dataclass(frozen=True)
class Seconds:
    """What a training takes: `log s = level + x beta`.

    Attributes:
        level: Of the run.
        beta: Effects of the features, shape (P F,).
    """

    level: float
    beta: Floats

    def __call__(self, x: Floats) -> Floats:
        """Returns seconds for N candidates (N, P, F), shape (N,)."""
        return np.asarray(np.exp(self.level + _flat(x) @ self.beta), float)


def last_timed(trials: Sequence[Trial]) -> tuple[list[Trial], Floats]:
    """Returns those of a run's trials that were timed, and their log seconds.

    Of more than 512 the last ones, so that a decision does not take longer and longer.
    """
    logs = ((trial, log_seconds(trial)) for trial in reversed(trials))
    timed = [*islice(((trial, log) for trial, log in logs if log is not None), _MAX_TIMED)][::-1]
    return [trial for trial, _ in timed], np.array([log for _, log in timed], float)


def log_seconds(trial: Trial) -> float | None:
    """Log of the seconds of a whole training; None where it failed or was not timed."""
    seconds = trial.result.seconds if trial.result and trial.state == "completed" else None
    return math.log(seconds) if seconds is not None and _SHORTEST < seconds < _LONGEST else None


def _flat(x: Floats) -> Floats:
    return x.reshape(len(x), x.shape[1] * x.shape[2])


def _moments(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """`X'X` (P F, P F) and `X'y` (P F,) of the differences to the means."""
    apart: Floats = x - x.mean(0)
    return apart.T @ apart, apart.T @ (y - y.mean())


def _solve(gram: Floats, moment: Floats) -> Floats:
    """Effects (P F,); 0 for features that never vary, of which there are many."""
    used = np.flatnonzero(gram.diagonal() > 1e-12)
    beta = np.zeros(len(moment))
    ridge = _RIDGE * np.eye(len(used))
    beta[used] = np.linalg.solve(gram[np.ix_(used, used)] + ridge, moment[used])
    return beta

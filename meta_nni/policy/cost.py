"""How long a trial will take, learned from all that was measured."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from meta_nni.policy.kernel import Kernel
from meta_nni.policy.source import Source
from meta_nni.trial import Trial

__all__ = ["CostModel", "log_seconds"]

Floats = npt.NDArray[np.float64]

_MAX_TRIALS = 512


class CostModel:
    """Predicts seconds: each run has its own level, configs shift it alike in all runs.

    `log s = level(run) + shift(config)`; the shift is the kernel-weighted mean of what the
    sources measured (Nadaraya 1964), the level the mean of the run's own trials, or the
    mean of the sources' levels before it has any. So a slower machine moves the level only.
    """

    def __init__(self, kernel: Kernel, sources: Sequence[Source], weights: Floats) -> None:
        self._kernel = kernel
        rows = [
            (source.x[i], log, s)
            for s, source in enumerate(sources)
            for i, trial in enumerate(source.trials)
            if (log := log_seconds(trial)) is not None
        ]
        rows = rows[:: max(1, -(-len(rows) // _MAX_TRIALS))]
        self._x = np.stack([row[0] for row in rows]) if rows else None
        logs = np.array([row[1] for row in rows])
        owner = np.array([row[2] for row in rows], int)
        used = np.unique(owner)
        levels = np.array([logs[owner == s].mean() for s in used])
        self._shift = logs - levels[np.searchsorted(used, owner)] if rows else logs
        self._level = float(np.average(levels, weights=weights[used] + 1e-9)) if rows else None

    def _shifts(self, x: Floats) -> Floats:
        if self._x is None:
            return np.zeros(len(x))
        similarity = self._kernel(x, self._x)
        return np.asarray(similarity @ self._shift / (similarity.sum(1) + 0.1), float)

    def predict(self, x: Floats, own_x: Floats, own_logs: Floats) -> Floats | None:
        """Returns seconds for N candidates, shape (N,); None if nothing is known.

        Args:
            x: `vectors` of the candidates, shape (N, P, F).
            own_x: `vectors` of the run's T completed trials, shape (T, P, F).
            own_logs: Logarithms of their seconds, shape (T,).
        """
        level = self._level
        if len(own_logs):
            level = float(np.mean(own_logs - self._shifts(own_x)))
        return None if level is None else np.exp(level + self._shifts(x))


def log_seconds(trial: Trial) -> float | None:
    """Logarithm of a completed trial's seconds; None if it has none, or none positive."""
    if trial.state != "completed" or trial.result is None or not trial.result.seconds:
        return None
    return math.log(trial.result.seconds) if trial.result.seconds > 0 else None

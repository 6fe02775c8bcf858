"""Several objectives at once: the Pareto front, approached from a new direction each time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from meta_nni.controllers.candidates import Pool
from meta_nni.controllers.metric_model import KnownMetric, MetricModel
from meta_nni.controllers.observed import Observed
from meta_nni.limits import keeps, limits_of, measured
from meta_nni.objectives import Goal, objectives_of
from meta_nni.policy.posterior import Prediction
from meta_nni.trial import History, Result, Run

__all__ = ["Front", "Goals"]

Floats = npt.NDArray[np.float64]

_NUM_DRAWS = 128  # of each candidate's objectives
_RHO = 0.05  # Knowles 2006, eq. 2


class Goals:
    """The objectives of a run, with a model of each metric among them.

    Args:
        run: The run to come, of two or more objectives.
        sources: Earlier runs.
        rng: Source of randomness.
    """

    def __init__(self, run: Run, sources: Sequence[History], rng: np.random.Generator) -> None:
        self.goals = objectives_of(run)
        self.models = [
            None if _is_value(goal, run) else MetricModel(run, sources, goal.name, goal.sign, rng)
            for goal in self.goals
        ]

    def at(self, history: History, rng: np.random.Generator) -> Front:
        """Returns what is known after the trials of a history."""
        known = [None if model is None else model.at(history) for model in self.models]
        return Front(history, self, known, rng)


def _is_value(goal: Goal, run: Run) -> bool:
    """Whether a goal is the task's own value, which the main policy predicts."""
    own = (run.metric or "value").removeprefix("val_")
    return goal.objective == run.task.objective and goal.name in ("value", own)


class Front:
    """The objectives as far as they are known by now, and the direction looked in next.

    Args:
        history: The run.
        goals: What was learned from the sources.
        known: What is known of each objective; None for the task's own value.
        rng: Source of randomness.
    """

    def __init__(
        self,
        history: History,
        goals: Goals,
        known: Sequence[KnownMetric | None],
        rng: np.random.Generator,
    ) -> None:
        self._history, self._goals, self._known, self._rng = history, goals, known, rng
        self._weights = rng.dirichlet(np.ones(len(known)))
        self._noise = rng.standard_normal((_NUM_DRAWS, len(known)))

    def believing(self, pool: Pool) -> Front:
        """Returns what would be known if the config of a pool of one came as predicted."""
        known = [None if each is None else each.believing(pool) for each in self._known]
        return Front(self._history, self._goals, known, self._rng)

    def screen(self, observed: Observed, pool: Pool) -> Floats:
        """A cheap first look: the weighted sum of what each objective is expected to be."""
        total = np.zeros(len(pool.configs))
        for weight, each in zip(self._weights, self._known, strict=True):
            if each is None:
                found = observed.posterior.screen(pool.x, pool.features)
            else:
                found = each.observed.posterior.screen(pool.x, each.model.features(pool))
            total += weight * found
        return total

    def improvement(self, prediction: Prediction, observed: Observed, pool: Pool) -> Floats:
        """Expected improvement over what was measured, by Monte Carlo, shape (N,).

        Of one random augmented Chebyshev scalarisation (ParEGO, Knowles 2006), with a model of
        each objective instead of one of the scalarised value, so that what other tasks say
        of each counts. Objectives, warped, are scaled to 0..1 between the worst and the best
        measured, and are taken as independent.
        """
        points = self._points(observed)
        predictions = [prediction if each is None else each.predict(pool) for each in self._known]
        means = np.stack([each.mean for each in predictions], axis=1)  # (N, M)
        stds = np.stack([_deviation(each) for each in predictions], axis=1)
        draws = means[:, None] + stds[:, None] * self._noise  # (N, K, M)
        if len(points) == 0:
            return np.asarray(self._chebyshev(draws).mean(axis=1), float)
        low, span = points.min(axis=0), np.ptp(points, axis=0)
        span = np.where(span > 0.0, span, 1.0)
        draws, points = (draws - low) / span, (points - low) / span
        best = float(self._chebyshev(points).max())
        return np.asarray(np.maximum(self._chebyshev(draws) - best, 0.0).mean(axis=1), float)

    def _chebyshev(self, y: Floats) -> Floats:
        """The augmented Chebyshev scalarisation, higher is better (Knowles 2006, eq. 2)."""
        missed = self._weights * (1.0 - y)
        return np.asarray(-(missed.max(axis=-1) + _RHO * missed.sum(axis=-1)), float)

    def _points(self, observed: Observed) -> Floats:
        """Warped objectives of the trials that count and of those still awaited, (T, M)."""
        limits = limits_of(self._history.run)
        rows = [
            self._row(trial.result, observed)
            for trial in self._history.completed
            if keeps(limits, trial.result)
        ]
        awaited = [(observed if each is None else each.observed).believed for each in self._known]
        measured_rows = [row for row in rows if row is not None]
        return np.concatenate(
            [np.reshape(measured_rows, (-1, len(self._known))), np.stack(awaited, axis=1)]
        )

    def _row(self, result: Result | None, observed: Observed) -> list[float] | None:
        row = []
        for goal, each in zip(self._goals.goals, self._known, strict=True):
            number = measured(result, "value" if each is None else goal.name)
            if number is None:
                return None
            warp = observed.warp if each is None else each.observed.warp
            scaled = observed.sign * number if each is None else each.model.scale(number)
            row.append(float(warp.forward(np.array(scaled))))
        return row


def _deviation(prediction: Prediction) -> Floats:
    """Standard deviation of the mixture without the noise of a measurement, (N,)."""
    second = prediction.probabilities @ (prediction.stds**2 + prediction.means**2)
    return np.asarray(np.sqrt(np.maximum(second - prediction.mean**2, 1e-12)), float)

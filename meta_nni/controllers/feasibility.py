"""Which configs keep the limits of a run: learned, and counted where counting is possible."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from meta_nni.controllers.candidates import Pool
from meta_nni.controllers.metric_model import KnownMetric, MetricModel
from meta_nni.controllers.observed import Observed
from meta_nni.limits import Limit, keeps, limits_of
from meta_nni.trial import Config, History, Result, Run, Suggestion, Trial

__all__ = ["MOST_BUILDS", "Count", "Feasibility", "Limits"]

Floats = npt.NDArray[np.float64]

Count = Callable[[Config], float]
"""Counts the parameters of a config's model by building it; inf where it cannot be built."""

COUNTED = "parameters"
MOST_BUILDS = 40  # of models for one proposal
_NUM_DESIGNED = 40  # random configs that are counted before the first proposal
# What looks feasible is so less often than predicted (the optimizer's curse), hence 0.95. The
# first trials risk more: what they tell of the limits serves all later ones. Both numbers were
# chosen by looking at two of the cases of experiments/constraints.
_NUM_RISKY, _RISKY, _CONFIDENT = 10, 0.5, 0.95
_ENOUGH = 1000  # feasible candidates among which the best is sought
_CHUNK = 1000  # candidates whose feasibility is predicted together

_log = logging.getLogger(__name__)


class Limits:
    """The limits of a run, with a model of each limited metric.

    Args:
        run: The run to come.
        sources: Earlier runs; what they measured of a metric is experience with it.
        rng: Source of randomness.
        count: Counts parameters; None leaves them to be learned as other metrics are, and so
            does a trial that measured another number.
    """

    def __init__(
        self,
        run: Run,
        sources: Sequence[History],
        rng: np.random.Generator,
        count: Count | None = None,
    ) -> None:
        self.limits = limits_of(run)
        self._models = [
            MetricModel(run, sources, limit.name, _sign(limit), rng) for limit in self.limits
        ]
        self._count = count if any(limit.name == COUNTED for limit in self.limits) else None
        self._space, self._counts = run.space, dict[str, float]()
        # Counted before the first proposal, whatever it will be: a resumed run knows the same.
        self._designed = [
            _counted(f"counted-{i}", config, self.count(config))
            for i, config in enumerate(run.space.sample(rng) for _ in range(_NUM_DESIGNED))
            if self._count is not None
        ]

    def count(self, config: Config) -> float:
        """Parameters of a config, each model built only once; 0 where nothing counts them."""
        if self._count is None:
            return 0.0
        key = self._space.key(config)
        if key not in self._counts:
            self._counts[key] = float(self._count(config))
        return self._counts[key]

    def allows(self, config: Config) -> bool:
        """Whether a config keeps the limit of what is counted: certain, not predicted."""
        if self._count is None:
            return True
        number = self.count(config)
        return all(limit.holds(number) for limit in self.limits if limit.name == COUNTED)

    def first_allowed(self, pool: Pool) -> Pool:
        """Returns the first config that keeps what is counted, as a pool of one.

        Of a pool whose first ones all break it, the one that does least.
        """
        tried = range(min(MOST_BUILDS, len(pool.configs)))
        best = next((i for i in tried if self.allows(pool.configs[i])), None)
        if best is None:
            best = min(tried, key=lambda i: self._excess(self.count(pool.configs[i])))
        return pool.take([best])

    def _excess(self, number: float) -> float:
        return sum(
            max(limit.low - number, number - limit.high)
            for limit in self.limits
            if limit.name == COUNTED
        )

    def at(self, history: History) -> Feasibility:
        """Returns what is known after the trials of a history."""
        self._compare(history)
        known = [
            model.at(history, self._designed if model.name == COUNTED else ())
            for model in self._models
        ]
        risky = len(history.trials) < _NUM_RISKY
        return Feasibility(self, known, _RISKY if risky else _CONFIDENT)

    def _compare(self, history: History) -> None:
        """Counts no more where a trial measured another number: its rows may be others."""
        for trial in history.completed:
            measured = None if trial.result is None else trial.result.metrics.get(COUNTED)
            if self._count is None or measured is None:
                continue
            if (number := self.count(trial.config)) != measured:
                _log.warning(
                    "trial %s measured %g parameters where %g were counted: the trials' rows or "
                    "models are not those that the counting knows; the limit on parameters is "
                    "learned from the trials instead",
                    *(trial.trial_id, measured, number),
                )
                self._count, self._designed = None, []


@dataclass(frozen=True)
class Feasibility:
    """Which configs keep the limits, as far as that is known by now.

    Attributes:
        limits: The limits.
        known: Their metrics, one for each.
        floor: Probability below which a config is not proposed.
    """

    limits: Limits
    known: Sequence[KnownMetric]
    floor: float
    hopeless: bool = False
    _found: dict[str, float] = field(default_factory=dict, repr=False)

    def probability(self, pool: Pool) -> Floats:
        """Probability that configs keep all limits, taken as independent, shape (N,).

        Gelbart et al. 2014, eq. 3.
        """
        new = pool.take(i for i, key in enumerate(pool.keys) if key not in self._found)
        if new.configs:
            each = [
                known.probability(limit, new)
                for known, limit in zip(self.known, self.limits.limits, strict=True)
            ]
            self._found.update(zip(new.keys, np.prod(each, axis=0).tolist(), strict=True))
        return np.array([self._found[key] for key in pool.keys])

    def likely(self, pool: Pool) -> Pool:
        """Returns the candidates that may be proposed."""
        return pool.take(np.flatnonzero(self.probability(pool) >= self.floor))

    def first_likely(self, pool: Pool, order: npt.NDArray[np.intp]) -> tuple[Pool, Feasibility]:
        """Returns the first candidates that may be proposed, and the floor that they keep.

        Where none is confidently feasible these are the likeliest ones, as while nothing
        feasible is known (Gelbart et al. 2014, section 3.2).

        Args:
            pool: All candidates, N.
            order: In which they are looked at, shape (N,).
        """
        kept: list[int] = []
        most = 0.0
        for start in range(0, len(order), _CHUNK):
            rows = order[start : start + _CHUNK]
            found = self.probability(pool.take(rows))
            kept += rows[found >= self.floor].tolist()
            most = max(most, float(found.max()))
            if len(kept) >= _ENOUGH:
                break
        if kept:
            return pool.take(kept[:_ENOUGH]), self
        lower = replace(self, floor=most, hopeless=True)
        return lower.likely(pool), lower

    def incumbents(self, observed: Observed) -> Floats:
        """Warped values of the trials that keep the limits, and of those still awaited."""
        feasible = [keeps(self.limits.limits, trial.result) for trial in observed.trials]
        z = observed.evidence.z
        return z[[*feasible, *[True] * (len(z) - len(feasible))]]


def _sign(limit: Limit) -> float:
    """What has an upper limit is a cost."""
    return -1.0 if limit.high < math.inf else 1.0


def _counted(trial_id: str, config: Config, number: float) -> Trial:
    trial = Trial(trial_id, 0, Suggestion(config, "counted"))
    return trial.with_result(Result(0.0, metrics={COUNTED: number}))

"""What a run asks for besides its value, as the meta-learned controller heeds it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from meta_nni.controllers.candidates import Pool
from meta_nni.controllers.feasibility import Count, Feasibility, Limits
from meta_nni.controllers.observed import Observed
from meta_nni.controllers.pareto import Front, Goals
from meta_nni.limits import keeps, limits_of
from meta_nni.objectives import front, objectives_of
from meta_nni.policy.posterior import Prediction, expected_improvement
from meta_nni.trial import History, Run

__all__ = ["Aims", "AimsNow"]

Floats = npt.NDArray[np.float64]

_NUM_LEADERS = 2  # of the Pareto front, whose neighbours become candidates


class Aims:
    """Limits and objectives of a run, learned from the sources.

    Args:
        limits: The run's limits, if it has any.
        goals: Its objectives, if it has several.
    """

    def __init__(self, limits: Limits | None, goals: Goals | None) -> None:
        self._limits, self._goals = limits, goals

    @classmethod
    def of(
        cls,
        run: Run,
        sources: Sequence[History],
        rng: np.random.Generator,
        count: Count | None = None,
    ) -> Aims | None:
        """Learns a run's aims; None, and `rng` as it was, where its value is all it wants.

        Args:
            run: The run to come.
            sources: Earlier runs.
            rng: Source of randomness.
            count: See `Limits`.
        """
        limits = Limits(run, sources, rng, count) if limits_of(run) else None
        goals = Goals(run, sources, rng) if objectives_of(run) else None
        return None if limits is None and goals is None else cls(limits, goals)

    def at(self, history: History, rng: np.random.Generator) -> AimsNow:
        """Returns the aims after the trials of a history."""
        feasible = None if self._limits is None else self._limits.at(history)
        ahead = None if self._goals is None else self._goals.at(history, rng)
        return AimsNow(history, feasible, ahead)


class AimsNow:
    """Limits and objectives as far as they are known by now.

    Args:
        history: The run.
        feasible: Its limits, if it has any.
        ahead: Its objectives, if it has several.
    """

    def __init__(self, history: History, feasible: Feasibility | None, ahead: Front | None) -> None:
        self._history, self._feasible, self._ahead = history, feasible, ahead

    def believing(self, chosen: Pool) -> AimsNow:
        """Returns the aims if the config of a pool of one came as predicted."""
        ahead = None if self._ahead is None else self._ahead.believing(chosen)
        return AimsNow(self._history, self._feasible, ahead)

    def leaders(self, rng: np.random.Generator) -> History:
        """Returns the trials whose neighbours are worth a look, as a history."""
        run, trials = self._history.run, self._history.completed
        if self._ahead is not None:
            best = front(self._history)
            chosen = rng.permutation(len(best))[:_NUM_LEADERS]
            return History(run, tuple(best[i] for i in chosen))
        limits = limits_of(run)
        return History(run, tuple(t for t in trials if keeps(limits, t.result)) or trials)

    def narrowed(self, pool: Pool, observed: Observed) -> tuple[Pool, AimsNow]:
        """Returns the candidates that may well be feasible, and the aims among them."""
        if self._feasible is None:
            return pool, self
        look = self.look(pool, observed)
        pool, feasible = self._feasible.first_likely(pool, np.argsort(-look, kind="stable"))
        return pool, AimsNow(self._history, feasible, self._ahead)

    def likely(self, pool: Pool) -> Pool:
        """Returns those of further candidates that may be proposed."""
        return pool if self._feasible is None else self._feasible.likely(pool)

    def look(self, pool: Pool, observed: Observed) -> Floats:
        """A cheap first look at how good candidates are, shape (N,)."""
        if self._ahead is not None:
            return self._ahead.screen(observed, pool)
        return observed.posterior.screen(pool.x, pool.features)

    def gain(self, prediction: Prediction, observed: Observed, pool: Pool) -> Floats:
        """What is to be maximised, shape (N,).

        Expected improvement, of the value over the best feasible one or of the front, times
        the probability of feasibility (Gardner et al. 2014, eq. 8; Gelbart et al. 2014,
        eq. 4); that probability alone where no candidate is likely to be feasible.
        """
        if self._feasible is None:
            assert self._ahead is not None
            return self._ahead.improvement(prediction, observed, pool)
        probability = self._feasible.probability(pool)
        if self._feasible.hopeless:
            return probability
        if self._ahead is not None:
            return probability * self._ahead.improvement(prediction, observed, pool)
        best = self._feasible.incumbents(observed)
        if len(best) == 0:
            return prediction.mean
        return probability * expected_improvement(prediction, float(best.max()))

    def allows(self, chosen: Pool) -> bool:
        """Whether the config of a pool of one keeps the limit of what can be counted."""
        return self._feasible is None or self._feasible.limits.allows(chosen.configs[0])

    def first_allowed(self, pool: Pool) -> Pool:
        """Returns the first config that keeps what is counted, as a pool of one.

        Of a pool whose first ones all break it, the one that does least.
        """
        return (
            pool.take([0]) if self._feasible is None else self._feasible.limits.first_allowed(pool)
        )

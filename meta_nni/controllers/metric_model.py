"""Any measured number of a trial, predicted as its value is: from other tasks and the run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from meta_nni.controllers.candidates import Pool
from meta_nni.controllers.encoded import EncodedTrials
from meta_nni.controllers.observed import Observed
from meta_nni.limits import Limit, measured
from meta_nni.policy.additive import AdditiveKernel
from meta_nni.policy.kernel import vectors
from meta_nni.policy.posterior import Prediction
from meta_nni.policy.training import train
from meta_nni.trial import History, Result, Run, Trial

__all__ = ["KnownMetric", "MetricModel"]

Floats = npt.NDArray[np.float64]

_NUM_DRAWN = 200  # configs that show how far apart values are
_SMALLEST = 1e-9  # costs below it count as it: their logarithms stay finite


class MetricModel:
    """Learns a metric across tasks by the very policy that learns values, see `policy`.

    A number of which less is better is a cost: its logarithm is learned, since the effects of
    decisions on parameters, latency or memory multiply. Costs that are not all above 0, of the
    sources or, where those say nothing, of the run, are learned as they are. One more hypothesis
    is that decisions act each on its own, see `AdditiveKernel`. Runs that did not measure the
    metric say nothing.

    Args:
        run: The run to come.
        sources: Earlier runs.
        name: The metric, see `meta_nni.limits.measured`.
        sign: +1.0 if more of it is better, else -1.0.
        rng: Source of randomness.

    Attributes:
        name: The metric.
        sign: +1.0 if more of it is better, else -1.0.
        policy: What the sources say of it.
    """

    def __init__(
        self,
        run: Run,
        sources: Sequence[History],
        name: str,
        sign: float,
        rng: np.random.Generator,
    ) -> None:
        self.name, self.sign = name, sign
        trials = [trial for source in sources for trial in source.trials]
        self._told, self._logs = bool(self._numbers(trials)), self._multiply(trials)
        histories = [self._measured(source) for source in sources]
        policy = train(self._own(run), histories, rng)
        drawn = vectors(run.space, [run.space.sample(rng) for _ in range(_NUM_DRAWN)])
        kernels = (*policy.kernels, AdditiveKernel.default(drawn))
        self.policy = replace(policy, kernels=kernels)
        self._encoded = EncodedTrials(run.space, self.policy)
        self._rows: dict[str, Floats] = {}

    def at(self, history: History, others: Sequence[Trial] = ()) -> KnownMetric:
        """Returns what is known after the run's trials, and other trials of this task."""
        trials, model = (*others, *history.trials), copy(self)
        if not self._told:
            model._logs = self._multiply(trials)
        found = model._measured(History(history.run, trials))
        return KnownMetric(model, Observed.of(found, self.policy, self._encoded))

    def features(self, pool: Pool) -> Floats:
        """The sources' predictions of the metric, shape (N, S), each config's only once."""
        new = [i for i, key in enumerate(pool.keys) if key not in self._rows]
        if new:
            rows = self.policy.features(pool.x[new])
            self._rows.update(zip((pool.keys[i] for i in new), rows, strict=True))
        shape = len(pool.keys), len(self.policy.weights)
        return np.reshape([self._rows[key] for key in pool.keys], shape).astype(float)

    def scale(self, number: float) -> float:
        """A measured number as it is learned: higher is better, the logarithm of most costs."""
        return -float(np.log(max(number, _SMALLEST))) if self._logs else self.sign * number

    def _multiply(self, trials: Iterable[Trial]) -> bool:
        """Whether the metric is a cost that has a logarithm in all of these trials."""
        return self.sign < 0 and all(number > 0 for number in self._numbers(trials))

    def _numbers(self, trials: Iterable[Trial]) -> list[float]:
        numbers = [measured(t.result, self.name) for t in trials if t.state == "completed"]
        return [number for number in numbers if number is not None]

    def _own(self, run: Run) -> Run:
        return replace(run, task=replace(run.task, objective="maximize"), metric=self.name)

    def _measured(self, history: History) -> History:
        """The history with the metric for its value. Pending trials stay; others say nothing."""
        turned = map(self._turned, history.trials)
        return History(self._own(history.run), tuple(t for t in turned if t is not None))

    def _turned(self, trial: Trial) -> Trial | None:
        if trial.state in ("proposed", "running"):
            return trial
        number = measured(trial.result, self.name) if trial.state == "completed" else None
        return None if number is None else trial.with_result(Result(self.scale(number)))


@dataclass(frozen=True)
class KnownMetric:
    """A metric as far as it is known by now.

    Attributes:
        model: What was learned from the sources.
        observed: What the run shows.
    """

    model: MetricModel
    observed: Observed

    def believing(self, pool: Pool) -> KnownMetric:
        """Returns what would be known if the config of a pool of one came as predicted."""
        return replace(self, observed=self.observed.believing(pool.x, self.model.features(pool)))

    def predict(self, pool: Pool) -> Prediction:
        """Predicts the metric, warped, of N candidates."""
        return self.observed.posterior.predict(pool.x, self.model.features(pool))

    def probability(self, limit: Limit, pool: Pool) -> Floats:
        """Probability of keeping a limit, shape (N,); 1 where nothing at all is known.

        The mass of the predictive distribution between the limits (Gardner et al. 2014,
        section 3.2), which is the same in warped and in measured numbers.
        """
        if not self.observed.measurable:
            return np.ones(len(pool.configs))
        prediction = self.predict(pool)
        stds = np.sqrt(prediction.stds**2 + prediction.noises[:, None] ** 2)
        low, high = sorted(self._warped(end) for end in (limit.low, limit.high))
        mass = ndtr((high - prediction.means) / stds) - ndtr((low - prediction.means) / stds)
        return np.asarray(np.clip(prediction.probabilities @ mass, 0.0, 1.0), float)

    def _warped(self, number: float) -> float:
        if not np.isfinite(number):
            return self.model.sign * number
        return float(self.observed.warp.forward(np.array(self.model.scale(number))))

"""The meta-learned controller: earlier tasks propose, this run's results correct them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from meta_nni.controllers.candidates import Candidates
from meta_nni.controllers.encoded import EncodedTrials
from meta_nni.controllers.fresh import draw_fresh
from meta_nni.policy.cost import CostModel, log_seconds
from meta_nni.policy.kernel import vectors
from meta_nni.policy.posterior import Evidence, Posterior, Prediction, expected_improvement
from meta_nni.policy.training import Policy, train
from meta_nni.policy.warp import Warp
from meta_nni.trial import Config, History, Run, Suggestion

__all__ = ["MetaController"]

Floats = npt.NDArray[np.float64]

_INITIAL = 4  # random trials of a run without sources, before its own model decides
_EXPLORE_EVERY = 8  # with sources: each eighth trial asks the cold model alone
_FAILURE_GAP = 0.5  # a failure counts as this much below the worst value, warped

# Threads of linear algebra only wait for one another while trials use every core, and
# their number changes rounding, so that a seed would give other proposals elsewhere.
_ONE_THREAD = {"limits": 1, "user_api": "blas"}


class MetaController:
    """Proposes by expected improvement under a posterior over sources and a cold model.

    The first trial already comes from other tasks; every result changes the next
    proposal at once (see `policy.posterior`). Without sources it is Bayesian optimisation
    from four random trials on. Failures count as bad results, pending trials as having
    reached what was predicted of them, so that a batch spreads (kriging believer,
    Ginsbourger et al. 2010).
    """

    def __init__(self) -> None:
        self._policy: Policy | None = None

    def learn(self, run: Run, sources: Sequence[History], rng: np.random.Generator) -> None:
        """Trains the policy on the sources; a few seconds at most."""
        with threadpool_limits(**_ONE_THREAD):
            self._policy = train(run, sources, rng)
            self._candidates = Candidates(run.space, self._policy, rng)
        self._encoded = EncodedTrials(run.space, self._policy)
        self._cost = CostModel(self._policy.sources, self._policy.weights)

    def propose(self, history: History, count: int, rng: np.random.Generator) -> list[Suggestion]:
        """See `Controller.propose`."""
        if self._policy is None:
            # A stream of its own, so that `rng` gives the same proposals to a trained policy.
            self.learn(history.run, (), rng.spawn(1)[0])
        with threadpool_limits(**_ONE_THREAD):
            return self._propose(history, count, rng)

    def _propose(self, history: History, count: int, rng: np.random.Generator) -> list[Suggestion]:
        assert self._policy is not None
        state = _observe(history, self._policy, self._encoded)
        seen = self._encoded.keys(history.trials)
        suggestions: list[Suggestion] = []
        for number in range(len(history.trials), len(history.trials) + count):
            suggestion = self._next(history, state, number, seen, rng)
            if suggestion is None:
                break
            suggestions.append(suggestion)
            state = self._believe(history, state, suggestion.config)
        return suggestions

    def _next(
        self, history: History, state: _State, number: int, seen: set[str], rng: np.random.Generator
    ) -> Suggestion | None:
        assert self._policy is not None
        warm = len(self._policy.sources) > 0
        if not warm and number < _INITIAL:
            config = draw_fresh(history.run.space, seen, rng)
            why = "drawn at random: nothing is known yet"
            return None if config is None else Suggestion(config, "exploration", why=why)
        pool = self._candidates.fresh(history, seen, rng)
        if pool is None:
            return None
        configs, x, features = pool
        explore = warm and number % _EXPLORE_EVERY == _EXPLORE_EVERY - 1
        prediction = state.posterior.predict(x, features, cold=explore)
        first = state.num_measured == 0 and not explore
        best = float(state.z.max()) if len(state.z) else 0.0
        score = prediction.mean if first else expected_improvement(prediction, best)
        index = int(np.argmax(score))
        seen.add(history.run.space.key(configs[index]))
        source = "exploration" if explore else "adapted" if state.num_measured else "zero-shot"
        believed = state.posterior.predict(x[[index]], features[[index]])
        return self._suggest(history, state, configs[index], x[[index]], source, believed)

    def _suggest(
        self,
        history: History,
        state: _State,
        config: Config,
        x: Floats,
        source: str,
        prediction: Prediction,
    ) -> Suggestion:
        assert self._policy is not None
        mean = std = None
        if state.measurable:
            z, width = float(prediction.mean[0]), float(prediction.std[0])
            mean = history.run.task.sign * float(state.warp.inverse(np.array(z)))
            std = state.warp.deviation(z, width)
        logs = [log_seconds(trial) for trial in history.trials]
        timed = [t for t, log in zip(history.trials, logs, strict=True) if log is not None]
        own = np.array([log for log in logs if log is not None])
        seconds = self._cost.predict(x, self._encoded(timed)[0], own)
        why = _explain(self._policy, state, x)
        return Suggestion(
            config, source, mean, std, None if seconds is None else float(seconds[0]), why
        )

    def _believe(self, history: History, state: _State, config: Config) -> _State:
        """The state after a pending config reached its predicted value."""
        assert self._policy is not None
        x = vectors(history.run.space, [config])
        return state.with_pending(self._policy, x)


@dataclass(frozen=True)
class _State:
    """What the controller knows of a run: its results, warped, and the posterior."""

    x: Floats
    features: Floats
    z: Floats
    warp: Warp
    num_measured: int
    measurable: bool
    posterior: Posterior

    def with_pending(self, policy: Policy, x: Floats) -> _State:
        features = policy.features(x)
        z = self.posterior.predict(x, features).mean
        joined = (
            np.concatenate([self.x, x]),
            np.concatenate([self.features, features]),
            np.concatenate([self.z, z]),
        )
        posterior = Posterior(policy.kernel, policy.weights, Evidence(*joined))
        return _State(*joined, self.warp, self.num_measured, self.measurable, posterior)


def _observe(history: History, policy: Policy, encoded: EncodedTrials) -> _State:
    ended = [trial for trial in history.trials if trial.state in ("completed", "failed")]
    sign = history.run.task.sign
    values = np.array([sign * trial.value for trial in ended if trial.value is not None], float)
    warp = Warp.fit(values, policy.prior)
    warped = warp.forward(values)
    worst = (float(warped.min()) if len(warped) else -1.0) - _FAILURE_GAP
    z = np.full(len(ended), worst)
    z[[trial.value is not None for trial in ended]] = warped
    x, features = encoded(ended)
    posterior = Posterior(policy.kernel, policy.weights, Evidence(x, features, z))
    measurable = len(values) > 0 or policy.prior is not None
    state = _State(x, features, z, warp, len(ended), measurable, posterior)
    for trial in history.pending:
        state = state.with_pending(policy, vectors(history.run.space, [trial.config]))
    return state


def _explain(policy: Policy, state: _State, x: Floats) -> str:
    """Names the sources that speak most for a config, and their nearest good trial."""
    if not policy.sources:
        return f"learned from this run's {state.num_measured} results"
    weights = state.posterior.source_weights()
    support = weights * policy.features(x)[0]
    parts = []
    for s in np.argsort(-support)[:2]:
        source = policy.sources[s]
        good = max(1, len(source.trials) // 4)
        similarity = policy.kernel.masked(source.mask)(x, source.x[:good])[0]
        nearest = source.trials[int(np.argmax(similarity))]
        value = "failed" if nearest.value is None else f"reached {nearest.value:.4g}"
        parts.append(f"{source.name} (weight {weights[s]:.2f}): trial {nearest.number} {value}")
    cold = state.posterior.cold_probability
    return "; ".join(parts) + f"; weight of no transfer {cold:.2f}"

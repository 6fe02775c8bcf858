"""REINFORCE: a policy over configs that follows the gradient of what its configs earned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy.special import ndtri
from scipy.stats import rankdata

from meta_nni.controllers.fidelity import at_full_budget
from meta_nni.controllers.fresh import draw_fresh, tried_keys
from meta_nni.policy.adam import Adam
from meta_nni.policy.decisions import Decisions
from meta_nni.policy.episodes import allowed_options
from meta_nni.policy.generator import stream
from meta_nni.policy.network import Network
from meta_nni.policy.neural import NeuralPolicy
from meta_nni.task import Task
from meta_nni.trial import Config, History, Run, Suggestion, Trial

__all__ = ["ReinforceController"]

_SEED = 0  # of the untrained network: a run without sources must not depend on a draw
_KEEP_EVERY = 16  # trials between the replays that are kept to go on from


@dataclass
class ReinforceController:
    """Policy gradient over the network's generator (Williams 1992), one step per result.

    It is the controller of ENAS (Pham et al. 2018, section 2.2) without weight sharing:
    Adam on `-(R - b) grad log p(config)` with an entropy bonus and b the moving average of
    the rewards. The reward R is the normal score of the result's rank among the results so
    far, failures last, so that neither scale nor direction of the metric matters.

    The weights that decide are those of the generator, trained on sources or uniform,
    after replaying the history's results; replays are kept, keyed by the very trials.

    Attributes:
        warm: Starts from the generator trained on the sources, if there are any, instead
            of from uniform.
        rate: Of Adam.
        bonus: Weight of the entropy, in rewards per nat.
        decay: Of the moving average of rewards.
        steps: Of training on the sources; None leaves it to `NeuralPolicy.train`.
    """

    warm: bool = True
    rate: float = 0.03
    bonus: float = 0.1
    decay: float = 0.8
    steps: int | None = None
    _learner: _Learner | None = field(default=None, init=False, repr=False)
    _replays: list[_Learner] = field(default_factory=list, init=False, repr=False)

    def learn(self, run: Run, sources: Sequence[History], rng: np.random.Generator) -> None:
        """Trains the generator on the sources: some seconds, and TensorFlow is loaded."""
        network = Network.initial(Decisions(run.space), _SEED)
        if self.warm and sources:
            seed = int(rng.integers(2**31))
            sources = [at_full_budget(source) for source in sources]
            network = NeuralPolicy.train(run.space, sources, seed=seed, steps=self.steps).network
        self._learner, self._replays = _Learner(network), []

    def propose(self, history: History, count: int, rng: np.random.Generator) -> list[Suggestion]:
        """See `Controller.propose`."""
        if self._learner is None:
            self.learn(history.run, (), rng)
        learner = self._replay(history)
        space, seen = history.run.space, tried_keys(history)
        why = f"drawn from the policy after {len(learner.trials)} results"
        suggestions: list[Suggestion] = []
        while len(suggestions) < count:
            hotter = stream(learner.network, history.run.task, rng)
            config = draw_fresh(space, seen, rng, hotter.__next__)
            if config is None:
                break
            suggestions.append(Suggestion(config, "reinforce", why=why))
        return suggestions

    def _replay(self, history: History) -> _Learner:
        """The learner after all results of the history, in the order of their trials."""
        assert self._learner is not None
        ended = tuple(t for t in history.trials if t.state in ("completed", "failed"))
        known = [replay for replay in self._replays if replay.precedes(ended)]
        learner = max(known, key=lambda replay: len(replay.trials), default=self._learner)
        kept = [replay for replay in known if len(replay.trials) % _KEEP_EVERY == 0]
        for trial in ended[len(learner.trials) :]:
            learner = self._step(learner, trial, history.run.task)
            if len(learner.trials) % _KEEP_EVERY == 0:
                kept.append(learner)
        self._replays = [*kept, learner]
        return learner

    def _step(self, learner: _Learner, trial: Trial, task: Task) -> _Learner:
        trials = (*learner.trials, trial)
        reward = _score(trials, task.sign)
        advantage = reward - learner.baseline
        network, adam = learner.network, learner.adam
        slopes = _gradients(network, trial.config, task, advantage, self.bonus)
        weights, adam = adam.step(network.weights, slopes, self.rate)
        baseline = self.decay * learner.baseline + (1 - self.decay) * reward
        return replace(
            learner,
            network=Network(network.decisions, weights),
            adam=adam,
            baseline=baseline,
            trials=trials,
        )


@dataclass(frozen=True)
class _Learner:
    """The weights, and all else that the next step depends on, after some results."""

    network: Network
    adam: Adam = field(default_factory=Adam)
    baseline: float = 0.0
    trials: tuple[Trial, ...] = ()

    def precedes(self, ended: Sequence[Trial]) -> bool:
        """Whether its trials are the first of these: the very same, not just equal."""
        return len(self.trials) <= len(ended) and all(map(_is, self.trials, ended))


def _is(a: object, b: object) -> bool:
    return a is b


def _score(trials: Sequence[Trial], sign: float) -> float:
    """Normal score of the last trial's rank among all of them."""
    values = [-np.inf if trial.value is None else sign * trial.value for trial in trials]
    return float(ndtri((rankdata(values)[-1] - 0.5) / len(values)))


def _gradients(
    network: Network, config: Config, task: Task, advantage: float, bonus: float
) -> dict[str, Any]:
    """Gradients of the REINFORCE loss of one config, by weight of the generator."""
    from meta_nni.policy.losses import Episode, policy_gradients  # loads TensorFlow

    rows = network.decisions.space.encode(config)[None]
    nothing = np.zeros(1, np.float32)
    episode = Episode(
        rows=rows.transpose(1, 0, 2),
        codes=network.decisions.codes(rows).T,
        tasks=task.embedding()[None],
        groups=np.zeros(1, np.int64),
        scores=nothing,
        present=nothing,
        known=nothing,
        shares=nothing,
        allowed=allowed_options(network.decisions),
    )
    weights, advantages = dict(network.weights), np.array([advantage], np.float32)
    slopes = policy_gradients(weights, episode, advantages, np.float32(bonus))
    return {name: np.asarray(slope) for name, slope in slopes.items() if slope is not None}

"""Training across tasks: how configs compare (task loss), how tasks do (meta loss)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

import numpy as np
import numpy.typing as npt

from meta_nni.policy.coregionalization import fit_together
from meta_nni.policy.ensemble import Ensemble, are_sparse
from meta_nni.policy.kernel import Kernel, fit_relevance, unscaled, vectors
from meta_nni.policy.neural import NeuralPolicy
from meta_nni.policy.source import MAX_TRIALS, MIN_TRIALS, Source
from meta_nni.policy.warp import Warp
from meta_nni.task import Task
from meta_nni.trial import History, Run

__all__ = ["Policy", "train"]

Floats = npt.NDArray[np.float64]

_MAX_SOURCES = 64  # the nearest tasks; bounds the cost of deciding
_MAX_ROWS = 3328  # of all sources together; with many, each one's own model needs fewer
_MAX_FIT = (24, 80)  # tasks, and trials of each, in the task loss: a few seconds
_NETWORK_SHARE = 0.4  # of the first say; what a run measures moves it
_TEMPERATURES = (0.05, 0.2, 0.5, 1.0, 3.0, np.inf)
"""Candidates for the width of task similarity, in units of the median squared distance."""


@dataclass(frozen=True)
class Policy:
    """What was learned from the sources, ready to be adapted to a run.

    Attributes:
        kernels: Hypotheses about the similarity of configs: learned across the sources,
            and, where there are any, what to believe without them.
        sources: The S sources.
        weights: How much each prediction is believed before the run has a result, float64,
            sum to 1: one for each source, and after them one for the network if there is one.
        prior: Expected location and scale of the run's values, turned so that higher is
            better; None without sources.
        temperature: Width of task similarity that the meta loss chose.
        task: The task to come.
        network: Learned from all sources together, if there is one.
    """

    kernels: tuple[Kernel, ...]
    sources: tuple[Source, ...]
    weights: Floats
    prior: Warp | None
    temperature: float
    task: Task
    network: NeuralPolicy | None = None

    @property
    def kernel(self) -> Kernel:
        """Similarity of configs, learned across the sources."""
        return self.kernels[0]

    @property
    def is_sparse(self) -> bool:
        """Whether there are sources, and they have few trials each."""
        return are_sparse(self.sources)

    @cached_property
    def _ensemble(self) -> Ensemble:
        return Ensemble(self.kernel, self.sources)

    def features(self, x: Floats) -> Floats:
        """Predictions for N candidates (N, P, F), shape (N, S): a column for each weight."""
        columns = self._ensemble.predict(x)
        if self.network is None:
            return columns
        own = self.network.features(unscaled(self.network.space, x), self.task)
        return np.column_stack([columns, own @ self.network.head.mean])

    def shares(self, x: Floats, weights: Floats) -> Floats:
        """What each source's trials add to a prediction, see `Ensemble.shares`."""
        return self._ensemble.shares(x, weights)

    def influence(self, x: Floats, weights: Floats) -> list[Floats]:
        """What each trial of each source adds to it, see `Ensemble.influence`."""
        return self._ensemble.influence(x, weights)


def train(
    run: Run,
    histories: Sequence[History],
    rng: np.random.Generator,
    learn_network: Callable[[Sequence[History]], NeuralPolicy | None] | None = None,
) -> Policy:
    """Trains a policy for `run` on earlier runs.

    Args:
        run: The run to come.
        histories: Earlier runs of any task and space; those that share nothing with the
            run's space, or have fewer than three ended trials, are left out.
        rng: Source of randomness.
        learn_network: Gives the network learned from the sources' histories, or None.

    Returns:
        The policy; without sources its only kernel is the default one.
    """
    nearest = sorted(histories, key=lambda h: _squared_distance(run.task, h.run.task))
    most = max(_MAX_ROWS // max(min(len(nearest), _MAX_SOURCES), 1), MIN_TRIALS)
    limit = min(MAX_TRIALS, most)
    found = (Source.from_history(history, run.space, rng, limit) for history in nearest)
    sources = list(islice((source for source in found if source is not None), _MAX_SOURCES))
    drawn = vectors(run.space, [run.space.sample(rng) for _ in range(200)])
    num_tasks, num_trials = _MAX_FIT
    tasks = [_subsample(source, num_trials, rng) for source in sources[:num_tasks]]
    default = Kernel.default(drawn)
    together = len(sources) > 1 and are_sparse(sources)
    kernel = (fit_together if together else fit_relevance)(default, tasks)
    temperature = _fit_temperature(kernel, sources)
    distances = np.array([_squared_distance(run.task, s.history.run.task) for s in sources])
    alone = Ensemble(kernel, sources, borrowing=False)
    weights = _similarity(distances, temperature) * _consensus(alone, drawn)
    weights = weights / weights.sum() if len(weights) else weights
    prior = _prior(run, sources, weights)
    network = learn_network([s.history for s in sources]) if learn_network and sources else None
    if network is not None:
        weights = np.append((1.0 - _NETWORK_SHARE) * weights, _NETWORK_SHARE)
    kernels = (kernel, default) if sources else (default,)
    return Policy(kernels, tuple(sources), weights, prior, temperature, run.task, network)


def _subsample(source: Source, count: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    if len(source.y) <= count:
        return source.x, source.y
    rows = rng.choice(len(source.y), count, replace=False)
    return source.x[rows], source.y[rows]


def _squared_distance(a: Task, b: Task) -> float:
    """Mean squared difference of the embedded metafeatures that both tasks have.

    Infinite knowledge gaps are no distance: without common metafeatures it is 1, about
    that of two unlike tasks.
    """
    u, v = np.split(a.embedding(), 2), np.split(b.embedding(), 2)
    both = (u[1] > 0) & (v[1] > 0)
    if a.name == b.name:
        return 0.0
    return float(np.mean((u[0] - v[0])[both] ** 2)) if both.any() else 1.0


def _similarity(distances: Floats, temperature: float) -> Floats:
    """`softmax(-distance / temperature)`; equal weights for an infinite temperature."""
    if len(distances) == 0:
        return np.zeros(0)
    weights = np.exp(-(distances - distances.min()) / temperature)
    return np.asarray(weights / weights.sum(), float)


def _consensus(ensemble: Ensemble, drawn: Floats) -> Floats:
    """How far each source agrees with the others: mean correlation, at least 0.05.

    One that contradicts all the others, such as a run whose metric was recorded with the
    wrong sign, has little say before this run's results show that it is right.

    Args:
        ensemble: The S sources.
        drawn: `vectors` of configs drawn from the space, shape (N, P, F).
    """
    predicted = ensemble.predict(drawn)
    count = predicted.shape[1]
    if count < 3:
        return np.ones(count)
    spread = predicted.std(axis=0)
    apart = (predicted - predicted.mean(axis=0)) / np.where(spread > 0.0, spread, 1.0)
    agreement = apart.T @ apart.sum(axis=1) / len(drawn)  # with itself, too: 1
    return np.asarray(np.maximum((agreement - 1.0) / (count - 1), 0.05), float)


def _fit_temperature(kernel: Kernel, sources: Sequence[Source]) -> float:
    """Chooses the width of task similarity: the meta loss.

    Each source in turn is the query: the others, weighted by their similarity to its
    task, predict its trials. The loss is one minus Pearson's correlation with its normal
    scores, averaged over queries (leave one task out).
    """
    if len(sources) < 3:
        return float("inf")
    tasks = [source.history.run.task for source in sources]
    distances = np.array([[_squared_distance(a, b) for b in tasks] for a in tasks])
    unit = float(np.median(distances[~np.eye(len(tasks), dtype=bool)])) or 1.0
    losses = np.zeros(len(_TEMPERATURES))
    ensemble = Ensemble(kernel, sources, borrowing=False)  # else it would know the query
    for q, query in enumerate(sources):
        others = [s for s in range(len(sources)) if tasks[s].name != query.name]
        if not others:
            continue
        predicted = ensemble.predict(query.x)[:, others]
        for i, factor in enumerate(_TEMPERATURES):
            mean = predicted @ _similarity(distances[q, others], factor * unit)
            losses[i] += 1.0 - _correlation(mean, query.y)
    return float(_TEMPERATURES[int(np.argmin(losses))] * unit)


def _correlation(a: Floats, b: Floats) -> float:
    spread = float(a.std() * b.std())
    return float(np.mean((a - a.mean()) * (b - b.mean()))) / spread if spread > 1e-12 else 0.0


def _prior(run: Run, sources: Sequence[Source], weights: Floats) -> Warp | None:
    """Location and scale to expect, from the sources that measured the same metric."""
    same = np.array([s.history.run.task.objective == run.task.objective for s in sources], bool)
    if run.metric is not None:
        same &= np.array([s.history.run.metric in (None, run.metric) for s in sources], bool)
    if not same.any():
        return None
    w = weights[same] + 1e-9
    chosen = [s for s, keep in zip(sources, same, strict=True) if keep]
    location = float(np.average([s.warp.location for s in chosen], weights=w))
    scale = float(np.exp(np.average([np.log(s.warp.scale) for s in chosen], weights=w)))
    low, high = min(s.warp.low for s in chosen), max(s.warp.high for s in chosen)
    return Warp(location, scale, low, high)

"""Training across tasks: how configs compare (task loss), how tasks do (meta loss)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

import numpy as np
import numpy.typing as npt

from meta_nni.policy.ensemble import Ensemble
from meta_nni.policy.kernel import Kernel, fit_relevance, vectors
from meta_nni.policy.source import Source
from meta_nni.policy.warp import Warp
from meta_nni.task import Task
from meta_nni.trial import History, Run

__all__ = ["Policy", "train"]

Floats = npt.NDArray[np.float64]

_MAX_SOURCES = 64  # the nearest tasks; bounds the cost of deciding
_MAX_FIT = (24, 80)  # tasks, and trials of each, in the task loss: a few seconds
_TEMPERATURES = (0.05, 0.2, 0.5, 1.0, 3.0, np.inf)
"""Candidates for the width of task similarity, in units of the median squared distance."""


@dataclass(frozen=True)
class Policy:
    """What was learned from the sources, ready to be adapted to a run.

    Attributes:
        kernel: Similarity of configs.
        sources: The S sources.
        weights: Float64 (S,), sum to 1: how much each source is believed before the run
            has a result.
        prior: Expected location and scale of the run's values, turned so that higher is
            better; None without sources.
        temperature: Width of task similarity that the meta loss chose.
    """

    kernel: Kernel
    sources: tuple[Source, ...]
    weights: Floats
    prior: Warp | None
    temperature: float

    @cached_property
    def _ensemble(self) -> Ensemble:
        return Ensemble(self.kernel, self.sources)

    def features(self, x: Floats) -> Floats:
        """Each source's prediction for N candidates (N, P, F), shape (N, S)."""
        return self._ensemble.predict(x)


def train(run: Run, histories: Sequence[History], rng: np.random.Generator) -> Policy:
    """Trains a policy for `run` on earlier runs.

    Args:
        run: The run to come.
        histories: Earlier runs of any task and space; those that share nothing with the
            run's space, or have fewer than three ended trials, are left out.
        rng: Source of randomness.

    Returns:
        The policy; without sources its kernel is the default one.
    """
    nearest = sorted(histories, key=lambda h: _squared_distance(run.task, h.run.task))
    found = (Source.from_history(history, run.space, rng) for history in nearest)
    sources = list(islice((source for source in found if source is not None), _MAX_SOURCES))
    drawn = vectors(run.space, [run.space.sample(rng) for _ in range(200)])
    num_tasks, num_trials = _MAX_FIT
    tasks = [_subsample(source, num_trials, rng) for source in sources[:num_tasks]]
    kernel = fit_relevance(Kernel.default(drawn), tasks)
    temperature = _fit_temperature(kernel, sources)
    distances = np.array([_squared_distance(run.task, s.history.run.task) for s in sources])
    weights = _similarity(distances, temperature)
    return Policy(kernel, tuple(sources), weights, _prior(run, sources, weights), temperature)


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
    ensemble = Ensemble(kernel, sources)
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

"""Designs to compare under one harness; all choose among a table's rows.

`meta_pool`: what ships, a Bayesian linear combination of the sources' Gaussian processes
and the network, plus a Gaussian process of the run's own. `design_gp`: the same without
the network. `design_neural`: the network alone, its head adapted exactly (adaptive
Bayesian linear regression). `design_ranking`: the sources' Gaussian processes and the
run's own, weighted by how well they rank what was measured (RGPE).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from experiments.transfer_benchmark.tables import Table
from meta_nni.policy.kernel import vectors
from meta_nni.policy.neural import NeuralPolicy
from meta_nni.policy.posterior import Prediction, expected_improvement
from meta_nni.policy.training import Policy, train
from meta_nni.policy.warp import normal_scores
from meta_nni.task import Task
from meta_nni.trial import Config, History, Run

__all__ = ["NeuralDesign", "RankingDesign"]

Floats = npt.NDArray[np.float64]

_NUM_BOOTSTRAPS = 100
_MAX_ROWS = 6000  # of larger tables a random part is searched


class _Design:
    """Searches rows by expected improvement of normal scores."""

    prediction: tuple[float, float] | None = None

    def __init__(self, table: Table, sources: Sequence[History], seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        count = len(table.configs)
        self._rows = self._rng.permutation(count)[:_MAX_ROWS]
        self._configs = [table.configs[row] for row in self._rows]
        self._tried: list[int] = []
        self._values: list[float] = []
        self._learn(Run("target", Task("target"), table.space), sources, seed)

    def _learn(self, run: Run, sources: Sequence[History], seed: int) -> None:
        raise NotImplementedError

    def _predict(self, scores: Floats) -> tuple[Floats, Floats]:
        """Means and standard deviations of all rows, given the tried ones' scores."""
        raise NotImplementedError

    def ask(self) -> Config:
        """Proposes the row with the largest expected improvement."""
        scores = normal_scores(np.array(self._values)) if self._values else np.zeros(0)
        mean, std = self._predict(scores)
        gain = mean.copy()
        if len(scores):
            one = np.ones(1)
            gain = expected_improvement(Prediction(mean[None], std[None], one, one), scores.max())
        gain[self._tried] = -np.inf
        self._tried.append(int(np.argmax(gain)))
        return self._configs[self._tried[-1]]

    def tell(self, config: Config, value: float) -> None:
        """Records the value."""
        self._values.append(value)


class NeuralDesign(_Design):
    """The network's features with its exact head (Perrone et al. 2018)."""

    def _learn(self, run: Run, sources: Sequence[History], seed: int) -> None:
        policy = NeuralPolicy.train(run.space, sources, seed=seed)
        encoded = np.stack([run.space.encode(config) for config in self._configs])
        self._head, self._features = policy.head, policy.features(encoded, run.task)

    def _predict(self, scores: Floats) -> tuple[Floats, Floats]:
        return self._head.predict(self._features, self._features[self._tried], scores)


class RankingDesign(_Design):
    """A ranking-weighted Gaussian process ensemble (Feurer et al. 2018, algorithm 1)."""

    def _learn(self, run: Run, sources: Sequence[History], seed: int) -> None:
        self._policy: Policy = train(run, sources, np.random.default_rng(seed))
        self._x = vectors(run.space, self._configs)
        self._features = self._policy.features(self._x)

    def _predict(self, scores: Floats) -> tuple[Floats, Floats]:
        kernel, tried = self._policy.kernel, self._tried
        count = len(self._policy.sources)
        if len(scores) < 3:  # nothing to rank by: the sources alone
            return self._features.mean(1), np.ones(len(self._configs))
        own = kernel(self._x[tried], self._x[tried]) + kernel.noise * np.eye(len(tried))
        gain = np.linalg.solve(own, kernel(self._x[tried], self._x)).T
        mean = gain @ scores
        std = np.sqrt(np.maximum(1.0 - (gain * kernel(self._x, self._x[tried])).sum(1), 1e-6))
        # Leave one out for the run's own model (Rasmussen & Williams 2006, eq. 5.12).
        inverse = np.linalg.inv(own)
        left_out = scores - (inverse @ scores) / np.diag(inverse)
        models = np.column_stack([self._features[tried], left_out])
        weights = self._ranking_weights(models, scores)
        return np.column_stack([self._features, mean]) @ weights, std * max(weights[count], 0.3)

    def _ranking_weights(self, models: Floats, scores: Floats) -> Floats:
        """Share of bootstrap samples in which each model misranks the fewest pairs."""
        wins = np.zeros(models.shape[1])
        for _ in range(_NUM_BOOTSTRAPS):
            rows = self._rng.integers(len(scores), size=len(scores))
            truth = scores[rows][:, None] < scores[rows][None]
            guess = models[rows][:, None] < models[rows][None]
            losses = (guess != truth[..., None]).sum((0, 1))
            best = np.flatnonzero(losses == losses.min())
            wins[best] += 1.0 / len(best)
        return wins / wins.sum()

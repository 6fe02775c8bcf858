"""Adaptation to a run: exact Bayesian inference over sources, scale and a cold model.

In warped values z of the run's trials, every hypothesis says

    z = mu 1 + s (F w + r) + s e,    w ~ N(w0, v diag(w0)),    r ~ GP(0, rho k),
    mu ~ N(0, (2 s)^2),              e ~ N(0, noise I),

where column j of F holds source j's predictions, w0 the policy's weights, k one of its
kernels; a cold hypothesis has no F. All of it is Gaussian, so weights, residual and mean
are integrated out exactly (adaptive Bayesian linear regression, Perrone et al. 2018,
with a Gaussian process residual). Hypotheses differ in s, rho, v and k and are averaged
by their evidence: sources that mislead lose their weight to the cold ones, and what they
taught about the similarity of configs to the kernel that knows nothing of them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_solve, solve_triangular
from scipy.special import ndtr

from meta_nni.policy.kernel import Kernel

__all__ = ["Evidence", "Posterior", "Prediction", "expected_improvement"]

Floats = npt.NDArray[np.float64]

_SCALES = np.array([0.5, 1.0, 2.0, 4.0])
_SCALE_PRIOR = np.array([0.25, 0.4, 0.25, 0.1])
_MEAN_VARIANCE = 4.0
_MAX_TRIALS = 128
_RESIDUALS = (0.1, 0.4, 1.0)
_WEIGHT_VARIANCES = (0.05, 0.4, 2.0)  # the last lets misleading sources turn their sign
_COLD_PROBABILITY = 0.15
_NEGLIGIBLE = 0.03  # hypotheses below this probability are left out of predictions


@dataclass(frozen=True)
class Evidence:
    """The trials of a run that have a value, as arrays.

    Attributes:
        x: `vectors`, shape (T, P, F).
        features: Predictions of the sources, shape (T, S).
        z: Warped values, higher is better, shape (T,).
    """

    x: Floats
    features: Floats
    z: Floats


@dataclass(frozen=True)
class Prediction:
    """Predictions for N candidates under H hypotheses.

    Attributes:
        means: Shape (H, N), warped values.
        stds: Shape (H, N), without the noise of a single measurement.
        probabilities: Shape (H,), sum to 1.
        noises: Shape (H,): standard deviation of the noise of a single measurement.
    """

    means: Floats
    stds: Floats
    probabilities: Floats
    noises: Floats

    @property
    def mean(self) -> Floats:
        """Mean of the mixture, shape (N,)."""
        mean: Floats = self.probabilities @ self.means
        return mean

    @property
    def std(self) -> Floats:
        """Standard deviation of a measurement under the mixture, shape (N,)."""
        variances = self.stds**2 + self.noises[:, None] ** 2
        second = self.probabilities @ (variances + self.means**2)
        return np.sqrt(np.maximum(second - self.mean**2, 1e-12))


def expected_improvement(prediction: Prediction, best: float) -> Floats:
    """`E[max(z - best, 0)]` under the mixture (Mockus 1978), shape (N,)."""
    u = (prediction.means - best) / prediction.stds
    density = np.exp(-0.5 * u**2) / np.sqrt(2.0 * np.pi)
    gain: Floats = prediction.probabilities @ (prediction.stds * (u * ndtr(u) + density))
    return gain


@dataclass(frozen=True)
class _Shape:
    """Hypotheses that differ in s alone: their covariances are s^2 times the same matrix."""

    kernel: int  # its position among the policy's
    residual: float
    weight_variance: float
    warm: bool
    prior: float

    def covariance(self, similarity: Floats, shared: Floats) -> Floats:
        """`rho k + v F diag(w0) F' + 4` from `k` and `F diag(w0) F'`."""
        cov = self.residual * similarity + _MEAN_VARIANCE
        return cov + self.weight_variance * shared if self.warm else cov

    def variance(self, shared: Floats) -> Floats:
        """Its diagonal, from that of `F diag(w0) F'`."""
        return self.residual + _MEAN_VARIANCE + self.weight_variance * shared * self.warm

    def mean(self, features: Floats, w0: Floats) -> Floats:
        return np.asarray(features @ w0, float) if self.warm else np.zeros(len(features))


def _shapes(num_kernels: int, warm: bool) -> list[_Shape]:
    pairs = list(itertools.product(_RESIDUALS, _WEIGHT_VARIANCES)) if warm else []
    cold = _COLD_PROBABILITY if warm else 1.0
    shapes = []
    for kernel in range(num_kernels):
        shapes.append(_Shape(kernel, 1.0, 0.0, False, cold / num_kernels))
        for rho, v in pairs:
            prior = (1.0 - cold) / (num_kernels * len(pairs))
            shapes.append(_Shape(kernel, rho, v, True, prior))
    return shapes


class _Fit:
    """A shape, fitted: with C0 = C / s^2 and m0 = F w0 everything for every s follows."""

    def __init__(self, shape: _Shape, evidence: Evidence, cov: Floats, w0: Floats) -> None:
        self.shape = shape
        self.factor = np.linalg.cholesky(cov)
        mean = shape.mean(evidence.features, w0)
        both = cho_solve((self.factor, True), np.stack([evidence.z, mean], axis=1))
        self.solved_z, self.solved_mean = both.T
        z_z, z_m, m_m = evidence.z @ both[:, 0], mean @ both[:, 0], mean @ both[:, 1]
        # -1/2 (z - s m0)' C^-1 (z - s m0) - 1/2 log|C|, C = s^2 C0, for every s.
        fit = -0.5 * (z_z / _SCALES**2 - 2.0 * z_m / _SCALES + m_m)
        log_det = float(np.log(np.diag(self.factor)).sum()) + len(evidence.z) * np.log(_SCALES)
        self.log_joint = np.log(shape.prior * _SCALE_PRIOR) + fit - log_det


class Posterior:
    """What a run's trials and its sources say together.

    Args:
        kernels: Hypotheses about the similarity of configs.
        w0: Weights of the sources before the run has a result, shape (S,).
        evidence: The run's trials; of more than 128 the best and the last count.

    Attributes:
        cold_probability: How much the run's results speak against the sources, 0 to 1.
    """

    def __init__(self, kernels: Sequence[Kernel], w0: Floats, evidence: Evidence) -> None:
        self._num_trials, self._rows = len(evidence.z), _bounded(evidence.z)
        evidence = Evidence(
            *(part[self._rows] for part in (evidence.x, evidence.features, evidence.z))
        )
        self._kernels, self._w0, self._evidence = kernels, w0, evidence
        similarities = [kernel(evidence.x, evidence.x) for kernel in kernels]
        noises = [kernel.noise * np.eye(len(evidence.z)) for kernel in kernels]
        shared = (evidence.features * w0) @ evidence.features.T
        self._fits = [
            _Fit(
                shape,
                evidence,
                shape.covariance(similarities[shape.kernel], shared) + noises[shape.kernel],
                w0,
            )
            for shape in _shapes(len(kernels), warm=len(w0) > 0)
        ]
        logs = np.stack([fit.log_joint for fit in self._fits])
        self._probabilities = np.exp(logs - logs.max())  # (shapes, scales)
        self._probabilities /= self._probabilities.sum()
        self._warm = np.array([fit.shape.warm for fit in self._fits])
        self.cold_probability = float(self._probabilities[~self._warm].sum())

    def predict(self, x: Floats, features: Floats, cold: bool = False) -> Prediction:
        """Predicts N candidates.

        Args:
            x: `vectors`, shape (N, P, F).
            features: Predictions of the sources, shape (N, S).
            cold: Whether to ask the cold hypotheses alone.
        """
        weights = self._probabilities.copy()
        if cold:
            weights[self._warm] = 0.0
            if weights.sum() < 1e-12:  # as good as ruled out: any scale
                weights[~self._warm] = 1.0
        keep = weights >= _NEGLIGIBLE * weights.max()
        similarities: dict[int, Floats] = {}
        weighted = features * self._w0
        shared = weighted @ self._evidence.features.T, (weighted * features).sum(1)
        means, stds, noises = [], [], []
        for row in np.flatnonzero(keep.any(axis=1)):
            number = self._fits[row].shape.kernel
            kernel = self._kernels[number]
            if number not in similarities:
                similarities[number] = kernel(x, self._evidence.x)
            noise = _SCALES * np.sqrt(kernel.noise)
            by_scale = self._predict_shape(self._fits[row], features, similarities[number], *shared)
            means.append(by_scale[0][keep[row]])
            stds.append(by_scale[1][keep[row]])
            noises.append(noise[keep[row]])
        probabilities = weights[keep] / weights[keep].sum()
        return Prediction(
            np.concatenate(means), np.concatenate(stds), probabilities, np.concatenate(noises)
        )

    def _predict_shape(
        self, fit: _Fit, features: Floats, similarity: Floats, shared: Floats, own: Floats
    ) -> tuple[Floats, Floats]:
        """Means and standard deviations for every s, shape (scales, N) each."""
        shape, scales = fit.shape, _SCALES[:, None]
        cross = shape.covariance(similarity, shared)
        half = solve_triangular(fit.factor, cross.T, lower=True) if len(cross.T) else cross.T
        left = np.maximum(shape.variance(own) - (half**2).sum(0), 1e-6)
        prior = shape.mean(features, self._w0) - cross @ fit.solved_mean
        return scales * prior + cross @ fit.solved_z, scales * np.sqrt(left)

    def screen(self, x: Floats, features: Floats) -> Floats:
        """Means of the mixture without their common mu, shape (N,): cheap, for a first choice.

        They are linear in the features and in the similarities to the run's trials.
        """
        weights = np.zeros(len(self._w0))
        residuals = np.zeros((len(self._kernels), len(self._evidence.z)))
        for number, probability, effects in self._likely():
            weights += probability * effects[0]
            residuals[number] += probability * effects[1]
        mean: Floats = features @ weights
        for kernel, residual in zip(self._kernels, residuals, strict=True):
            if residual.any():
                mean += kernel(x, self._evidence.x) @ residual
        return mean

    def effects(self, x: Floats) -> tuple[Floats, Floats]:
        """Splits the mean of the mixture at one config into what sources and trials add.

        Args:
            x: `vectors` of one config, shape (1, P, F).

        Returns:
            The weight of each source's prediction, float64 (S,), and what each trial adds,
            (T,), in warped values. With the estimated mu, predictions times weights and these
            sum to the mean.
        """
        sources, own = np.zeros(len(self._w0)), np.zeros(self._num_trials)
        similarity = [kernel(x, self._evidence.x)[0] for kernel in self._kernels]
        for number, probability, (weights, residual) in self._likely():
            sources += probability * weights
            own[self._rows] += probability * similarity[number] * residual
        return sources, own

    def _likely(self) -> Iterator[tuple[int, float, tuple[Floats, Floats]]]:
        """Kernel, probability and effects of the hypotheses that are not negligible."""
        keep = self._probabilities >= _NEGLIGIBLE * self._probabilities.max()
        total = float(self._probabilities[keep].sum())
        for row, column in np.argwhere(keep):
            probability = float(self._probabilities[row, column]) / total
            kernel = self._fits[row].shape.kernel
            yield kernel, probability, self._effects(int(row), int(column))

    def _effects(self, row: int, column: int) -> tuple[Floats, Floats]:
        """Posterior means of `s w` (S,) and of r's representers (T,) under one hypothesis.

        `w0 + v diag(w0) F' a` and `rho a`, times s, with `a = C0^-1 (z / s - F w0)`.
        """
        fit, scale = self._fits[row], float(_SCALES[column])
        a = fit.solved_z / scale - fit.solved_mean
        if not fit.shape.warm:
            return np.zeros(len(self._w0)), scale * fit.shape.residual * a
        moved = fit.shape.weight_variance * self._w0 * (self._evidence.features.T @ a)
        return scale * (self._w0 + moved), scale * fit.shape.residual * a


def _bounded(z: Floats) -> npt.NDArray[np.intp]:
    """Rows that count: of very many trials the best and the last, so that deciding is bounded."""
    if len(z) <= _MAX_TRIALS:
        return np.arange(len(z))
    best = np.argsort(-z, kind="stable")[: _MAX_TRIALS // 2]
    rest = np.setdiff1d(np.arange(len(z)), best)[-_MAX_TRIALS // 2 :]
    return np.sort(np.concatenate([best, rest]))

"""Adaptation to a run: exact Bayesian inference over sources, scale and a cold model.

In warped values z of the run's trials, every hypothesis says

    z = mu 1 + s (F w + r) + s e,    w ~ N(w0, v diag(w0)),    r ~ GP(0, rho k),
    mu ~ N(0, (2 s)^2),              e ~ N(0, noise I),

where column j of F holds source j's predictions, w0 the policy's weights, k the learned
kernel; a cold hypothesis has no F. All of it is Gaussian, so weights, residual and mean
are integrated out exactly (adaptive Bayesian linear regression, Perrone et al. 2018,
with a Gaussian process residual). Hypotheses differ in s, rho and v and are averaged by
their evidence: a source set that misleads loses its weight to the cold ones.
"""

from __future__ import annotations

import itertools
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
_MAX_TRIALS = 256
_RESIDUALS = (0.1, 0.4, 1.0)
_WEIGHT_VARIANCES = (0.05, 0.4)
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

    residual: float
    weight_variance: float
    warm: bool
    prior: float

    def covariance(self, similarity: Floats, a: Floats, b: Floats, w0: Floats) -> Floats:
        cov = self.residual * similarity + _MEAN_VARIANCE
        return cov + self.weight_variance * (a * w0) @ b.T if self.warm else cov

    def variance(self, features: Floats, w0: Floats) -> Floats:
        constant = np.full(len(features), self.residual + _MEAN_VARIANCE)
        return constant + self.weight_variance * (features**2 @ w0) if self.warm else constant

    def mean(self, features: Floats, w0: Floats) -> Floats:
        return np.asarray(features @ w0, float) if self.warm else np.zeros(len(features))


def _shapes(warm: bool) -> list[_Shape]:
    if not warm:
        return [_Shape(1.0, 0.0, False, 1.0)]
    pairs = list(itertools.product(_RESIDUALS, _WEIGHT_VARIANCES))
    prior = (1.0 - _COLD_PROBABILITY) / len(pairs)
    cold = _Shape(1.0, 0.0, False, _COLD_PROBABILITY)
    return [cold, *(_Shape(rho, v, True, prior) for rho, v in pairs)]


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
        kernel: Similarity of configs.
        w0: Weights of the sources before the run has a result, shape (S,).
        evidence: The run's trials; of more than 256 the best and the last count.

    Attributes:
        cold_probability: How much the run's results speak against the sources, 0 to 1.
    """

    def __init__(self, kernel: Kernel, w0: Floats, evidence: Evidence) -> None:
        evidence = _bounded(evidence)
        self._kernel, self._w0, self._evidence = kernel, w0, evidence
        similarity = kernel(evidence.x, evidence.x)
        noise = kernel.noise * np.eye(len(evidence.z))
        features = evidence.features
        self._fits = [
            _Fit(shape, evidence, shape.covariance(similarity, features, features, w0) + noise, w0)
            for shape in _shapes(warm=len(w0) > 0)
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
        similarity = self._kernel(x, self._evidence.x)
        means, stds, noises = [], [], []
        noise = _SCALES * np.sqrt(self._kernel.noise)
        for row in np.flatnonzero(keep.any(axis=1)):
            by_scale = self._predict_shape(self._fits[row], x, features, similarity)
            means.append(by_scale[0][keep[row]])
            stds.append(by_scale[1][keep[row]])
            noises.append(noise[keep[row]])
        probabilities = weights[keep] / weights[keep].sum()
        return Prediction(
            np.concatenate(means), np.concatenate(stds), probabilities, np.concatenate(noises)
        )

    def _predict_shape(
        self, fit: _Fit, x: Floats, features: Floats, similarity: Floats
    ) -> tuple[Floats, Floats]:
        """Means and standard deviations for every s, shape (scales, N) each."""
        shape, scales = fit.shape, _SCALES[:, None]
        cross = shape.covariance(similarity, features, self._evidence.features, self._w0)
        half = solve_triangular(fit.factor, cross.T, lower=True) if len(cross.T) else cross.T
        left = np.maximum(shape.variance(features, self._w0) - (half**2).sum(0), 1e-6)
        prior = shape.mean(features, self._w0) - cross @ fit.solved_mean
        return scales * prior + cross @ fit.solved_z, scales * np.sqrt(left)

    def source_weights(self) -> Floats:
        """Posterior mean of w under the likeliest warm hypothesis, shape (S,).

        `w0 + v diag(w0) F' C0^-1 (z - s F w0) / s`; w0 where there is no evidence.
        """
        if not self._warm.any():
            return self._w0
        likely = np.where(self._warm[:, None], self._probabilities, -1.0)
        row, column = np.unravel_index(int(np.argmax(likely)), likely.shape)
        fit, scale = self._fits[row], float(_SCALES[column])
        residual = self._evidence.features.T @ (fit.solved_z / scale - fit.solved_mean)
        return np.asarray(self._w0 + fit.shape.weight_variance * self._w0 * residual, float)


def _bounded(evidence: Evidence) -> Evidence:
    """Keeps the cost of deciding bounded: the best and the last of very many trials."""
    count = len(evidence.z)
    if count <= _MAX_TRIALS:
        return evidence
    best = np.argsort(-evidence.z, kind="stable")[: _MAX_TRIALS // 2]
    rest = np.setdiff1d(np.arange(count), best)[-_MAX_TRIALS // 2 :]
    rows = np.sort(np.concatenate([best, rest]))
    return Evidence(evidence.x[rows], evidence.features[rows], evidence.z[rows])

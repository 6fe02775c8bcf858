"""The head: exact Bayesian linear regression on the network's features.

    y = phi w + e,    e ~ N(0, noise),    w = w0 + d,    w0 ~ N(0, shared I),    d ~ N(0, own I)

for the normal scores y of each task, with w0 common to all tasks and d a task's own:
adaptive Bayesian linear regression (Perrone et al. 2018, section 3) with a learned prior
mean. Axes of arrays: T trials, N configs, E features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve

__all__ = ["MIN_NOISE", "Head", "fit_head"]

Floats = npt.NDArray[np.float64]

MIN_NOISE = 1e-3
"""Least variance of the noise: keeps every covariance well conditioned."""


@dataclass(frozen=True)
class Head:
    """What is believed of a new task's weights before it has a trial: w ~ N(mean, I / precision).

    Attributes:
        mean: Float64 (E,); `features @ mean` is the zero-shot prediction, in normal scores.
        precision: Of each weight, positive.
        noise: Variance of the noise of normal scores, positive.
    """

    mean: Floats
    precision: float
    noise: float

    def predict(self, features: Floats, support: Floats, scores: Floats) -> tuple[Floats, Floats]:
        """Adapts to a task's trials exactly and predicts.

        With `M = precision I + support' support / noise` the posterior of the weights is
        `N(mean + M^-1 support' (scores - support mean) / noise, M^-1)` (Bishop 2006,
        eq. 3.50 and 3.51; Perrone et al. 2018, section 3).

        Args:
            features: Of N configs to predict, (N, E).
            support: Features of the T trials, T >= 0, (T, E).
            scores: Their normal scores, (T,).

        Returns:
            Means and standard deviations of what would be measured, float64 (N,) each.
        """
        precision = self.precision * np.eye(len(self.mean)) + support.T @ support / self.noise
        factor = cho_factor(precision, lower=True)
        residual = scores - support @ self.mean
        weights = self.mean + cho_solve(factor, support.T @ residual / self.noise)
        variance = (features * cho_solve(factor, features.T).T).sum(1) + self.noise
        return features @ weights, np.sqrt(variance)


def fit_head(tasks: Sequence[tuple[Floats, Floats]], scales: Sequence[float]) -> Head:
    """The posterior of w0 given all tasks, each one's own weights integrated out.

    With `M = I / own + phi' phi / noise` a task adds `M^-1 phi' phi / (own noise)` to the
    precision of w0 and `M^-1 phi' y / (own noise)` to its linear term: Woodbury's identity
    on `phi' (own phi phi' + noise I)^-1 [phi, y]`. The precision of a new task's weights is
    that of own plus the mean posterior variance of w0.

    Args:
        tasks: Of each its features (T, E) and normal scores (T,); at least one.
        scales: The variances shared, own and noise.

    Returns:
        The head.
    """
    shared, own, noise = scales
    eye = np.eye(tasks[0][0].shape[1])
    precision, linear = eye / shared, np.zeros(len(eye))
    for features, scores in tasks:
        gram, moment = features.T @ features / noise, features.T @ scores / noise
        solved = np.linalg.solve(eye / own + gram, np.column_stack([gram, moment])) / own
        precision = precision + solved[:, :-1]
        linear = linear + solved[:, -1]
    covariance = np.linalg.inv(0.5 * (precision + precision.T))
    return Head(covariance @ linear, 1.0 / (own + float(np.trace(covariance)) / len(eye)), noise)

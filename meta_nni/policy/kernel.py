"""Similarity of configs, with a relevance per parameter that is learned across tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize

from meta_nni.space import SearchSpace
from meta_nni.trial import Config

__all__ = ["NOISE_RANGE", "Kernel", "fit_relevance", "scaled", "unscaled", "vectors"]

Floats = npt.NDArray[np.float64]

# Contributions to a parameter's squared distance: being active or not, the distance of
# numbers, being different options. They make two random values of any type about equally
# far apart, so that the relevances start on one scale.
_ACTIVE, _NUMBER, _ORDERED, _OPTION = 0.7, 2.0, 1.5, 0.7071
NOISE_RANGE = (0.01, 0.5)
"""Smallest and largest variance of the noise of a task, relative to the kernel's 1."""


def vectors(
    space: SearchSpace, configs: Sequence[Config], origin: SearchSpace | None = None
) -> Floats:
    """Encodes configs so that Euclidean distance per parameter is meaningful.

    Args:
        space: The space to encode in.
        configs: T configs of `origin`, or of `space`.
        origin: Where the configs come from, if not from `space`.

    Returns:
        Float64, shape (T, P, F).
    """
    rows = np.zeros((len(configs), len(space.parameters), space.num_features))
    for row, config in zip(rows, configs, strict=True):
        row[:] = space.encode(config, origin)
    return scaled(space, rows)


def scaled(space: SearchSpace, rows: npt.ArrayLike) -> Floats:
    """Turns rows of `SearchSpace.encode` (T, P, F) into `vectors`."""
    return np.asarray(rows, float) * _scales(space)


def unscaled(space: SearchSpace, x: Floats) -> npt.NDArray[np.float32]:
    """Turns `vectors` (T, P, F) back into rows of `SearchSpace.encode`."""
    return (x / _scales(space)).astype(np.float32)


def _scales(space: SearchSpace) -> Floats:
    """What each feature of each parameter is multiplied with, all positive, (P, F)."""
    scales = np.empty((len(space.parameters), space.num_features))
    for scale, parameter in zip(scales, space.parameters, strict=True):
        choice = parameter.type == "choice"
        scale[0] = _ACTIVE
        scale[1] = _ORDERED if choice else _NUMBER
        scale[2:] = _OPTION * (0.5 if parameter.ordered else 1.0)
    return scales


@dataclass(frozen=True)
class Kernel:
    """A squared exponential kernel with automatic relevance determination.

    `k(x, x') = exp(-sum_p relevance_p |x_p - x'_p|^2)` (Rasmussen & Williams 2006, eq. 5.1).

    Attributes:
        relevance: Float64 (P,), non-negative.
        noise: Variance of the noise, relative to the kernel's 1.
    """

    relevance: Floats
    noise: float = 0.05

    @classmethod
    def default(cls, x: Floats) -> Kernel:
        """Equal relevances that put two random configs at an expected exponent of 1.

        Args:
            x: `vectors` of configs drawn from the space, shape (T, P, F).
        """
        expected = 2.0 * x.var(axis=0).sum(axis=1)  # E|x_p - x'_p|^2
        num_parameters = x.shape[1]
        return cls(np.full(num_parameters, 1.0 / max(float(expected.sum()), 1e-9)))

    def masked(self, mask: npt.NDArray[np.bool_]) -> Kernel:
        """Ignores the parameters where `mask` (P,) is False."""
        return replace(self, relevance=np.where(mask, self.relevance, 0.0))

    def __call__(self, a: Floats, b: Floats) -> Floats:
        """Returns the similarities, shape (T, N), of (T, P, F) and (N, P, F)."""
        scale = np.sqrt(self.relevance)[:, None]
        width = a.shape[1] * a.shape[2]
        u, v = (a * scale).reshape(len(a), width), (b * scale).reshape(len(b), width)
        squares = (-2.0 * u) @ v.T
        squares += (u**2).sum(1)[:, None]
        squares += (v**2).sum(1)[None]
        np.maximum(squares, 0.0, out=squares)
        np.negative(squares, out=squares)
        return np.asarray(np.exp(squares, out=squares), float)


def fit_relevance(
    kernel: Kernel, tasks: Sequence[tuple[Floats, Floats]], max_iterations: int = 30
) -> Kernel:
    """Learns relevances and noise that all tasks share: the task loss.

    Minimises, over log relevances theta and log noise, the sum over tasks of the
    negative log marginal likelihood `1/2 y' C^-1 y + 1/2 log|C|`, `C = K + noise I`
    (Rasmussen & Williams 2006, eq. 5.8, gradient eq. 5.9), plus the negative log of a
    normal prior of standard deviation 1 around the given kernel's values, by L-BFGS.

    Args:
        kernel: Where to start, and the prior's centre.
        tasks: For each task `vectors` (T, P, F) and normal scores (T,).
        max_iterations: Of L-BFGS.

    Returns:
        The fitted kernel; the given one if there are no tasks.
    """
    if not tasks:
        return kernel
    squares = [_squares(x) for x, _ in tasks]
    targets = [y for _, y in tasks]
    centre = np.log(np.append(np.maximum(kernel.relevance, 1e-9), kernel.noise))

    def loss(theta: Floats) -> tuple[float, Floats]:
        total = 0.5 * float(((theta - centre) ** 2).sum())
        gradient = theta - centre
        for square, y in zip(squares, targets, strict=True):
            value, slope = _negative_log_likelihood(theta, square, y)
            total += value
            gradient = gradient + slope
        return total, gradient

    bounds = [(c - 5.0, c + 5.0) for c in centre[:-1]] + [tuple(np.log(NOISE_RANGE))]
    found = minimize(
        loss,
        centre,
        jac=True,
        bounds=bounds,
        method="L-BFGS-B",
        options={"maxiter": max_iterations},
    )
    fitted = np.exp(found.x)
    return Kernel(fitted[:-1], float(fitted[-1]))


def _squares(x: Floats) -> Floats:
    """Squared distances per parameter, shape (P, T, T)."""
    by_parameter = x.transpose(1, 0, 2)
    norms = (by_parameter**2).sum(2)
    inner = by_parameter @ by_parameter.transpose(0, 2, 1)
    squares: Floats = np.maximum(norms[:, :, None] + norms[:, None, :] - 2.0 * inner, 0.0)
    return squares


def _negative_log_likelihood(theta: Floats, squares: Floats, y: Floats) -> tuple[float, Floats]:
    relevance, noise = np.exp(theta[:-1]), float(np.exp(theta[-1]))
    k = np.exp(-np.tensordot(relevance, squares, axes=1))
    eye = np.eye(len(y))
    factor = cho_factor(k + noise * eye, lower=True)
    alpha = cho_solve(factor, y)
    value = 0.5 * float(y @ alpha) + float(np.log(np.diag(factor[0])).sum())
    # d loss / d C = (C^-1 - alpha alpha') / 2, and d C / d theta_p = -relevance_p D_p K.
    slope = 0.5 * (cho_solve(factor, eye) - np.outer(alpha, alpha))
    weighted = (slope * k).ravel()
    by_relevance = -relevance * (squares.reshape(len(relevance), -1) @ weighted)
    return value, np.append(by_relevance, noise * float(np.trace(slope)))

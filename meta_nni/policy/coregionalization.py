"""A kernel that explains the few trials of many tasks together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize

from meta_nni.policy.kernel import NOISE_RANGE, Kernel

__all__ = ["fit_together"]

Floats = npt.NDArray[np.float64]

_MAX_ROWS = 600  # of all tasks together: each step costs the cube of it
_NOISES = (NOISE_RANGE[0], 1.5)  # between tasks that are taken for one, much is noise
_LOGIT = (1.0, 1.5)  # prior of the correlation: tasks that meet here are more often alike than not
_MOST = 4.0  # logit


def fit_together(
    kernel: Kernel, tasks: Sequence[tuple[Floats, Floats]], max_iterations: int = 40
) -> Kernel:
    """Learns relevances and noise under the model that sparse tasks are predicted with.

    It is intrinsic coregionalization, see `Ensemble`: `C = B * K + noise I` over the trials of
    all tasks, B 1 within a task and g between two. Minimises `1/2 y' C^-1 y + 1/2 log|C|`
    (Rasmussen & Williams 2006, eq. 5.8, gradient eq. 5.9) over log relevances, log noise and the
    logit of g, plus the negative log of normal priors, for the logs of standard deviation 1 around
    the given kernel's, by L-BFGS. What each task's few trials say alone, see `fit_relevance`,
    is not what matters to the other tasks.

    Args:
        kernel: Where to start, and the centre of the priors.
        tasks: For each task `vectors` (T, P, F) and normal scores (T,). Of more than 600 trials
            in all, some of each task in equal steps.
        max_iterations: Of L-BFGS.

    Returns:
        The fitted kernel.
    """
    x, y, task = _stacked(tasks)
    centre = np.log(np.append(np.maximum(kernel.relevance, 1e-9), kernel.noise))
    centre = np.append(centre, _LOGIT[0])
    deviations = np.append(np.ones(len(centre) - 1), _LOGIT[1])
    same = task[:, None] == task

    def loss(theta: Floats) -> tuple[float, Floats]:
        apart = (theta - centre) / deviations
        value, slope = _negative_log_likelihood(theta, x, y, same)
        return value + 0.5 * float(apart @ apart), slope + apart / deviations

    bounds = [(c - 5.0, c + 5.0) for c in centre[:-2]]
    bounds += [(np.log(_NOISES[0]), np.log(_NOISES[1])), (-_MOST, _MOST)]
    options = {"maxiter": max_iterations}
    found = minimize(loss, centre, jac=True, bounds=bounds, method="L-BFGS-B", options=options)
    fitted = np.exp(found.x)
    return Kernel(fitted[:-2], float(fitted[-2]))


def _stacked(
    tasks: Sequence[tuple[Floats, Floats]],
) -> tuple[Floats, Floats, npt.NDArray[np.intp]]:
    """Vectors (R, P, F), scores (R,) and task (R,) of all trials, or of some of each task."""
    most = max(_MAX_ROWS // len(tasks), 2)
    rows = [np.linspace(0, len(y) - 1, min(most, len(y))).astype(int) for _, y in tasks]
    x = np.concatenate([x[chosen] for (x, _), chosen in zip(tasks, rows, strict=True)])
    y = np.concatenate([y[chosen] for (_, y), chosen in zip(tasks, rows, strict=True)])
    return x, y, np.repeat(np.arange(len(tasks)), [len(chosen) for chosen in rows])


def _negative_log_likelihood(
    theta: Floats, x: Floats, y: Floats, same: npt.NDArray[np.bool_]
) -> tuple[float, Floats]:
    relevance, noise = np.exp(theta[:-2]), float(np.exp(theta[-2]))
    g = 1.0 / (1.0 + float(np.exp(-theta[-1])))
    k, eye = Kernel(relevance)(x, x), np.eye(len(y))
    shared = np.where(same, 1.0, g) * k
    factor = cho_factor(shared + noise * eye, lower=True)
    alpha = cho_solve(factor, y)
    value = 0.5 * float(y @ alpha) + float(np.log(np.diag(factor[0])).sum())
    # d loss / d C = (C^-1 - alpha alpha') / 2; d C / d theta_p = -relevance_p D_p * shared.
    slope = 0.5 * (cho_solve(factor, eye) - np.outer(alpha, alpha))
    by_relevance = -relevance * _weighted_squares(x, slope * shared)
    by_logit = g * (1.0 - g) * float((slope * k)[~same].sum())
    return value, np.append(by_relevance, [noise * float(np.trace(slope)), by_logit])


def _weighted_squares(x: Floats, weights: Floats) -> Floats:
    """`sum_ij W_ij |x_ip - x_jp|^2` for every parameter p, (P,), of symmetric W (R, R)."""
    products = (weights @ x.reshape(len(x), -1)).reshape(x.shape)
    own = np.einsum("i,ipf->p", weights.sum(1), x**2)
    return np.asarray(2.0 * (own - np.einsum("ipf,ipf->p", x, products)), float)

"""A kernel for what decisions add up to: logarithms of parameters, latency, memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from meta_nni.policy.kernel import Kernel

__all__ = ["AdditiveKernel"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class AdditiveKernel(Kernel):
    """A sum of one-parameter kernels: each decision has an effect of its own.

    `k(x, x') = 1/P sum_p exp(-relevance_p |x_p - x'_p|^2)` over the P parameters that vary,
    the first-order additive kernel (Duvenaud et al. 2011, eq. 3). It generalises to configs
    that no trial resembles as a whole.
    """

    @classmethod
    def default(cls, x: Floats) -> AdditiveKernel:
        """Puts two random values of each parameter at an expected exponent of 1.

        Args:
            x: `vectors` of configs drawn from the space, shape (T, P, F).
        """
        expected = 2.0 * x.var(axis=0).sum(axis=1)
        varies = expected > 1e-9
        return cls(np.where(varies, 1.0 / np.where(varies, expected, 1.0), 0.0))

    def __call__(self, a: Floats, b: Floats) -> Floats:
        """Returns the similarities, shape (T, N), of (T, P, F) and (N, P, F)."""
        used = np.flatnonzero(self.relevance)
        if len(used) == 0:
            return np.ones((len(a), len(b)))
        total = np.zeros((len(a), len(b)))
        for p in used:
            u, v = a[:, p], b[:, p]
            squares = (u**2).sum(1)[:, None] + (v**2).sum(1)[None] - 2.0 * u @ v.T
            total += np.exp(-self.relevance[p] * np.maximum(squares, 0.0))
        return total / len(used)

"""The sources' Gaussian processes, evaluated together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve

from meta_nni.policy.kernel import Kernel
from meta_nni.policy.source import Source

__all__ = ["Ensemble"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Group:
    """Sources whose spaces share the same parameters with the new one.

    Attributes:
        kernel: Ignores the parameters that the sources lack.
        columns: Positions of the sources.
        x: Their trials one after the other, shape (sum of T, P, F).
        alpha: `(K + noise I)^-1 y` of each, one after the other, shape (sum of T,).
        starts: Where each source's trials begin.
    """

    kernel: Kernel
    columns: list[int]
    x: Floats
    alpha: Floats
    starts: list[int]


class Ensemble:
    """One Gaussian process per source, all with the kernel learned across them."""

    def __init__(self, kernel: Kernel, sources: Sequence[Source]) -> None:
        self._num_sources = len(sources)
        by_mask: dict[bytes, list[int]] = {}
        for position, source in enumerate(sources):
            by_mask.setdefault(source.mask.tobytes(), []).append(position)
        self._groups = [_fit(kernel, sources, columns) for columns in by_mask.values()]

    def predict(self, x: Floats) -> Floats:
        """Posterior means `k(x, X_s) (K_s + noise I)^-1 y_s` of every source s.

        Rasmussen & Williams 2006, eq. 2.25, in normal scores of the source; parameters
        that a source's space lacks are ignored.

        Args:
            x: `vectors` of N candidates, shape (N, P, F).

        Returns:
            Float64, shape (N, S).
        """
        means = np.zeros((len(x), self._num_sources))
        for group in self._groups:
            terms = group.kernel(x, group.x) * group.alpha
            means[:, group.columns] = np.add.reduceat(terms, group.starts, axis=1)
        return means

    def influence(self, x: Floats, source: int) -> Floats:
        """How much a source's prediction for one config would change without each trial.

        `(K^-1 k(x))_i alpha_i / (K^-1)_ii`, from the inverse of a matrix without one row
        and column (Rasmussen & Williams 2006, section 5.4.2): what the trial adds.

        Args:
            x: `vectors` of the config, shape (1, P, F).
            source: Which source.

        Returns:
            Float64 (T,), in the order of the source's trials.
        """
        group = next(group for group in self._groups if source in group.columns)
        place = group.columns.index(source)
        ends = [*group.starts[1:], len(group.alpha)]
        rows = slice(group.starts[place], ends[place])
        own, alpha = group.x[rows], group.alpha[rows]
        inverse = np.linalg.inv(group.kernel(own, own) + group.kernel.noise * np.eye(len(own)))
        return np.asarray(inverse @ group.kernel(own, x)[:, 0] * alpha / inverse.diagonal(), float)


def _fit(kernel: Kernel, sources: Sequence[Source], columns: list[int]) -> _Group:
    members = [sources[column] for column in columns]
    own = kernel.masked(members[0].mask)
    alphas = []
    for source in members:
        covariance = own(source.x, source.x) + kernel.noise * np.eye(len(source.y))
        alphas.append(cho_solve(cho_factor(covariance, lower=True), source.y))
    ends = np.cumsum([len(source.y) for source in members])
    starts = [0, *(int(end) for end in ends[:-1])]
    x = np.concatenate([source.x for source in members])
    return _Group(own, columns, x, np.concatenate(alphas), starts)

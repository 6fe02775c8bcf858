"""The sources' Gaussian processes, evaluated together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve

from meta_nni.policy.kernel import Kernel
from meta_nni.policy.source import Source

__all__ = ["Ensemble", "are_sparse"]

Floats = npt.NDArray[np.float64]

# With more, borrowing gained nothing on the tables of experiments/transfer_benchmark, and costs
# the cube of all their rows.
_SPARSE = 64
_CORRELATIONS = (0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98)
_MAX_FITTED = 1000  # rows on which the correlation is chosen


def are_sparse(sources: Sequence[Source]) -> bool:
    """Whether there are sources, and they have few trials each: they borrow from one another."""
    return len(sources) > 0 and float(np.mean([len(source.y) for source in sources])) < _SPARSE


@dataclass(frozen=True)
class _Group:
    """Sources whose spaces share the same parameters with the new one.

    Attributes:
        kernel: Ignores the parameters that the sources lack.
        columns: Positions of the S sources.
        x: Their R trials one after the other, shape (R, P, F).
        alpha: `C^-1 y`, shape (R,).
        starts: Where each source's trials begin.
        correlation: g, of any two tasks, 0 to 1.
    """

    kernel: Kernel
    columns: list[int]
    x: Floats
    alpha: Floats
    starts: list[int]
    correlation: float
    inverses: dict[int, Floats] = field(default_factory=dict, repr=False)

    def rows(self) -> list[slice]:
        """Each source's rows."""
        ends = [*self.starts[1:], len(self.alpha)]
        return [slice(start, end) for start, end in zip(self.starts, ends, strict=True)]

    def believed(self, weights: Floats) -> Floats:
        """`sum_s w_s B_ts` for the task t of every row, (R,), from weights (S,)."""
        counts = [rows.stop - rows.start for rows in self.rows()]
        g = self.correlation
        return np.repeat((1.0 - g) * weights + g * weights.sum(), counts)

    def blocks(self) -> Iterator[tuple[slice, Floats]]:
        """The blocks of C that are not zero: rows and inverse, which is kept."""
        whole = [slice(0, len(self.alpha))]
        for rows in whole if self.correlation else self.rows():
            if rows.start not in self.inverses:
                parts = self.rows() if self.correlation else [rows]
                counts = [part.stop - part.start for part in parts]
                own = _covariance(self.kernel, self.x[rows], counts, self.correlation)
                self.inverses[rows.start] = np.asarray(np.linalg.inv(own), np.float64)
            yield rows, self.inverses[rows.start]


class Ensemble:
    """One Gaussian process per source, all with the kernel learned across them.

    Sources of few trials share them: their functions are one Gaussian process over configs and
    tasks, `k((x, s), (x', t)) = B_st k(x, x')` with `B = g 11' + (1 - g) I` (intrinsic
    coregionalization, Bonilla et al. 2007, with one correlation g for all pairs of tasks), whose
    g is the likeliest of a few (Rasmussen & Williams 2006, eq. 5.8). Without borrowing, g is 0.

    Args:
        kernel: Similarity of configs.
        sources: S sources.
        borrowing: Whether sources of few trials may share them.
    """

    def __init__(
        self, kernel: Kernel, sources: Sequence[Source], *, borrowing: bool = True
    ) -> None:
        self._num_sources = len(sources)
        by_mask: dict[bytes, list[int]] = {}
        for position, source in enumerate(sources):
            by_mask.setdefault(source.mask.tobytes(), []).append(position)
        self._groups = [_fit(kernel, sources, columns, borrowing) for columns in by_mask.values()]

    def predict(self, x: Floats) -> Floats:
        """Posterior means `sum_i B_(t_i)s k(x, x_i) (C^-1 y)_i` for the task of every source s.

        `C = B * K + noise I` (Rasmussen & Williams 2006, eq. 2.25), in normal scores of the
        source; parameters that a source's space lacks are ignored.

        Args:
            x: `vectors` of N candidates, shape (N, P, F).

        Returns:
            Float64, shape (N, S).
        """
        means = np.zeros((len(x), self._num_sources))
        for group in self._groups:
            terms = group.kernel(x, group.x) * group.alpha
            g = group.correlation
            own = np.add.reduceat(terms, group.starts, axis=1)
            means[:, group.columns] = (1.0 - g) * own + g * own.sum(axis=1, keepdims=True)
        return means

    def shares(self, x: Floats, weights: Floats) -> Floats:
        """What each source's trials add to `sum_s w_s mean_s(x)` for one config, shape (S,).

        Args:
            x: `vectors` of the config, shape (1, P, F).
            weights: w, shape (S,).
        """
        shares = np.zeros(self._num_sources)
        for group in self._groups:
            terms = group.kernel(x, group.x)[0] * group.alpha
            terms *= group.believed(weights[group.columns])
            shares[group.columns] = np.add.reduceat(terms, group.starts)
        return shares

    def influence(self, x: Floats, weights: Floats) -> list[Floats]:
        """How much `sum_s w_s mean_s(x)` for one config would change without each trial.

        `(C^-1 k)_i (C^-1 y)_i / (C^-1)_ii`, from the inverse of a matrix without one row and
        column (Rasmussen & Williams 2006, section 5.4.2): what the trial adds.

        Args:
            x: `vectors` of the config, shape (1, P, F).
            weights: w, shape (S,).

        Returns:
            For each source float64 (T,), in the order of its trials.
        """
        found = [np.zeros(0)] * self._num_sources
        for group in self._groups:
            near = group.kernel(group.x, x)[:, 0] * group.believed(weights[group.columns])
            changes = np.concatenate(
                [
                    inverse @ near[rows] * group.alpha[rows] / inverse.diagonal()
                    for rows, inverse in group.blocks()
                ]
            )
            for column, rows in zip(group.columns, group.rows(), strict=True):
                found[column] = changes[rows]
        return found


def _fit(kernel: Kernel, sources: Sequence[Source], columns: list[int], borrowing: bool) -> _Group:
    members = [sources[column] for column in columns]
    own = kernel.masked(members[0].mask)
    counts = [len(source.y) for source in members]
    x, y = np.concatenate([s.x for s in members]), np.concatenate([s.y for s in members])
    borrows = borrowing and len(members) > 1 and are_sparse(members)
    correlation = _fit_correlation(own, members) if borrows else 0.0
    starts = [0, *(int(end) for end in np.cumsum(counts)[:-1])]
    if correlation:
        alpha = _solve(_covariance(own, x, counts, correlation), y)
    else:
        each = (_solve(_covariance(own, s.x, [len(s.y)], 0.0), s.y) for s in members)
        alpha = np.concatenate(list(each))
    return _Group(own, columns, x, alpha, starts, correlation)


def _covariance(kernel: Kernel, x: Floats, counts: Sequence[int], correlation: float) -> Floats:
    """`B * K + noise I` of trials x (R, P, F): of each task so many in a row, as `counts` says."""
    task = np.repeat(np.arange(len(counts)), counts)
    between = np.where(task[:, None] == task, 1.0, correlation)
    return np.asarray(between * kernel(x, x) + kernel.noise * np.eye(len(x)), float)


def _solve(covariance: Floats, y: Floats) -> Floats:
    return np.asarray(cho_solve(cho_factor(covariance, lower=True), y), float)


def _fit_correlation(kernel: Kernel, sources: Sequence[Source]) -> float:
    """The likeliest correlation, by the log marginal likelihood of some rows of each source."""
    most = max(_MAX_FITTED // len(sources), 2)
    # Trials are ordered by value: equal steps keep good and bad ones.
    rows = [np.linspace(0, len(s.y) - 1, min(most, len(s.y))).astype(int) for s in sources]
    x = np.concatenate([s.x[chosen] for s, chosen in zip(sources, rows, strict=True)])
    y = np.concatenate([s.y[chosen] for s, chosen in zip(sources, rows, strict=True)])
    counts = [len(chosen) for chosen in rows]
    likelihoods = []
    for correlation in _CORRELATIONS:
        factor = cho_factor(_covariance(kernel, x, counts, correlation), lower=True)
        log_det = 2.0 * float(np.log(np.diag(factor[0])).sum())
        likelihoods.append(-0.5 * (float(y @ cho_solve(factor, y)) + log_det))
    return _CORRELATIONS[int(np.argmax(likelihoods))]

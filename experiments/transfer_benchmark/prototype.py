"""The GP prototype: a reference that searches a table's rows.

Every row of the table is predicted for every source task by a GP on the source's own
measured rows. It knows the table, which a controller of a search space does not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.stats import norm, rankdata

from experiments.transfer_benchmark.tables import Table
from meta_nni.trial import Config, History

__all__ = ["Prototype", "predict_sources"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_NOISE = 0.05  # variance of the standardised values
_NUM_INITIAL = 3  # random trials without sources
_MANY = 3000  # of larger tables so many rows are drawn as candidates at each step
_TOP = 400  # and so many that the sources like best
_WARM_GRID = [(r, w) for r in (0.1, 0.4, 1.0) for w in (0.02, 0.2)]
_COLD_GRID = [(1.0, 0.0)]


class Prototype:
    """Bayesian linear combination of the sources' predictions plus a GP residual.

    `y ~ F w + GP`, `w ~ N(1/S, s2 I)` over the S sources' predictions F; the residual's
    variance and s2 by marginal likelihood at each step; expected improvement. Without
    sources a plain GP from three random trials on.
    """

    def __init__(self, table: Table, sources: Sequence[History], seed: int) -> None:
        self._table, self._rng = table, np.random.default_rng(seed)
        self._scale = _length_scale(table.x)
        self._sources = predict_sources(table, sources) if sources else None  # (N, S)
        self._seen: list[int] = []
        self._values: list[float] = []
        self.prediction: tuple[float, float] | None = None

    def ask(self) -> Config:
        """Proposes a row that was not tried; predicts it from the third result on."""
        self._row = self._choose()
        return self._table.configs[self._row]

    def tell(self, config: Config, value: float) -> None:
        """Records the value of the row last proposed."""
        self._seen.append(self._row)
        self._values.append(value)

    def _choose(self) -> int:
        self.prediction = None
        left = np.setdiff1d(np.arange(len(self._table.x)), self._seen)
        if self._sources is None and len(self._seen) < _NUM_INITIAL:
            return int(self._rng.choice(left))
        if not self._seen:
            return int(np.argmax(self._prior()))
        left = self._candidates(left)
        z, scale, shift = self._targets()
        mean, std = self._posterior(z, left)
        u = (mean - z.max()) / std
        best = int(np.argmax(std * (u * norm.cdf(u) + norm.pdf(u))))
        if len(self._seen) >= _NUM_INITIAL:
            spread = float(np.sqrt(std[best] ** 2 + _NOISE))
            self.prediction = float(mean[best]) * scale + shift, spread * scale
        return int(left[best])

    def _prior(self) -> Floats:
        """Mean of the sources' predictions, (N,)."""
        return np.zeros(len(self._table.x)) if self._sources is None else self._sources.mean(1)

    def _candidates(self, left: Ints) -> Ints:
        if len(self._table.x) <= _MANY:
            return left
        if self._sources is None:
            return np.setdiff1d(self._rng.choice(len(self._table.x), _MANY, False), self._seen)
        drawn = self._rng.choice(len(self._table.x), _MANY, replace=False)
        return np.setdiff1d(np.r_[drawn, np.argsort(-self._prior())[:_TOP]], self._seen)

    def _targets(self) -> tuple[Floats, float, float]:
        """The values on the scale of the prior, and the way back: value = z * a + b."""
        values, prior = np.array(self._values), self._prior()[self._seen]
        if len(values) < _NUM_INITIAL:
            return prior, 1.0, 0.0
        width = 1.0 if self._sources is None else max(float(prior.std()), 0.25)
        scale = (float(values.std()) + 1e-9) / width
        z = (values - values.mean()) / scale + prior.mean()
        return z, scale, float(values.mean() - prior.mean() * scale)

    def _posterior(self, z: Floats, left: Ints) -> tuple[Floats, Floats]:
        """Mean and standard deviation at the rows `left`, each (len(left),)."""
        x, seen, prior = self._table.x, self._seen, self._prior()
        own, cross = _rbf(x[seen], x[seen], self._scale), _rbf(x[left], x[seen], self._scale)
        f = np.zeros((len(x), 1)) if self._sources is None else self._sources
        inner, outer = f[seen] @ f[seen].T, f[left] @ f[seen].T
        fits = []
        for residual, weight in _COLD_GRID if self._sources is None else _WARM_GRID:
            among = residual * own + weight * inner + _NOISE * np.eye(len(seen))
            chol = np.linalg.cholesky(among)
            a = np.linalg.solve(chol, z - prior[seen])
            evidence = -0.5 * a @ a - np.log(np.diag(chol)).sum()
            fits.append((evidence, residual, weight, chol, a))
        _, residual, weight, chol, a = max(fits, key=lambda fit: fit[0])
        b = np.linalg.solve(chol, (residual * cross + weight * outer).T)
        variance = residual + weight * (f[left] ** 2).sum(1) - (b**2).sum(0)
        return prior[left] + b.T @ a, np.sqrt(np.maximum(variance, 1e-9))


def predict_sources(table: Table, sources: Sequence[History]) -> Floats:
    """Each source's values, rank-normalised, predicted for every row: (N, S)."""
    scale, columns = _length_scale(table.x), []
    for source in sources:
        x = table.x[[table.row(trial.config) for trial in source.trials]]
        y = np.array([trial.value for trial in source.trials], float)
        z = norm.ppf((rankdata(y) - 0.5) / len(y))
        among = _rbf(x, x, scale) + _NOISE * np.eye(len(x))
        columns.append(_rbf(table.x, x, scale) @ np.linalg.solve(among, z))
    return np.stack(columns, axis=1)


def _length_scale(x: Floats) -> float:
    return float(np.sqrt(x.var(0).sum() * 2) * 0.7)


def _rbf(a: Floats, b: Floats, scale: float) -> Floats:
    squared = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T
    return np.asarray(np.exp(-squared / (2 * scale**2)))

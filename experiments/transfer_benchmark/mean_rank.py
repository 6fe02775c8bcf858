"""The mean-rank portfolio of the sources: a reference that searches a table's rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import rankdata

from experiments.transfer_benchmark.prototype import predict_sources
from experiments.transfer_benchmark.tables import Table
from meta_nni.trial import Config, History

__all__ = ["MeanRankPortfolio"]


class MeanRankPortfolio:
    """The rows by their mean rank over the sources; it never looks at results.

    No two sources measured the same configs, so a row's rank in a source is that of its
    prediction by a GP on the source's own rows.
    """

    prediction: tuple[float, float] | None = None

    def __init__(self, table: Table, sources: Sequence[History], seed: int) -> None:
        ranks = rankdata(predict_sources(table, sources), axis=0).mean(1)
        self._configs = (table.configs[row] for row in np.argsort(-ranks, kind="stable"))

    def ask(self) -> Config:
        """Proposes the next row."""
        return next(self._configs)

    def tell(self, config: Config, value: float) -> None:
        """Ignores the result."""

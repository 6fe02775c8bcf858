"""Scores of the recorded searches of the table: regret, accuracy and the bars.

Normalised regret of an accuracy v is (best - v) / (best - median) over the table's cells: 0
is the best cell, 1 the median one. Standard errors are over the (task, seed) pairs, which
counts the seeds of a task as independent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from experiments.nas_strategies.arms import ARMS, PORTFOLIO
from experiments.transfer_benchmark.records import Job
from experiments.transfer_benchmark.scores import Estimate, regret_curve
from experiments.transfer_benchmark.tables import Table
from experiments.verdicts import Verdict

__all__ = ["AGAINST_COLD", "AGAINST_PORTFOLIO", "BUDGETS", "TableScores", "check"]

BUDGETS = (10, 30, 100, 300)
"""Numbers of measured cells that are reported."""

AGAINST_PORTFOLIO, AGAINST_COLD = (10, 30, 100), (10, 30)
"""Where warm MetaStrategy has to be better."""

_WARM, _COLD = "meta_warm", "meta_cold"

Floats = npt.NDArray[np.float64]
Pair = tuple[str, int]


class TableScores:
    """Curves of all recorded searches.

    Attributes:
        table: The table.
        records: By job, those of known arms with enough cells.
    """

    def __init__(self, table: Table, records: Mapping[Job, Mapping[str, Any]]) -> None:
        self.table = table
        self.records = {job: r for job, r in records.items() if r["trials"] >= BUDGETS[-1]}
        self._regrets: dict[str, dict[Pair, Floats]] = {}
        for job, record in self.records.items():
            values = table.values[job.task]
            curve = regret_curve(record["rows"], values, values, BUDGETS[-1])
            self._regrets.setdefault(job.arm, {})[job.task, job.seed] = curve

    @property
    def arms(self) -> list[str]:
        """The arms that have a record, in the order of `ARMS`."""
        return [arm for arm in ARMS if arm in self._regrets]

    def curve(self, arm: str) -> Floats:
        """Mean regret of an arm after each cell."""
        return np.asarray(np.mean(list(self._regrets[arm].values()), axis=0))

    def regret(self, arm: str, cells: int) -> Estimate | None:
        """Regret of an arm after a number of cells."""
        return Estimate.of([float(c[cells - 1]) for c in self._regrets.get(arm, {}).values()])

    def accuracy(self, arm: str, task: str, cells: int) -> Estimate | None:
        """Accuracy in percent of the best cell after a number of them."""
        values = self.table.values[task]
        return Estimate.of(
            [
                float(values[record["rows"][:cells]].max())
                for job, record in self.records.items()
                if (job.arm, job.task) == (arm, task)
            ]
        )

    def difference(self, first: str, second: str, cells: int) -> Estimate | None:
        """Paired difference of regrets, first minus second, over their common pairs."""
        one, two = self._regrets.get(first, {}), self._regrets.get(second, {})
        both = sorted(one.keys() & two.keys())
        return Estimate.of([float(one[pair][cells - 1] - two[pair][cells - 1]) for pair in both])


def check(scores: TableScores) -> Iterator[Verdict]:
    """Judges every bar by paired differences; negative: ours is better."""
    for cells in AGAINST_PORTFOLIO:
        yield _judged(scores, "warm MetaStrategy better than the portfolio", PORTFOLIO, cells)
    for cells in AGAINST_COLD:
        yield _judged(scores, "warm MetaStrategy better than cold", _COLD, cells)
    for arm in ARMS:
        if arm not in ("random", PORTFOLIO):
            gap = scores.difference(arm, "random", BUDGETS[-1])
            holds = None if gap is None else gap.mean <= 0
            where = f"{arm}, {BUDGETS[-1]} cells"
            yield Verdict("none of ours worse than random", where, holds, _numbers(gap))


def _judged(scores: TableScores, bar: str, other: str, cells: int) -> Verdict:
    gap = scores.difference(_WARM, other, cells)
    return Verdict(bar, f"{cells} cells", None if gap is None else gap.mean < 0, _numbers(gap))


def _numbers(gap: Estimate | None) -> str:
    return "not measured" if gap is None else f"{gap} (n = {gap.n})"

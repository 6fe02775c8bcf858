"""Scores of the recorded runs: regret, test regret, calibration of predictions.

Everything is recomputed from the rows that a run tried and the tables. Normalised regret
of a value v is (best - v) / (best - median) over the table's rows: 0 is the best row, 1
the median one. Standard errors are over the (task, seed) pairs, which counts the seeds of
a task as independent draws from the table's tasks.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from experiments.transfer_benchmark.records import Job
from experiments.transfer_benchmark.tables import Table

__all__ = ["BUDGETS", "Calibration", "Estimate", "Scores", "average", "over_tasks", "regret_curve"]

Floats = npt.NDArray[np.float64]
Pair = tuple[str, int]

BUDGETS = (1, 3, 5, 10, 20, 30, 50)
"""Numbers of trials that are reported."""

_WIDTH_90 = 1.6448536269514722  # of a central 90% interval, in standard deviations
_UNCERTAIN_TRIALS = 10  # predictions count after so many trials


class Estimate(NamedTuple):
    """A mean with its standard error.

    Attributes:
        mean: Of the n numbers.
        error: Its standard error; NaN for a single number.
        n: How many numbers.
    """

    mean: float
    error: float
    n: int

    @classmethod
    def of(cls, numbers: Sequence[float]) -> Estimate | None:
        """The mean of some numbers; None for none."""
        if not len(numbers):
            return None
        spread = float(np.std(numbers, ddof=1)) if len(numbers) > 1 else math.nan
        return cls(float(np.mean(numbers)), spread / math.sqrt(len(numbers)), len(numbers))

    def __str__(self) -> str:
        return f"{self.mean:.3f} ± {self.error:.3f}"


class Calibration(NamedTuple):
    """How well an arm predicted the values of its own proposals.

    Attributes:
        coverage: Share of results inside the central 90% interval.
        nll: Mean negative log likelihood of a normal distribution, with values in units
            of the table's best minus median, so that tasks compare.
        n: Number of predictions.
    """

    coverage: float
    nll: float
    n: int


def average(estimates: Sequence[Estimate | None]) -> Estimate | None:
    """The mean of independent estimates; None if one of them is missing."""
    known = [estimate for estimate in estimates if estimate is not None]
    if not known or len(known) < len(estimates):
        return None
    error = math.sqrt(sum(estimate.error**2 for estimate in known)) / len(known)
    mean = sum(estimate.mean for estimate in known) / len(known)
    return Estimate(mean, error, sum(estimate.n for estimate in known))


def over_tasks(numbers: Iterable[tuple[str, float]]) -> Estimate | None:
    """The mean over tasks of the mean of each; None for none.

    The seeds of a task are no further tasks, so that n and the error are those of tasks.

    Args:
        numbers: (task, number) of each search.
    """
    of: defaultdict[str, list[float]] = defaultdict(list)
    for task, number in numbers:
        of[task].append(number)
    return Estimate.of([float(np.mean(each)) for each in of.values()])


def regret_curve(rows: Sequence[int], told: Floats, judged: Floats, num_trials: int) -> Floats:
    """Normalised regret after each trial, (num_trials,).

    Args:
        rows: Rows tried, in order; the last result stands for trials that are missing.
        told: The values that the search was told, (N,).
        judged: The values by which the row best so far is judged, (N,); `told` itself or
            test values.
        num_trials: Length of the curve.
    """
    best, curve = rows[0], []
    for row in rows[:num_trials]:
        best = row if told[row] > told[best] else best
        curve.append(judged[best])
    curve += [curve[-1]] * (num_trials - len(curve))
    top = judged.max()
    return np.asarray((top - np.array(curve)) / (top - np.median(judged)), float)


class Scores:
    """Curves of all recorded runs, and what is asked of them.

    Attributes:
        tables: By name.
        records: By job.
    """

    def __init__(self, tables: Mapping[str, Table], records: Mapping[Job, Mapping[str, Any]]):
        self.tables = dict(tables)
        self.records = {job: r for job, r in records.items() if job.table in tables and r["rows"]}
        self._curves = self._all_curves(tested=False)
        self._tests = self._all_curves(tested=True)

    def _all_curves(self, tested: bool) -> dict[tuple[str, str], dict[Pair, Floats]]:
        curves: dict[tuple[str, str], dict[Pair, Floats]] = {}
        for job, record in self.records.items():
            table = self.tables[job.table]
            told = table.values[job.task]
            judged = table.tests[job.task] if tested else told
            curve = regret_curve(record["rows"], told, judged, BUDGETS[-1])
            curves.setdefault((job.table, job.arm), {})[job.task, job.seed] = curve
        return curves

    def has(self, table: str, arm: str) -> bool:
        """Whether there is a run of the arm on the table."""
        return (table, arm) in self._curves

    def curve(self, table: str, arm: str) -> Floats:
        """Mean regret after each trial."""
        return np.asarray(np.mean(list(self._curves[table, arm].values()), axis=0))

    def regret(self, table: str, arm: str, trial: int, tested: bool = False) -> Estimate | None:
        """Regret after a number of trials, by told or by test values."""
        curves = (self._tests if tested else self._curves).get((table, arm), {})
        return Estimate.of([float(curve[trial - 1]) for curve in curves.values()])

    def difference(
        self, table: str, first: tuple[str, int], second: tuple[str, int]
    ) -> Estimate | None:
        """Paired difference of two (arm, trial), first minus second, over common pairs."""
        one = self._curves.get((table, first[0]), {})
        two = self._curves.get((table, second[0]), {})
        both = sorted(one.keys() & two.keys())
        return Estimate.of(
            [float(one[pair][first[1] - 1] - two[pair][second[1] - 1]) for pair in both]
        )

    def calibration(self, table: str, arm: str) -> Calibration | None:
        """Predictions after trial 10 against results; None without predictions."""
        inside: list[bool] = []
        losses: list[float] = []
        for job, record in self.records.items():
            if (job.table, job.arm) == (table, arm):
                self._judge(job, record, inside, losses)
        if not losses:
            return None
        return Calibration(float(np.mean(inside)), float(np.mean(losses)), len(losses))

    def _judge(
        self, job: Job, record: Mapping[str, Any], inside: list[bool], losses: list[float]
    ) -> None:
        values = self.tables[job.table].values[job.task]
        unit = values.max() - np.median(values)
        pairs = zip(record["rows"], record.get("predictions", ()), strict=False)
        for row, prediction in list(pairs)[_UNCERTAIN_TRIALS:]:
            if prediction is not None:
                mean, std = prediction[0], max(prediction[1], 1e-9 * unit)
                z = (values[row] - mean) / std
                inside.append(bool(abs(z) <= _WIDTH_90))
                losses.append(0.5 * z**2 + math.log(std / unit) + 0.5 * math.log(2 * math.pi))

    def trials_until(self, table: str, arm: str, task: str, within: float) -> list[float]:
        """Of each run, the trials until a value is `within` of the best; inf if never."""
        values = self.tables[table].values[task]
        good = values >= values.max() - within
        counts = []
        for job, record in self.records.items():
            if job[:3] == (table, arm, task):
                hits = [number for number, row in enumerate(record["rows"], 1) if good[row]]
                counts.append(float(hits[0]) if hits else math.inf)
        return counts

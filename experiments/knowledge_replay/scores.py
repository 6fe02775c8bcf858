"""Scores of the replayed searches: regret by trials and by seconds, and paired differences.

The normalised regret of a value v is (best - v) / (best - median) over the pool: 0 is the
best row, 1 the median one. A regret above 2 counts as 2, which is the worst row's when values
are replaced by their ranks: R2 has no lower bound, and one hopeless row would decide the mean
of all tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from experiments.knowledge_replay.problem import Problem
from experiments.transfer_benchmark.records import Job
from experiments.transfer_benchmark.scores import Estimate

__all__ = ["BUDGETS", "CAP", "MEASURES", "Scores"]

Floats = npt.NDArray[np.float64]

BUDGETS = (1, 3, 5, 10, 20)
"""Numbers of trials that are reported, and of mean trials' seconds."""

CAP = 2.0
"""The highest regret."""


def by_trials(problem: Problem, rows: Sequence[int]) -> Floats:
    """Regret after each of `BUDGETS` trials; the last one stands for trials that are missing."""
    return _regret(problem.values, rows, BUDGETS)


def by_ranks(problem: Problem, rows: Sequence[int]) -> Floats:
    """The same with the pool's values replaced by their ranks."""
    return _regret(rankdata(problem.values), rows, BUDGETS)


def by_seconds(problem: Problem, rows: Sequence[int]) -> Floats:
    """Regret after the seconds of so many mean trials of the pool; the worst row's before one."""
    ends = np.cumsum(problem.seconds[list(rows)])
    limits = np.array(BUDGETS) * problem.seconds.mean()
    return _regret(problem.values, rows, np.searchsorted(ends, limits, side="right"))


def _regret(values: Floats, rows: Sequence[int], counts: Iterable[int]) -> Floats:
    best, found = values.max(), np.maximum.accumulate(values[list(rows)])
    reached = np.array([found[min(n, len(rows)) - 1] if n else values.min() for n in counts])
    regret: Floats = (best - reached) / (best - np.median(values))
    return np.minimum(regret, CAP)


MEASURES: dict[str, Callable[[Problem, Sequence[int]], Floats]] = {
    "trials": by_trials,
    "ranks": by_ranks,
    "seconds": by_seconds,
}
"""Ways to score a search: (problem, rows tried) -> regret at each of `BUDGETS`."""


class Scores:
    """Regret of all recorded searches, a number for each task: the mean over its seeds.

    Standard errors are over tasks. Seeds are averaged first, since those of one task share
    pool and sources and some arms hardly depend on them.

    Attributes:
        problems: By name, those that were searched.
    """

    def __init__(
        self, problems: Sequence[Problem], records: Mapping[Job, Mapping[str, Any]]
    ) -> None:
        self.problems = {problem.name: problem for problem in problems}
        self._curves: dict[tuple[str, str], dict[int, dict[str, Floats]]] = {}
        for job, record in records.items():
            if job.task in self.problems and record["rows"]:
                problem, rows = self.problems[job.task], record["rows"]
                curves = {name: score(problem, rows) for name, score in MEASURES.items()}
                self._curves.setdefault((job.task, job.arm), {})[job.seed] = curves

    def tasks(self, kind: str, budget: int) -> list[str]:
        """Names of the kind's problems whose pool has more rows than `budget`."""
        return [
            name
            for name, problem in self.problems.items()
            if problem.kind == kind and len(problem.configs) > budget
        ]

    def regret(self, measure: str, kind: str, arm: str, budget: int) -> Estimate | None:
        """Mean over the kind's tasks; None if the arm lacks one of them."""
        return self._over_tasks(kind, budget, lambda task: self.of_task(measure, task, arm, budget))

    def difference(
        self, measure: str, kind: str, first: str, second: str, budget: int
    ) -> Estimate | None:
        """Mean over tasks of the paired difference, first minus second: negative, first wins."""

        def paired(task: str) -> float | None:
            one = self._seeds(measure, task, first, budget)
            two = self._seeds(measure, task, second, budget)
            both = one.keys() & two.keys()
            return float(np.mean([one[s] - two[s] for s in both])) if both else None

        return self._over_tasks(kind, budget, paired)

    def of_task(self, measure: str, task: str, arm: str, budget: int) -> float | None:
        """Mean over the seeds of one task; None without any."""
        values = self._seeds(measure, task, arm, budget)
        return float(np.mean(list(values.values()))) if values else None

    def _over_tasks(
        self, kind: str, budget: int, number: Callable[[str], float | None]
    ) -> Estimate | None:
        found = [number(task) for task in self.tasks(kind, budget)]
        whole = [value for value in found if value is not None]
        return Estimate.of(whole) if len(whole) == len(found) else None

    def _seeds(self, measure: str, task: str, arm: str, budget: int) -> dict[int, float]:
        place = BUDGETS.index(budget)
        curves = self._curves.get((task, arm), {})
        return {seed: float(own[measure][place]) for seed, own in curves.items()}

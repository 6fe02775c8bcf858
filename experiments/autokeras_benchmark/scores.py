"""Scores of the recorded searches: best validation value by trials, and test accuracy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from experiments.transfer_benchmark.records import Job
from experiments.transfer_benchmark.scores import Estimate

__all__ = ["BUDGETS", "Measure", "Scores", "best_after", "final_accuracy"]

Record = Mapping[str, Any]
Measure = Callable[[Record], float]
"""A number of one search, the higher the better."""

BUDGETS = (1, 3, 6, 12)
"""Numbers of trials that are reported."""


def best_after(count: int) -> Measure:
    """The best validation accuracy of the first `count` trials; 0 if none of them has one."""
    return lambda record: max((t["value"] or 0.0 for t in record["measured"][:count]), default=0.0)


def final_accuracy(record: Record) -> float:
    """Accuracy of the final model on the test rows; 0 if there is no model."""
    return float(record["test_accuracy"] or 0.0)


class Scores:
    """Numbers of all searches, averaged over the seeds of a task first.

    Attributes:
        records: The searches by job.
    """

    def __init__(self, records: Mapping[Job, Record]) -> None:
        self.records = records

    def tasks(self, kind: str, arms: Sequence[str]) -> list[str]:
        """Names of the kind's tasks that every one of `arms` has searched; kind "" is any."""
        found = {job.task: None for job in self.records if kind in ("", job.table)}
        return [task for task in found if all(self._seeds(task, arm) for arm in arms)]

    def mean(self, kind: str, arm: str, measure: Measure, arms: Sequence[str]) -> Estimate | None:
        """Mean over the tasks that all of `arms` have, with its standard error over tasks."""
        return Estimate.of(
            [
                float(np.mean([measure(r) for r in self._seeds(task, arm).values()]))
                for task in self.tasks(kind, arms)
            ]
        )

    def of_task(
        self, task: str, first: tuple[str, Measure], second: tuple[str, Measure]
    ) -> Estimate | None:
        """First minus second on one task, paired by seed, with its standard error over seeds."""
        (one, measured), (two, other) = first, second
        ours, theirs = self._seeds(task, one), self._seeds(task, two)
        both = sorted(ours.keys() & theirs.keys())
        return Estimate.of([measured(ours[seed]) - other(theirs[seed]) for seed in both])

    def difference(
        self, kind: str, first: tuple[str, Measure], second: tuple[str, Measure]
    ) -> Estimate | None:
        """The mean of that over the kind's tasks, with its standard error over tasks."""
        gaps = [self.of_task(t, first, second) for t in self.tasks(kind, [first[0], second[0]])]
        return Estimate.of([gap.mean for gap in gaps if gap is not None])

    def _seeds(self, task: str, arm: str) -> dict[int, Record]:
        return {
            job.seed: record
            for job, record in self.records.items()
            if (job.task, job.arm) == (task, arm)
        }

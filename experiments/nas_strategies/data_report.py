"""Writes data.md: test accuracies of the strategies on real data, and the bar."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from experiments.nas_strategies.arms import PORTFOLIO
from experiments.transfer_benchmark.records import Job
from experiments.transfer_benchmark.scores import Estimate
from experiments.verdicts import Verdict, verdict_table
from experiments.verdicts import table as markdown_table

__all__ = ["check", "markdown"]

_METHODS = ("darts", "enas", "evolution", "meta")

Records = Mapping[Job, Mapping[str, Any]]


def markdown(records: Records) -> str:
    """The whole report."""
    lines = ["# Search strategies on real data", "", _INTRODUCTION, ""]
    lines += [*_accuracies(records), "", "## Bar", "", *verdict_table(list(check(records))), ""]
    return "\n".join([*lines, "## Measured with", "", *_origin(records), ""])


_INTRODUCTION = (
    "Written by `data.py`. Accuracy in percent on the test split of the cell found, trained "
    "anew; mean over seeds ± standard error. Every search has the same seconds of the "
    "processor, deciding and learning included. Cells: how many each search measured, median; "
    "those of DARTS and ENAS share weights."
)


def check(records: Records) -> Iterator[Verdict]:
    """Judges the bar on paired differences, and shows those to the portfolio beside it."""
    for method in _METHODS:
        gap = _difference(records, f"{method}_warm", f"{method}_cold")
        bar = "warm at least as good as cold on the mean over data sets"
        holds = None if gap is None else gap.mean >= 0
        yield Verdict(bar, method, holds, _points(gap))
    for method in _METHODS:
        gap = _difference(records, f"{method}_warm", PORTFOLIO)
        holds = None if gap is None else gap.mean >= 0
        yield Verdict(
            "warm at least as good as the portfolio (no bar)", method, holds, _points(gap)
        )


def _difference(records: Records, first: str, second: str) -> Estimate | None:
    """Percentage points, first minus second, over the (data set, seed) pairs of both."""
    pairs = [
        (record["test_accuracy"], records[other]["test_accuracy"])
        for job, record in records.items()
        if job.arm == first and (other := job._replace(arm=second)) in records
    ]
    return Estimate.of([100 * (one - two) for one, two in pairs])


def _points(gap: Estimate | None) -> str:
    if gap is None:
        return "not measured"
    return f"{gap.mean:+.2f} ± {gap.error:.2f} points (n = {gap.n})"


def _accuracies(records: Records) -> Iterator[str]:
    tasks = list(dict.fromkeys(job.task for job in records))
    rows = []
    for arm in dict.fromkeys(job.arm for job in records):
        own = {job: record for job, record in records.items() if job.arm == arm}
        each = [_mean(own, lambda job, task=task: job.task == task) for task in tasks]
        cells = sorted(record["trials"] for record in own.values())[len(own) // 2]
        rows.append([f"`{arm}`", *each, _mean(own, lambda job: True), str(cells), str(len(own))])
    return markdown_table(["strategy", *tasks, "mean", "cells", "runs"], rows)


def _mean(records: Records, chosen: Callable[[Job], bool]) -> str:
    found = [100 * record["test_accuracy"] for job, record in records.items() if chosen(job)]
    estimate = Estimate.of(found)
    return "" if estimate is None else f"{estimate.mean:.2f} ± {estimate.error:.2f}"


def _origin(records: Records) -> Iterator[str]:
    origins = {
        (str(record["settings"]), record["machine"], record["date"]) for record in records.values()
    }
    return markdown_table(["settings", "machine", "date"], [list(o) for o in sorted(origins)])

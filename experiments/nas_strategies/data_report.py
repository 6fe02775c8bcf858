"""Writes data.md: test accuracies of the strategies on real data, and the bar."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from experiments.nas_strategies.arms import PORTFOLIO
from experiments.transfer_benchmark.records import Job
from experiments.transfer_benchmark.scores import Estimate, average
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
    "anew; mean over seeds ± standard error, then over data sets. Every search may take the same "
    "seconds of the processor, deciding, learning and loading included; DARTS may stop before, "
    "against collapse. Cells and seconds of a search are medians; cells of DARTS and ENAS share "
    "weights. Errors are those of seeds: all seeds have the same data sets and source cells."
)


def check(records: Records) -> Iterator[Verdict]:
    """Judges the bar on paired differences, and shows those to the portfolio beside it."""
    for method in _METHODS:
        gap = _difference(records, f"{method}_warm", f"{method}_cold")
        bar = "warm at least as good as cold on the mean over data sets"
        yield Verdict(bar, method, None if gap is None else gap.mean >= 0, _points(gap))
    for method in _METHODS:
        gap = _difference(records, f"{method}_warm", PORTFOLIO)
        bar = "warm at least as good as the portfolio (no bar)"
        yield Verdict(bar, method, None if gap is None else gap.mean >= 0, _points(gap))


def _difference(records: Records, first: str, second: str) -> Estimate | None:
    """Percentage points, first minus second, paired by seeds; the mean over data sets.

    None until both have run every data set with the same two seeds or more.
    """
    pairs: dict[str, dict[int, float]] = {job.task: {} for job in records}
    for job, record in records.items():
        if job.arm == first and (other := job._replace(arm=second)) in records:
            gap = record["test_accuracy"] - records[other]["test_accuracy"]
            pairs[job.task][job.seed] = 100 * gap
    seeds = [sorted(own) for own in pairs.values()]
    if not seeds or len(seeds[0]) < 2 or any(own != seeds[0] for own in seeds):
        return None
    return average([Estimate.of(list(own.values())) for own in pairs.values()])


def _points(gap: Estimate | None) -> str:
    if gap is None:
        return "not measured yet"
    return f"{gap.mean:+.2f} ± {gap.error:.2f} points (n = {gap.n})"


def _accuracies(records: Records) -> Iterator[str]:
    tasks = list(dict.fromkeys(job.task for job in records))
    rows = []
    for arm in dict.fromkeys(job.arm for job in records):
        own = {job: record for job, record in records.items() if job.arm == arm}
        each = [_mean(own, task) for task in tasks]
        medians = [f"{_median(own, name):.0f}" for name in ("trials", "search_seconds")]
        stopped = sum(record.get("stopped") is not None for record in own.values())
        rows.append([f"`{arm}`", *map(_shown, [*each, average(each)]), *medians, str(stopped)])
        rows[-1].append(str(len(own)))
    header = ["strategy", *tasks, "mean", "cells", "seconds", "stopped", "runs"]
    return markdown_table(header, rows)


def _mean(records: Records, task: str) -> Estimate | None:
    own = [record for job, record in records.items() if job.task == task]
    return Estimate.of([100 * record["test_accuracy"] for record in own])


def _median(records: Records, name: str) -> float:
    return float(np.median([record[name] for record in records.values()]))


def _shown(estimate: Estimate | None) -> str:
    return "" if estimate is None else f"{estimate.mean:.2f} ± {estimate.error:.2f}"


def _origin(records: Records) -> Iterator[str]:
    origins = {
        (str(record["settings"]), record["machine"], record["date"], str(record["versions"]))
        for record in records.values()
    }
    header = ["settings", "machine", "date", "versions"]
    return markdown_table(header, [list(origin) for origin in sorted(origins)])

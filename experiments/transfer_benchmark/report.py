"""Writes results.md and regret.svg from the recorded runs.

    python -m experiments.transfer_benchmark.report --tables DIR

The figure needs matplotlib, which the peers' environment has; without it only results.md
is written. Every figure and verdict is computed here, none is kept by hand.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from experiments.transfer_benchmark import bars, plot, records, tables
from experiments.transfer_benchmark.arms import ARMS
from experiments.transfer_benchmark.scores import BUDGETS, Estimate, Scores, average
from experiments.verdicts import table, verdict_table

__all__ = ["main", "markdown"]

HERE = Path(__file__).parent
_WITHIN = 0.1  # percentage points of accuracy, of the published setting
_TRIALS = BUDGETS[-1]


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the results and writes the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tables", type=Path, required=True, help="folder of the .npz tables")
    parser.add_argument("--results", type=Path, default=HERE / "results")
    parser.add_argument("--output", type=Path, default=HERE)
    options = parser.parse_args(arguments)
    found = records.read(options.results, list(ARMS))
    names = [name for name in tables.TABLES if any(job.table == name for job in found)]
    scores = Scores({name: tables.load(name, options.tables) for name in names}, found)
    (options.output / "results.md").write_text(markdown(scores), encoding="utf-8")
    try:
        plot.draw(scores, options.output / "regret.svg")
    except ImportError:
        print("matplotlib is not installed: regret.svg was not drawn")


def markdown(scores: Scores) -> str:
    """The whole report."""
    lines = ["# Results", "", _INTRODUCTION, ""]
    for name in scores.tables:
        lines += [f"## {name}", "", *_regret(scores, name), ""]
        lines += ["Paired differences, `meta` minus the other; negative: `meta` is better.", ""]
        lines += [*_differences(scores, name), ""]
        if scores.tables[name].tests is not scores.tables[name].values:
            lines += ["Regret in test value of the row found, which no arm was told.", ""]
            lines += [*_regret(scores, name, tested=True), ""]
    lines += ["## Mean of the tables", "", *_means(scores), ""]
    lines += ["## Bars", "", *verdict_table(bars.check(scores)), ""]
    lines += ["## Predictions after trial 10", "", *_calibration(scores), ""]
    lines += ["## Seconds of deciding", "", _SECONDS, "", *_seconds(scores), ""]
    if "nasbench201" in scores.tables:
        lines += ["## The published setting", "", _PUBLISHED, "", *_published(scores), ""]
    lines += ["## Measured with", "", *_origin(scores), ""]
    return "\n".join(lines)


_INTRODUCTION = (
    "Written by `report.py`. Mean normalised regret (0 best of the table, 1 median) ± its "
    "standard error over (task, seed) pairs. lcbench_surrogate is a surrogate of measured "
    "learning curves, not measurements."
)
_SECONDS = (
    "Telling a result and asking for the next config; medians over runs, all tables together. "
    "First: the first ask. Learn: making the arm, from sources where it has any. CPU: minutes "
    "of all its runs. Timed on a machine with other work on it."
)
_PUBLISHED = (
    "NAS-Bench-201 with the other two tasks as sources: median trials until the accuracy is "
    f"within {_WITHIN} points of the best cell's, in brackets the share of runs that get there "
    f"within {_TRIALS}; and mean accuracy of the best cell after 10 and {_TRIALS} trials."
)


def _arms(scores: Scores, table: str) -> list[str]:
    return [arm for arm in ARMS if scores.has(table, arm)]


def _regret(scores: Scores, name: str, tested: bool = False) -> Iterator[str]:
    rows = []
    for arm in _arms(scores, name):
        cells = [scores.regret(name, arm, trial, tested) for trial in BUDGETS]
        rows.append(
            [f"`{arm}`", ARMS[arm].kind, *map(str, cells), str(cells[0].n if cells[0] else 0)]
        )
    return table(["arm", "kind", *map(str, BUDGETS), "runs"], rows)


def _differences(scores: Scores, name: str) -> Iterator[str]:
    rows = []
    for arm in _arms(scores, name):
        cells = [scores.difference(name, ("meta", t), (arm, t)) for t in BUDGETS]
        if arm != "meta" and cells[0] is not None:
            rows.append([f"`{arm}`", *map(_signed, cells), str(cells[0].n)])
    return table(["`meta` minus", *map(str, BUDGETS), "pairs"], rows)


def _signed(estimate: Estimate | None) -> str:
    return "" if estimate is None else f"{estimate.mean:+.3f} ± {estimate.error:.3f}"


def _means(scores: Scores) -> Iterator[str]:
    rows = []
    for arm in ARMS:
        cells = [
            average([scores.regret(name, arm, trial) for name in scores.tables])
            for trial in BUDGETS
        ]
        if all(cells):
            rows.append([f"`{arm}`", *map(str, cells)])
    return table([f"arm, over {len(scores.tables)} tables", *map(str, BUDGETS)], rows)


def _calibration(scores: Scores) -> Iterator[str]:
    rows = []
    for name in scores.tables:
        for arm in _arms(scores, name):
            found = scores.calibration(name, arm)
            if found is not None:
                numbers = [f"{found.coverage:.1%}", f"{found.nll:.3f}", str(found.n)]
                rows.append([name, f"`{arm}`", *numbers])
    return table(["table", "arm", "90% interval covers", "mean NLL", "predictions"], rows)


def _seconds(scores: Scores) -> Iterator[str]:
    rows = []
    for arm in ARMS:
        runs = [record for job, record in scores.records.items() if job.arm == arm]
        if runs:
            times = np.median([(*r["ask_seconds"], r["learn_seconds"]) for r in runs], axis=0)
            minutes = sum(r["cpu_seconds"] for r in runs) / 60
            cells = [f"{seconds:.3f}" for seconds in times]
            rows.append([f"`{arm}`", *cells, f"{minutes:.1f}", str(len(runs))])
    return table(["arm", "median", "95th percentile", "first", "learn", "CPU", "runs"], rows)


def _published(scores: Scores) -> Iterator[str]:
    values = scores.tables["nasbench201"].values
    rows = []
    for arm in _arms(scores, "nasbench201"):
        cells = []
        for task in values:
            counts = scores.trials_until("nasbench201", arm, task, _WITHIN)
            cells += [_until(counts)] + [_accuracy(scores, arm, task, n) for n in (10, _TRIALS)]
        rows.append([f"`{arm}`", *cells])
    best = [cell for task in values for cell in ("", f"{values[task].max():.2f}", "")]
    header = [
        text for task in values for text in (f"{task}: trials", "after 10", f"after {_TRIALS}")
    ]
    return table(["arm", *header], [["best of the table", *best], *rows])


def _until(counts: Sequence[float]) -> str:
    if not counts:
        return ""
    median = float(np.median(counts))
    share = sum(map(math.isfinite, counts)) / len(counts)
    return f"{f'{median:.0f}' if math.isfinite(median) else f'> {_TRIALS}'} ({share:.0%})"


def _accuracy(scores: Scores, arm: str, task: str, trials: int) -> str:
    values = scores.tables["nasbench201"].values[task]
    best = [
        values[record["rows"][:trials]].max()
        for job, record in scores.records.items()
        if job[:3] == ("nasbench201", arm, task)
    ]
    return f"{np.mean(best):.2f}" if best else ""


def _origin(scores: Scores) -> Iterator[str]:
    rows = []
    for arm in ARMS:
        runs = [record for job, record in scores.records.items() if job.arm == arm]
        if runs:
            dates = sorted({run["date"] for run in runs})
            versions = sorted(
                {", ".join(f"{k} {v}" for k, v in r["versions"].items()) for r in runs}
            )
            machines = sorted({run["machine"] for run in runs})
            span = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
            rows.append([f"`{arm}`", "; ".join(versions), "; ".join(machines), span])
    return table(["arm", "versions", "machine", "date"], rows)


if __name__ == "__main__":
    main()

"""Writes results.md and regret.svg from the recorded searches; every figure is computed here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from experiments.nas_strategies.arms import ARMS
from experiments.nas_strategies.table_scores import BUDGETS, TableScores, check
from experiments.transfer_benchmark.records import Job
from experiments.transfer_benchmark.scores import Estimate
from experiments.transfer_benchmark.tables import Table
from experiments.verdicts import table as markdown_table
from experiments.verdicts import verdict_table

__all__ = ["PUBLISHED", "markdown", "write"]

PUBLISHED = {
    "regularized evolution, over 500 cells trained": ("93.92", "71.84", "45.54"),
    "REINFORCE, over 500 cells trained": ("93.85", "71.71", "45.24"),
    "ENAS and first-order DARTS": ("54.30", "15.61", "16.32"),
    "GDAS": ("93.61", "70.70", "41.84"),
}
"""Test accuracies of Dong and Yang 2020 on CIFAR-10, CIFAR-100 and ImageNet16-120."""

_TASKS = {
    "c10_test_200": "CIFAR-10",
    "c100_test_200": "CIFAR-100",
    "in16_test_200": "ImageNet16-120",
}

_LINES = {
    "random": ("#9a9a9a", ":"),
    "evolution": ("#4d9221", "--"),
    "evolution_warm": ("#4d9221", "-"),
    "reinforce": ("#e08214", "--"),
    "reinforce_warm": ("#e08214", "-"),
    "portfolio": ("#000000", "-."),
    "meta_cold": ("#2166ac", "--"),
    "meta_warm": ("#2166ac", "-"),
}
_FLOOR = 1e-3  # below it a logarithmic axis says nothing


def write(table: Table, records: Mapping[Job, Mapping[str, Any]], folder: Path) -> None:
    """Writes the report, and the figure if matplotlib is installed."""
    scores = TableScores(table, records)
    if not scores.arms:
        print(f"nothing to report: no search has measured {BUDGETS[-1]} cells yet")
        return
    (folder / "results.md").write_text(markdown(scores), encoding="utf-8")
    try:
        _draw(scores, folder / "regret.svg")
    except ImportError:
        print("matplotlib is not installed: regret.svg was not drawn")


def markdown(scores: TableScores) -> str:
    """The whole report."""
    lines = ["# Search strategies on the table of NAS-Bench-201", "", _INTRODUCTION, ""]
    lines += ["## Regret", "", *_regret(scores), ""]
    lines += ["`meta_warm` minus the other, paired; negative: `meta_warm` is better.", ""]
    lines += [*_differences(scores, "meta_warm"), ""]
    lines += ["Each strategy with experience minus itself without.", ""]
    lines += [*_warmth(scores), ""]
    lines += ["## Bars", "", *verdict_table(list(check(scores))), ""]
    lines += ["## Test accuracy", "", _ACCURACY, "", *_accuracy(scores), ""]
    lines += ["### Published", "", _PUBLISHED, "", *_published(), ""]
    lines += ["## Cost", "", *_cost(scores), ""]
    return "\n".join(lines)


_INTRODUCTION = (
    "Written by `table.py`. Mean normalised regret (0 best of the table, 1 median) ± its "
    "standard error over (task, seed) pairs, after as many measured cells. One task is left "
    "out; of each other task 100 random cells are known, other ones for each. Isomorphic cells "
    "are one candidate for every arm."
)
_ACCURACY = (
    "Of the best cell found, in percent, mean over seeds ± standard error. The search is told "
    "the accuracy that is reported, the mean over training seeds after 200 epochs."
)
_PUBLISHED = (
    "For orientation, not a ranking (Dong and Yang 2020): their searches were told validation "
    "accuracies of short trainings, ours above the test accuracy itself, and the one-shot methods "
    "trained shared weights instead of reading a table."
)


def _regret(scores: TableScores) -> Iterator[str]:
    rows = []
    for arm in scores.arms:
        cells = [scores.regret(arm, budget) for budget in BUDGETS]
        runs = sum(job.arm == arm for job in scores.records)
        rows.append([f"`{arm}`", ARMS[arm].text, *map(str, cells), str(runs)])
    return markdown_table(["strategy", "", *map(str, BUDGETS), "runs"], rows)


def _differences(scores: TableScores, first: str) -> Iterator[str]:
    rows = [
        [f"`{arm}`", *(_signed(scores.difference(first, arm, budget)) for budget in BUDGETS)]
        for arm in scores.arms
        if arm != first
    ]
    return markdown_table([f"`{first}` minus", *map(str, BUDGETS)], rows)


def _warmth(scores: TableScores) -> Iterator[str]:
    pairs = [(f"{name}_warm", f"{name}") for name in ("evolution", "reinforce")]
    rows = [
        [f"`{warm}`", *(_signed(scores.difference(warm, cold, budget)) for budget in BUDGETS)]
        for warm, cold in [*pairs, ("meta_warm", "meta_cold")]
    ]
    return markdown_table(["strategy", *map(str, BUDGETS)], rows)


def _accuracy(scores: TableScores) -> Iterator[str]:
    tasks = list(scores.table.values)
    header = [f"{_TASKS.get(task, task)}, {n}" for task in tasks for n in BUDGETS]
    best = [f"{scores.table.values[task].max():.2f}" for task in tasks for _ in BUDGETS]
    rows = [["best of the table", *best]]
    for arm in scores.arms:
        cells = [scores.accuracy(arm, task, n) for task in tasks for n in BUDGETS]
        rows.append([f"`{arm}`", *(_percent(cell) for cell in cells)])
    return markdown_table(["strategy", *header], rows)


def _published() -> Iterator[str]:
    rows = [[name, *figures] for name, figures in PUBLISHED.items()]
    return markdown_table(["method", *_TASKS.values()], rows)


def _cost(scores: TableScores) -> Iterator[str]:
    rows = []
    for arm in scores.arms:
        runs = [record for job, record in scores.records.items() if job.arm == arm]
        seconds = np.array([run["cpu_seconds"] for run in runs])
        origins = sorted({f"{run['machine']}, {run['date']}" for run in runs})
        versions = sorted(
            {", ".join(f"{k} {v}" for k, v in run["versions"].items()) for run in runs}
        )
        cost = f"{np.median(seconds):.1f}"
        rows.append([f"`{arm}`", cost, "; ".join(origins), "; ".join(versions)])
    header = f"CPU seconds of {BUDGETS[-1]} decisions, median"
    return markdown_table(["strategy", header, "machine and date", "versions"], rows)


def _signed(estimate: Estimate | None) -> str:
    return "" if estimate is None else f"{estimate.mean:+.3f} ± {estimate.error:.3f}"


def _percent(estimate: Estimate | None) -> str:
    return "" if estimate is None else f"{estimate.mean:.2f} ± {estimate.error:.2f}"


def _draw(scores: TableScores, file: Path) -> None:
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "regret", "font.size": 9})
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(6.4, 4.2))
    for arm in scores.arms:
        curve = np.maximum(scores.curve(arm), _FLOOR)
        colour, line = _LINES[arm]
        axis.plot(np.arange(1, len(curve) + 1), curve, line, color=colour, label=arm)
    axis.set(
        xscale="log",
        yscale="log",
        xlabel="cells measured",
        ylabel="normalised regret (0 best, 1 median)",
    )
    axis.grid(alpha=0.3, which="both", lw=0.4)
    axis.legend(frameon=False, fontsize=8)
    figure.tight_layout()
    figure.savefig(file, metadata={"Date": None})
    pyplot.close(figure)

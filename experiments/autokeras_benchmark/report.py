"""Writes results.md from the recorded searches; every figure and verdict is computed here.

python -m experiments.autokeras_benchmark.report
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.autokeras_benchmark import bars
from experiments.autokeras_benchmark.bars import COMPARED, signed
from experiments.autokeras_benchmark.problem import TASKS
from experiments.autokeras_benchmark.scores import BUDGETS, Scores, best_after, final_accuracy
from experiments.transfer_benchmark import records
from experiments.transfer_benchmark.records import Job
from experiments.verdicts import table, verdict_table

__all__ = ["ARMS", "CHEAP", "COMPARED", "COSTLY", "WARM", "main", "markdown", "place", "read"]

HERE = Path(__file__).parent
# `arms.ARMS` by name; that module loads TensorFlow, which takes seconds and memory.
ARMS = (*COMPARED, "meta_cold", "stock")
WARM = ("meta", "portfolio")
"""Arms that have the knowledge: what they found is kept by its digest."""

CHEAP, COSTLY = "1000rows-1x", "allrows-4x"
"""Folders of results: the live benchmark, and the costly tasks."""

_COSTLY_BUDGETS = (1, 2, 4)
_MEASURES = {
    **{f"after {n}": best_after(n) for n in BUDGETS},
    "test": final_accuracy,
}

Records = Mapping[Job, Mapping[str, Any]]


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the results and writes the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, default=HERE / "results")
    parser.add_argument("--output", type=Path, default=HERE, help="folder of results.md")
    options = parser.parse_args(arguments)
    cheap, costly = (
        read(options.results / name, _best_known(options.results / name), ARMS)
        for name in (CHEAP, COSTLY)
    )
    if not cheap and not costly:
        raise SystemExit(
            f"{options.results} has no searches; run "
            "`python -m experiments.autokeras_benchmark.run --data DIR` first"
        )
    (options.output / "results.md").write_text(markdown(cheap, costly), encoding="utf-8")


def place(folder: Path, arm: str, knowledge: str) -> Path:
    """The folder of an arm's file, given the digest of the knowledge."""
    return folder / knowledge if arm in WARM else folder


def read(folder: Path, knowledge: str, arms: Sequence[str]) -> dict[Job, dict[str, Any]]:
    """Reads the searches of some arms, those of the warm ones with one knowledge only."""
    found: dict[Job, dict[str, Any]] = {}
    for arm in arms:
        found |= records.read(place(folder, arm, knowledge), [arm])
    return found


def _best_known(folder: Path) -> str:
    """The digest with which most searches were made; the last of those by name."""
    digests = sorted(path.name for path in folder.glob("*/"))
    return max(digests, key=lambda each: len(read(folder, each, WARM)), default="none")


def markdown(cheap: Records, costly: Records) -> str:
    """The whole report: of the live benchmark, and of the costly tasks."""
    scores = Scores(cheap)
    lines = ["# Results", "", _ABOUT, "", "## How much is measured", "", *_counts(cheap), ""]
    lines += ["## Means", "", _MEANS, "", *_means(scores), ""]
    lines += ["Paired differences, `meta` minus the other; positive: `meta` is better.", ""]
    lines += [*_differences(scores), "", "## Bars", "", *verdict_table(bars.check(scores)), ""]
    lines += ["## Single tasks: test accuracy", "", *_tasks(scores), ""]
    lines += ["## Trials", "", _TRIALS, "", *_trials(cheap), ""]
    lines += ["## Cheap knowledge, costly task", "", _COSTLY, "", *_warm_and_cold(costly), ""]
    lines += ["## Footnote: the stock tuner", "", _STOCK, "", *_stock(cheap), ""]
    return "\n".join([*lines, "## Measured with", "", *_origin({**cheap, **costly}), ""])


_ABOUT = (
    "Written by `report.py`. Accuracy ± its standard error over tasks, where a task's seeds are "
    "averaged first; n is the number of tasks, those that all compared arms have searched."
)
_MEANS = "Best validation accuracy after so many trials, and test accuracy of the final model."
_TRIALS = (
    "Processor seconds: of a trial, of a proposal with all that it takes, and of a whole search "
    "with the start, the metafeatures and the last fit."
)
_COSTLY = (
    "All training rows and 4 times the epochs, where the knowledge comes from at most 2,000 rows "
    "and few epochs: the controller with the knowledge minus the same without any. Positive: "
    "knowledge helps. Errors over tasks in the first line, over seeds below."
)
_STOCK = (
    "AutoKeras's task tuners as shipped, without the limits and the mends of the other arms, for "
    "as many processor seconds as 12 trials of theirs may take together."
)


def _counts(found: Records) -> Iterator[str]:
    rows = []
    for kind, tasks in TASKS.items():
        for task in tasks:
            seeds = [sum(j.task == task and j.arm == arm for j in found) for arm in ARMS]
            rows.append([kind, task, *map(str, seeds)])
    return table(["kind", "task", *(f"`{arm}`, seeds" for arm in ARMS)], rows)


def _means(scores: Scores) -> Iterator[str]:
    rows = []
    for kind in ("", *TASKS):
        count = len(scores.tasks(kind, COMPARED))
        for arm in COMPARED if count else ():
            found = [scores.mean(kind, arm, each, COMPARED) for each in _MEASURES.values()]
            rows.append([kind or "all", f"`{arm}`", *map(str, found), str(count)])
    return table(["kind", "arm", *_MEASURES, "n"], rows)


def _differences(scores: Scores) -> Iterator[str]:
    rows = []
    for kind in ("", *TASKS):
        for arm in COMPARED[1:]:
            gaps = [scores.difference(kind, ("meta", m), (arm, m)) for m in _MEASURES.values()]
            if any(gaps):
                cells = ["" if gap is None else signed(gap) for gap in gaps]
                rows.append([kind or "all", f"`{arm}`", *cells])
    return table(["kind", "`meta` minus", *_MEASURES], rows)


def _tasks(scores: Scores) -> Iterator[str]:
    rows = []
    for task in scores.tasks("", COMPARED):
        cells = []
        for arm in COMPARED:
            own = [r for job, r in scores.records.items() if (job.task, job.arm) == (task, arm)]
            cells.append(f"{np.mean([final_accuracy(record) for record in own]):.3f} ({len(own)})")
        rows.append([task, *cells])
    return table(["task", *(f"`{arm}` (seeds)" for arm in COMPARED)], rows)


def _trials(found: Records) -> Iterator[str]:
    rows = []
    for kind in TASKS:
        for arm in COMPARED:
            own = [r for job, r in found.items() if (job.table, job.arm) == (kind, arm)]
            trials = [trial for record in own for trial in record["measured"]]
            if trials:
                failed = sum(trial["value"] is None for trial in trials)
                means = (
                    np.mean([trial["seconds"] for trial in trials]),
                    np.mean([s for record in own for s in record["asked_seconds"]]),
                    np.mean([record["cpu_seconds"] for record in own]),
                )
                counts = [str(len(trials)), str(failed)]
                rows.append([kind, f"`{arm}`", *counts, *(f"{mean:.1f}" for mean in means)])
    header = ["kind", "arm", "trials", "failed", "s a trial", "s a proposal", "s a search"]
    return table(header, rows)


def _warm_and_cold(found: Records) -> Iterator[str]:
    scores = Scores(found)
    tasks = scores.tasks("", ("meta", "meta_cold"))
    measures = [*map(best_after, _COSTLY_BUDGETS), final_accuracy]
    gaps = [[scores.difference("", ("meta", m), ("meta_cold", m)) for m in measures]]
    gaps += [[scores.of_task(t, ("meta", m), ("meta_cold", m)) for m in measures] for t in tasks]
    names = ["all", *tasks] if tasks else []
    rows = [
        [name, *("" if gap is None else signed(gap) for gap in own)]
        for name, own in zip(names, gaps, strict=False)
    ]
    return table(["task", *(f"after {n}" for n in _COSTLY_BUDGETS), "test"], rows)


def _stock(found: Records) -> Iterator[str]:
    rows = []
    for job, record in found.items():
        if job.arm == "stock":
            values = [trial["value"] for trial in record["measured"] if trial["value"] is not None]
            best = f"{max(values):.3f}" if values else "none"
            test = record["test_accuracy"]
            cells = [job.task, str(job.seed), str(len(record["measured"])), str(len(values)), best]
            rows.append([*cells, "none" if test is None else f"{test:.3f}", record["error"] or ""])
    return table(["task", "seed", "trials begun", "with a value", "best", "test", "error"], rows)


def _origin(found: Records) -> Iterator[str]:
    rows = []
    for arm in ARMS:
        own = [record for job, record in found.items() if job.arm == arm]
        if own:
            versions = {", ".join(f"{k} {v}" for k, v in r["versions"].items()) for r in own}
            about = [
                {str(record[key]) for record in own} for key in ("knowledge", "machine", "date")
            ]
            cells = ["; ".join(sorted(each)) for each in (versions, *about)]
            rows.append([f"`{arm}`", str(len(own)), *cells])
    return table(["arm", "searches", "versions", "knowledge", "machine", "date"], rows)


if __name__ == "__main__":
    main()

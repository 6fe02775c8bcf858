"""Writes results.md from the recorded searches of the knowledge as it is shipped now.

    python -m experiments.knowledge_replay.report

Every figure and verdict is computed here, none is kept by hand.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.build_knowledge.recipes import RECIPES
from experiments.knowledge_replay import bars
from experiments.knowledge_replay.arms import ARMS
from experiments.knowledge_replay.problem import Problem, digest, make_problems, why_skipped
from experiments.knowledge_replay.scores import BUDGETS, CAP, Scores
from experiments.transfer_benchmark import records
from experiments.transfer_benchmark.records import Job
from experiments.verdicts import table, verdict_table
from meta_nni.knowledge import shipped_knowledge
from meta_nni.trial import History

__all__ = ["main", "markdown"]

HERE = Path(__file__).parent
_OF_TASKS = 5  # trials of the table of single tasks

Records = Mapping[Job, Mapping[str, Any]]


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the results and writes the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, default=HERE / "results")
    parser.add_argument("--output", type=Path, default=HERE, help="folder of results.md")
    options = parser.parse_args(arguments)
    knowledge = shipped_knowledge()
    found = records.read(options.results / digest(knowledge), list(ARMS))
    if not found:
        raise SystemExit(
            f"{options.results} has no searches of the knowledge as it is shipped now (digest "
            f"{digest(knowledge)}); run `python -m experiments.knowledge_replay.run` first"
        )
    text = markdown(knowledge, found)
    (options.output / "results.md").write_text(text, encoding="utf-8")


def markdown(knowledge: Sequence[History], found: Records) -> str:
    """The whole report."""
    problems = make_problems(knowledge)
    used = [problem for problem in problems if why_skipped(problem) is None]
    scores = Scores(used, found)
    lines = ["# Results", "", _ABOUT, "", "## The knowledge searched", ""]
    lines += [f"Digest `{digest(knowledge)}`. {_THIN}", "", *_pools(problems), ""]
    for measure, text in _MEASURES.items():
        lines += [f"## Regret by {measure}", "", text, "", *_regret(scores, measure), ""]
        lines += ["Paired differences, `meta` minus the other; negative: `meta` is better.", ""]
        lines += [*_differences(scores, measure), ""]
    lines += ["## Bars", "", *verdict_table(bars.check(scores)), ""]
    lines += [f"## Single tasks after {_OF_TASKS} trials", "", *_tasks(scores), ""]
    lines += ["## Skipped", "", *_skipped(problems), "", "## Measured with", ""]
    return "\n".join([*lines, *_origin(found), ""])


_ABOUT = (
    "Written by `report.py`. Mean normalised regret (0 best of the pool, 1 median, at most "
    f"{CAP:g}) ± its standard error over tasks; a task's seeds are averaged first. n is the "
    "number of tasks: those whose pool has more rows than trials."
)
_THIN = (
    "Planned are the rows of the last column. With a small part of them a kind's figures are "
    "preliminary: sources say little, and after most of its rows any arm has found a pool's best."
)
_MEASURES = {
    "trials": "The bars are judged by this.",
    "seconds": (
        "After the seconds that so many mean trials of the pool take. Before an arm's first "
        "result its regret is that of the worst row."
    ),
    "ranks": "By trials, with the values of each pool replaced by their ranks.",
}


def _pools(problems: Sequence[Problem]) -> Iterator[str]:
    rows = []
    for kind in bars.KINDS:
        own = [problem for problem in problems if problem.kind == kind]
        used = [len(problem.configs) for problem in own if why_skipped(problem) is None]
        total = sum(len(problem.configs) for problem in own)
        failed = sum(len(problem.pool.failed) for problem in own)
        span = f"{min(used)} to {max(used)}" if used else "-"
        counts = (len(own), len(used), total, failed)
        rows.append([kind, *map(str, counts), span, str(RECIPES[kind].configs)])
    header = ["kind", "tasks", "searched", "rows", "failed", "rows of a pool", "planned"]
    return table(header, rows)


def _regret(scores: Scores, measure: str) -> Iterator[str]:
    rows = []
    for kind in bars.KINDS:
        for arm in ARMS:
            found = [scores.regret(measure, kind, arm, budget) for budget in BUDGETS]
            if any(found):
                rows.append([kind, f"`{arm}`", *("" if f is None else str(f) for f in found)])
        counts = [str(len(scores.tasks(kind, budget))) for budget in BUDGETS]
        rows.append([kind, "n", *counts])
    return table(["kind", "arm", *map(str, BUDGETS)], rows)


def _differences(scores: Scores, measure: str) -> Iterator[str]:
    rows = []
    for kind in bars.KINDS:
        for arm in bars.OTHERS:
            gaps = [scores.difference(measure, kind, "meta", arm, budget) for budget in BUDGETS]
            if any(gaps):
                cells = ["" if gap is None else bars.signed(gap) for gap in gaps]
                rows.append([kind, f"`{arm}`", *cells])
    return table(["kind", "`meta` minus", *map(str, BUDGETS)], rows)


def _tasks(scores: Scores) -> Iterator[str]:
    rows = []
    for name, problem in scores.problems.items():
        if len(problem.configs) <= _OF_TASKS:
            continue
        found = [scores.of_task("trials", name, arm, _OF_TASKS) for arm in ARMS]
        cells = ["" if value is None else f"{value:.3f}" for value in found]
        rows.append([name, str(len(problem.configs)), str(len(problem.pool.failed)), *cells])
    return table(["task", "rows", "failed", *(f"`{arm}`" for arm in ARMS)], rows)


def _skipped(problems: Sequence[Problem]) -> Iterator[str]:
    reasons = {problem.pool.run.task.name: why_skipped(problem) for problem in problems}
    for reason, count in Counter(filter(None, reasons.values())).items():
        names = ", ".join(name for name, why in reasons.items() if why == reason)
        yield f"- {count} for {reason}: {names}"


def _origin(found: Records) -> Iterator[str]:
    rows = []
    for arm in ARMS:
        runs = [record for job, record in found.items() if job.arm == arm]
        if not runs:
            continue
        seeds = sorted({job.seed for job in found if job.arm == arm})
        versions = sorted({", ".join(f"{k} {v}" for k, v in r["versions"].items()) for r in runs})
        spent = float(np.mean([record["cpu_seconds"] for record in runs]))
        about = [sorted({str(record[key]) for record in runs}) for key in ("machine", "date")]
        cells = ["; ".join(each) for each in (versions, *about)]
        command = f"`python -m experiments.knowledge_replay.run --seeds {len(seeds)}`"
        seeds_text = ", ".join(map(str, seeds))
        rows.append([f"`{arm}`", command, seeds_text, *cells, f"{spent:.1f}", str(len(runs))])
    header = ["arm", "command", "seeds", "versions", "machine", "date", "CPU seconds a search"]
    return table([*header, "searches"], rows)


if __name__ == "__main__":
    main()

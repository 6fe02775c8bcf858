"""Measures limits and objectives on tables: nothing is trained.

    python -m experiments.constraints.run --tables TABLES

Finished searches stand in `rows.jsonl`, so that it can be killed and started again; at the end
it writes `results.md`. `TABLES` holds nasbench201.npz, nasbench_graph.npz, lcbench_surrogate.npz.
"""

from __future__ import annotations

import argparse
import datetime
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from experiments.constraints.problem import PROBLEMS, SHARE, Problem, search
from experiments.constraints.report import Row, report, scores
from experiments.transfer_benchmark import records
from meta_nni.controllers import Controller, MetaController, RandomController
from meta_nni.limits import LIMITS
from meta_nni.objectives import OBJECTIVES
from meta_nni.trial import History

__all__ = ["main"]

HERE = Path(__file__).parent
TRIALS = 30
SETTINGS = {"trials": TRIALS, "share": SHARE}
ARMS = ("random", "unlimited", "learned", "counted", "pareto", "equal weights", "random weights")


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs what is missing, and writes the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=HERE)
    options = parser.parse_args(arguments)
    file = options.output / "rows.jsonl"
    found = records.read_rows(file, _job)
    rows: list[Row] = [row for _, row in found]
    records.refuse_others(file, rows, SETTINGS)
    for seed in range(options.seeds):
        for row in _missing(options.tables, seed, {job for job, _ in found}):
            rows.append(row)
            records.append_row(file, row)
    command = f"python -m experiments.constraints.run --tables TABLES --seeds {options.seeds}"
    (options.output / "results.md").write_text(report(rows, command), encoding="utf-8")


def _job(row: Row) -> tuple[object, ...]:
    return tuple(row[name] for name in ("problem", "task", "start", "arm", "seed"))


def _missing(tables: Path, seed: int, done: set[tuple[object, ...]]) -> Iterator[Row]:
    for name, (_, _, tasks) in PROBLEMS.items():
        for task in tasks:
            problem = Problem.load(name, task, tables)
            for start in ("cold", "warm"):
                for arm in ARMS:
                    job = {"problem": name, "task": task, "start": start, "arm": arm, "seed": seed}
                    if _job(job) not in done:
                        found = _search(arm, problem, tables if start == "warm" else None, seed)
                        today = datetime.date.today().isoformat()
                        about = {"settings": SETTINGS, "measured": today}
                        yield {**job, **scores(problem, found), **about}


def _search(arm: str, problem: Problem, tables: Path | None, seed: int) -> list[int]:
    """The rows that a search tries.

    Args:
        arm: One of `ARMS`.
        problem: What is searched.
        tables: Where the other tasks are from; None starts cold.
        seed: Of the search, its sources and its weights.
    """
    extra: dict[str, object] = {}
    if arm == "counted":
        problem = problem.called("parameters")  # the table stands for what a build would count
    if arm in ("learned", "counted"):
        extra[LIMITS] = {problem.metric: problem.limit}
    elif arm == "pareto":
        extra[OBJECTIVES] = ["value", {problem.metric: "minimize"}]
    elif arm.endswith("weights"):
        drawn = float(np.random.default_rng([seed, 17]).random())
        problem = problem.weighted(0.5 if arm == "equal weights" else drawn)
    count = problem.count if arm == "counted" else None
    controller: Controller = RandomController()
    if arm != "random":
        controller = MetaController(only=problem.only, count=count)
    sources: Sequence[History] = [] if tables is None else problem.sources(tables, seed)
    return search(controller, problem.run(**extra), problem.measure(), TRIALS, sources, seed)


if __name__ == "__main__":
    main()

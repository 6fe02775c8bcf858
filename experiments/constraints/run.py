"""Measures limits and objectives on tables: nothing is trained, some minutes on one core.

    python -m experiments.constraints.run --tables TABLES

Finished searches stand in `rows.jsonl`, so that it can be killed and started again; at the end
it writes `results.md`. `TABLES` holds nasbench201.npz, nasbench_graph.npz, lcbench_surrogate.npz.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from experiments.constraints.problem import PROBLEMS, Problem, search
from meta_nni.controllers import Controller, MetaController, RandomController
from meta_nni.controllers import feasibility as counting

__all__ = ["main"]

HERE = Path(__file__).parent
TRIALS, TENTH = 30, 10
ARMS = ("random", "unlimited", "learned", "counted", "pareto")
Row = dict[str, object]


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs what is missing, and writes the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=HERE)
    options = parser.parse_args(arguments)
    file = options.output / "rows.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    rows: list[Row] = [json.loads(line) for line in lines]
    done = {_job(row) for row in rows}
    for seed in range(options.seeds):
        for row in _missing(options.tables, seed, done):
            rows.append(row)
            with file.open("a", encoding="utf-8") as out:
                out.write(json.dumps(row) + "\n")
    (options.output / "results.md").write_text(_report(rows), encoding="utf-8")


def _job(row: Row) -> tuple[object, ...]:
    return tuple(row[name] for name in ("problem", "task", "start", "arm", "seed"))


def _missing(tables: Path, seed: int, done: set[tuple[object, ...]]) -> Iterator[Row]:
    for name, (_, _, tasks) in PROBLEMS.items():
        for task in tasks:
            problem = Problem.load(name, task, tables)
            for start in ("cold", "warm"):
                sources = problem.sources(tables, seed) if start == "warm" else []
                for arm in ARMS:
                    if (name, task, start, arm, seed) in done:
                        continue
                    controller, extra = _arm(arm, problem)
                    run, measure = problem.run(**extra), problem.measure()
                    found = search(controller(), run, measure, TRIALS, sources, seed)
                    job = {"problem": name, "task": task, "start": start, "arm": arm, "seed": seed}
                    yield {**job, **_scores(problem, found)}


def _arm(arm: str, problem: Problem) -> tuple[Callable[[], Controller], dict[str, object]]:
    if arm == "random":
        return RandomController, {}
    limits = {problem.metric: problem.limit}
    # A table's number stands for what building a model would count.
    counting.COUNTED = problem.metric if arm == "counted" else "parameters counted by nobody"
    count = problem.count if arm == "counted" else None
    extra: dict[str, object] = {
        "unlimited": {},
        "learned": {"limits": limits},
        "counted": {"limits": limits},
        "pareto": {"objectives": ["value", {problem.metric: "minimize"}]},
    }[arm]
    return lambda: MetaController(only=problem.only, count=count), extra


def _scores(problem: Problem, rows: list[int]) -> Row:
    kept = problem.costs <= problem.limit
    best, middle = problem.values[kept].max(), np.median(problem.values[kept])
    found = np.where(kept[rows], problem.values[rows], middle)
    return {
        "first": float(kept[rows[:TENTH]].mean()),
        "after": float(kept[rows[TENTH:]].mean()),
        "regret": [float((best - found[:k].max()) / (best - middle)) for k in (10, 20, 30)],
        "hypervolume": [_hypervolume(problem, rows[:k]) for k in (10, 20, 30)],
    }


def _hypervolume(problem: Problem, rows: Sequence[int]) -> float:
    """Of value and log cost, each 0 at the table's 10% quantile and 1 at its best; table = 1."""
    both = np.stack([problem.values, -np.log(problem.costs)], axis=1)
    low = np.quantile(both, 0.1, axis=0)
    scaled = np.clip((both - low) / (both.max(axis=0) - low), 0.0, 1.0)
    return _area(scaled[list(rows)]) / _area(scaled)


def _area(points: np.ndarray) -> float:
    area = top = 0.0
    for x, y in points[np.argsort(-points[:, 0])]:
        area, top = area + x * max(y - top, 0.0), max(top, y)
    return float(area)


def _report(rows: Sequence[Row]) -> str:
    groups: defaultdict[tuple[object, ...], list[Row]] = defaultdict(list)
    for row in rows:
        groups[row["problem"], row["start"], row["arm"]].append(row)
    lines = [
        "# Limits and objectives on tables",
        "",
        "The limit is what 30% of configs keep. `mlp seconds` is from a surrogate, the others are",
        "measured. Feasible: share of trials 1-10 and 11-30. Regret: of the best feasible trial",
        "after 10 / 20 / 30 (0 best feasible config, 1 the feasible ones' median). Hypervolume:",
        "of accuracy and log cost after 10 / 20 / 30, the whole table being 1.",
        "",
        "| problem | start | arm | searches | 1-10 | 11-30 | regret | hypervolume |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (problem, start, arm), each in sorted(groups.items(), key=str):
        first, after = (np.mean([row[name] for row in each]) for name in ("first", "after"))
        regret, volume = (
            " / ".join(f"{n:.3f}" for n in np.mean([row[name] for row in each], axis=0))
            for name in ("regret", "hypervolume")
        )
        cells = (problem, start, arm, len(each), f"{first:.2f}", f"{after:.2f}", regret, volume)
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()

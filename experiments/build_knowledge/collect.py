"""Writes what is measured so far as experience files, with the provenance of each run.

    python experiments/build_knowledge/collect.py --data DATA_DIR

`meta_nni/knowledge/autokeras_<kind>.jsonl.gz` get a run for each task, and
`meta_nni/knowledge/README.md` a table of them. It reads whole rows only, so it may run
while rows are being measured, and equal rows give equal bytes.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rows
from design import rng_of
from recipes import RECIPES
from tasks import TASKS, TaskSpec, materialise, shares
from threadpoolctl import threadpool_limits

import meta_nni
from meta_nni.data import Dataset, load_data
from meta_nni.experience import write_experience
from meta_nni.knowledge import Provenance
from meta_nni.models.problem import load_problem
from meta_nni.trial import History, Result, Run, Suggestion, Trial

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
DIGITS = 5  # of values, curves and metrics; more would be noise

ABOUT = """# The shipped knowledge

Real experience over AutoKeras's search spaces, measured by `experiments/build_knowledge/`
(recipes, environment and limits are described there and recorded with each run). This
text is written by its `collect.py`; `meta-nni experience list --knowledge` shows the same.
Data sets are not part of the package; their origin and licence are those of the training
rows that were measured. Rows of a run share its recipe, environment and data set.

"""
TOTALS_HEAD = "| kind | runs | rows | failed |\n|---|---|---|---|\n"
RUNS_HEAD = """
| run | rows | failed | best | data set | licence | origin |
|---|---|---|---|---|---|---|
"""


def main() -> None:
    """Writes a file per kind of data, and the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--rows", type=Path, default=HERE / "rows", help="folder of the row logs")
    parser.add_argument("--out", type=Path, default=ROOT / "meta_nni/knowledge")
    arguments = parser.parse_args()
    sources = {entry["name"]: entry for entry in json.loads(_read(arguments.data / "index.json"))}
    totals, runs = TOTALS_HEAD, RUNS_HEAD
    for kind in RECIPES:
        tasks = [task for task in TASKS if task.kind == kind]
        histories = [history for task in tasks for history in _histories(task, arguments, sources)]
        write_experience(histories, arguments.out / f"autokeras_{kind}.jsonl.gz")
        runs += "".join(map(_line, histories))
        trials, failed = (sum(len(getattr(h, n)) for h in histories) for n in ("trials", "failed"))
        totals += _cells([kind, len(histories), trials, failed])
        print(f"{kind}: {len(histories)} runs, {trials} rows, {failed} of them failures")
    (arguments.out / "README.md").write_text(ABOUT + totals + runs, encoding="utf-8")


def _histories(
    task: TaskSpec, arguments: argparse.Namespace, sources: dict[str, Any]
) -> Iterator[History]:
    """Yields the run of each recipe and environment that measured rows of a task."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows.read(arguments.rows / f"{task.name}.jsonl"):
        key = json.dumps([row["recipe"], row["environment"]], sort_keys=True)
        groups.setdefault(key, []).append(row)
    if not groups:
        return
    file = materialise(task, arguments.data, HERE / "tasks")
    named = meta_nni.Task(task.name, "maximize", _metafeatures(task, file))
    spec = json.loads(_read(ROOT / f"search_spaces/{task.space}.json"))
    source = sources[task.source]
    extra = {
        "shares": shares(task),
        "source": {
            "name": task.source,
            "origin": source["origin"],
            "licence": source["license"],
        },
    }
    for number, group in enumerate(groups.values()):
        recipe = group[0]["recipe"]
        run = Run(
            run_id=f"{recipe}/{task.name}" + (f"/{number}" if number else ""),
            task=named,
            space=meta_nni.SearchSpace.from_nni(spec),
            metric="val_r2" if task.is_regression else "val_accuracy",
            recipe=recipe,
            environment=group[0]["environment"],
            extra=extra,
        )
        yield History(run, tuple(_trial(i, row) for i, row in enumerate(group)))


def _metafeatures(task: TaskSpec, file: Path) -> dict[str, float]:
    """Metafeatures of the rows that were really used, not of those left out by the recipe."""
    problem = load_problem({"npz": str(file)}, RECIPES[task.kind].samples)
    y = np.concatenate([problem.y, problem.y_val])
    dataset = Dataset.from_arrays(
        np.concatenate([problem.x, problem.x_val]),
        y,
        is_categorical=load_data({"npz": str(file)}).is_categorical,
    )
    rng = rng_of(f"metafeatures of {task.name}")
    with threadpool_limits(1):  # the number of threads changes rounding
        found = meta_nni.compute_metafeatures(dataset, rng, math.inf)
    return {name: _round(value) for name, value in found.items()}


def _trial(position: int, row: dict[str, Any]) -> Trial:
    result = Result(
        value=None if row["value"] is None else _round(row["value"]),
        reason=row["reason"],
        seconds=None if row["seconds"] is None else round(row["seconds"], 2),
        curve=[_round(value) for value in row["curve"]],
        metrics={name: _round(value) for name, value in row["metrics"].items()},
        budget=row["budget"],
    )
    trial_id = str(row["index"])
    return Trial(trial_id, position, Suggestion(row["config"], "random")).with_result(result)


def _round(value: float) -> float:
    """Keeps five digits after the point, or five significant ones of large numbers."""
    return round(value, DIGITS) if abs(value) < 1 else float(f"{value:.{DIGITS + 2}g}")


def _line(history: History) -> str:
    run, best, origin = history.run, history.best, Provenance.of(history.run)
    value = "-" if best is None else f"{run.metric} {best.value:.3f}"
    cells = [run.run_id, len(history.trials), len(history.failed), value, origin.data_set]
    return _cells([*cells, origin.licence, origin.data_origin])


def _cells(cells: Sequence[Any]) -> str:
    return f"| {' | '.join(map(str, cells))} |\n"


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


if __name__ == "__main__":
    main()

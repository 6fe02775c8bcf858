"""Measures configs of all tasks in turn, until every task has its number of rows.

    nice -n 19 python experiments/build_knowledge/run.py --data DATA_DIR

It can be killed at any time and started again. While a file PAUSE stands beside this
script, it stands still, the running candidate included.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import rows
from design import stream
from recipes import RECIPES
from tasks import TASKS, TaskSpec, materialise

HERE = Path(__file__).parent
ONE_THREAD = {
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "-1",
}


def main() -> None:
    """Runs until all tasks are measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--rows", type=Path, default=HERE / "rows", help="folder of the row logs")
    parser.add_argument("--most", type=int, default=None, help="stop after so many candidates")
    arguments = parser.parse_args()
    if not ONE_THREAD.items() <= os.environ.items():  # libraries read it when imported
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **ONE_THREAD})
    environment = _environment()
    tasks = iter(_measure_all(arguments.data, arguments.rows, environment))
    for task, row, left in itertools.islice(tasks, arguments.most):
        value = "failed" if row["value"] is None else f"{row['value']:.4f}"
        print(
            f"{time.strftime('%H:%M:%S')} {task.name} {row['index']} {value} "
            f"{row['seconds'] or 0:.1f} s {row['reason'] or ''} ({left} left)",
            flush=True,
        )


def _measure_all(
    data: Path, logs: Path, environment: dict[str, Any]
) -> Iterator[tuple[TaskSpec, dict[str, Any], int]]:
    """Measures the next config of the task that is furthest behind, again and again."""
    while True:
        behind = sorted(_progress(logs), key=lambda entry: entry[:2])
        left = sum(missing for _, _, missing, _ in behind)
        for _, _, missing, task in behind:
            if missing <= 0:
                continue
            with rows.locked(logs / f"{task.name}.jsonl") as file:
                if file is not None:
                    row = _measure_next(task, data, logs, environment)
                    rows.append(file, row)
                    yield task, row, left - 1
                    break
        else:
            return


def _progress(logs: Path) -> Iterator[tuple[float, float, int, TaskSpec]]:
    """Yields each task's done fraction, place among its kind, rows to come, and itself."""
    for kind, recipe in RECIPES.items():
        tasks = [task for task in TASKS if task.kind == kind]
        for place, task in enumerate(tasks):
            done = _num_done(task, logs)
            yield done / recipe.configs, place / len(tasks), recipe.configs - done, task


def _num_done(task: TaskSpec, logs: Path) -> int:
    """Rows of the task's present recipe: those of another one are of other trainings."""
    name = RECIPES[task.kind].name
    return sum(row["recipe"] == name for row in rows.read(logs / f"{task.name}.jsonl"))


def _measure_next(
    task: TaskSpec, data: Path, logs: Path, environment: dict[str, Any]
) -> dict[str, Any]:
    from candidate import measure

    from meta_nni.space import SearchSpace

    recipe = RECIPES[task.kind]
    spec = json.loads((HERE.parents[1] / f"search_spaces/{task.space}.json").read_text())
    index = _num_done(task, logs)
    configs = stream(task.name, SearchSpace.from_nni(spec))
    config = next(itertools.islice(configs, index, None))
    file = materialise(task, data, HERE / "tasks")
    while _paused():
        time.sleep(1)
    result = measure(recipe, task.space, file, config, _paused)
    return {
        "index": index,
        "config": config,
        "state": "failed" if result.value is None else "completed",
        **asdict(result),
        "budget": dict(result.budget) or recipe.budget,
        "recipe": recipe.name,
        "environment": environment,
    }


def _paused() -> bool:
    return (HERE / "PAUSE").exists()


def _environment() -> dict[str, Any]:
    """Imports what the candidates need, without running anything, and says what it is."""
    import autokeras
    import keras
    import sklearn.metrics  # noqa: F401
    import tensorflow as tf

    import meta_nni
    import meta_nni.models.autokeras

    tf.get_logger().setLevel("ERROR")
    return {
        "device": "cpu",
        "cores": 1,
        "processor": _processor(),
        "clock": "processor seconds",
        "package": meta_nni.__version__,
        "autokeras": autokeras.__version__,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "unknown"


if __name__ == "__main__":
    main()

"""Runs single jobs of the benchmark, in the environment that an arm needs.

    python -m experiments.transfer_benchmark.work --tables DIR

Reads one job a line from its input, `{"table": …, "arm": …, "task": …, "seed": …,
"trials": …}`, and writes one line for each: its record, or `{"error": …}`. `run.py`
starts it, once for each environment, so that heavy packages are loaded only once.
"""

from __future__ import annotations

import argparse
import datetime
import functools
import importlib.metadata
import json
import os
import platform
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from experiments.transfer_benchmark import tables
from experiments.transfer_benchmark.arms import ARMS, Arm, Exhausted
from experiments.transfer_benchmark.problem import black_box, make_sources
from meta_nni.trial import Config

__all__ = ["run_job"]

Loader = Callable[[str], tables.Table]


def main() -> None:
    """Answers jobs until the input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", type=Path, required=True)
    folder = parser.parse_args().tables
    # What the arms' packages print must not come between the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    load = functools.lru_cache(maxsize=None)(lambda name: tables.load(name, folder))
    for line in sys.stdin:
        try:
            answer = run_job(json.loads(line), load)
        except Exception:
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer, separators=(",", ":")), file=answers, flush=True)


def run_job(job: Mapping[str, Any], load: Loader) -> dict[str, Any]:
    """Runs one arm on one task from one seed.

    Args:
        job: Names "table", "arm" and "task", and has the numbers "seed" and "trials".
        load: Gives a table by name.

    Returns:
        The record, as `results/<arm>.jsonl` has it: the job; "rows" of the table tried
        in order, fewer than "trials" if the arm ran out of proposals; "ask_seconds",
        median, 95th percentile and first of the seconds to decide, that is to tell a
        result and ask for the next config; "learn_seconds" to make the arm;
        "cpu_seconds" of the process in all; "predictions", [mean, standard deviation]
        or null of each trial, where the arm makes any; what ran, where and when.
    """
    spec, table = ARMS[job["arm"]], load(job["table"])
    sources = make_sources(load, job["table"], job["task"], job["seed"], spec.sources)
    measure = black_box(table, job["task"])
    cpu, start = time.process_time(), time.perf_counter()
    arm = spec.factory(table, sources, job["seed"])
    learned = time.perf_counter() - start
    rows, seconds, predictions = _search(arm, measure, job["trials"])
    median, p95 = np.percentile(seconds, [50, 95]) if seconds else (0.0, 0.0)
    return {
        **job,
        "rows": rows,
        **({"predictions": predictions} if any(predictions) else {}),
        "ask_seconds": [round(float(s), 4) for s in (median, p95, *seconds[:1])],
        "learn_seconds": round(learned, 4),
        "cpu_seconds": round(time.process_time() - cpu, 2),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
        "date": datetime.date.today().isoformat(),
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in spec.packages},
        },
    }


def _search(
    arm: Arm, measure: Callable[[Config], tuple[int, float]], num_trials: int
) -> tuple[list[int], list[float], list[list[float] | None]]:
    rows: list[int] = []
    seconds: list[float] = []
    predictions: list[list[float] | None] = []
    telling = 0.0
    for _ in range(num_trials):
        start = time.perf_counter()
        try:
            config = arm.ask()
        except Exhausted:
            break
        seconds.append(telling + time.perf_counter() - start)
        predictions.append(_rounded(arm.prediction))
        row, value = measure(config)
        rows.append(row)
        start = time.perf_counter()
        arm.tell(config, value)
        telling = time.perf_counter() - start
    return rows, seconds, predictions


def _rounded(prediction: tuple[float, float] | None) -> list[float] | None:
    """Mean to seven significant digits and standard deviation to four."""
    if prediction is None:
        return None
    mean, std = prediction
    return [float(f"{mean:.7g}"), float(f"{std:.4g}")]


if __name__ == "__main__":
    main()

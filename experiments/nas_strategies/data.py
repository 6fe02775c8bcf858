"""Runs every strategy on real image data sets, for the same processor seconds each.

    python -m experiments.nas_strategies.data --data DIR

First some random cells of each data set are trained, the sources of the others. Then each job
runs in a process of its own: an arm, a data set, a seed; the cell found is trained anew and
measured on the test split. It can be killed at any time and started again; what is in
`results/data/` is not run again. Writes `data.md`.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import itertools
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.nas_strategies import data_report
from experiments.nas_strategies.data_arms import DATA_ARMS, Setting, find
from experiments.transfer_benchmark import records
from experiments.transfer_benchmark.records import Job
from meta_nni import SearchSpace, Task, compute_metafeatures, load_data
from meta_nni.models import KerasEvaluator
from meta_nni.models.cells.canonical import merge_isomorphic
from meta_nni.trial import History, Result, Run, Suggestion, Trial

__all__ = ["DATA_SETS", "main", "run_job"]

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
DATA_SETS = ("fashion_mnist", "cifar10_sub", "arabic_chars")  # grey, RGB, many classes
SOURCES = "random_cells"  # the "arm" of the sources' cells
SETTINGS = ("seconds", "samples", "cells", "child_epochs", "retrain_epochs")
PACKAGES = ("numpy", "tensorflow", "keras")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs what is missing, then writes the report; returns 1 if a job failed."""
    options = _parse(arguments)
    if options.job:
        print(json.dumps(run_job(Job(*json.loads(options.job)), options)))
        return 0
    cells = [Job("data", SOURCES, name, n) for n in range(options.cells) for name in DATA_SETS]
    grid = itertools.product(range(options.seeds), DATA_SETS, options.arms)
    jobs = cells + [Job("data", arm, name, seed) for seed, name, arm in grid]
    known = records.read(options.results, [SOURCES, *DATA_ARMS])
    records.refuse_others(options.results, known.values(), _settings(options))
    failures = 0
    for number, job in enumerate(jobs, start=1):
        if job not in records.read(options.results, [job.arm]):
            start = time.monotonic()
            failures += not _run_apart(job, options)
            took = time.monotonic() - start
            print(
                f"{time.strftime('%H:%M:%S')} {number}/{len(jobs)} {job}: {took:.0f} s", flush=True
            )
    found = records.read(options.results, list(DATA_ARMS))
    (options.output / "data.md").write_text(data_report.markdown(found), encoding="utf-8")
    return 1 if failures else 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of NAME.npz")
    parser.add_argument("--arms", nargs="+", choices=list(DATA_ARMS), default=list(DATA_ARMS))
    parser.add_argument("--seeds", type=int, default=3, help="0 to this, exclusive")
    parser.add_argument("--seconds", type=float, default=120.0, help="of a search")
    parser.add_argument("--samples", type=int, default=1000, help="most training rows")
    parser.add_argument("--cells", type=int, default=12, help="random cells of each source")
    parser.add_argument("--child-epochs", type=int, default=3)
    parser.add_argument("--retrain-epochs", type=int, default=15)
    parser.add_argument("--results", type=Path, default=HERE / "results" / "data")
    parser.add_argument("--output", type=Path, default=HERE)
    parser.add_argument("--job", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    return {name: getattr(options, name) for name in SETTINGS}


def _run_apart(job: Job, options: argparse.Namespace) -> bool:
    """Runs a job in a process of its own, whose memory and processor time are its own."""
    command = [sys.executable, "-m", "experiments.nas_strategies.data", "--job", json.dumps(job)]
    for name in ("data", *SETTINGS, "results"):
        command += [f"--{name.replace('_', '-')}", str(getattr(options, name))]
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **quiet}, capture_output=True, text=True
    )
    if done.returncode != 0:
        print(f"FAILED {job}:\n{done.stderr[-2000:]}", flush=True)
        return False
    records.append(options.results, json.loads(done.stdout.splitlines()[-1]))
    return True


def run_job(job: Job, options: argparse.Namespace) -> dict[str, Any]:
    """Runs one job in this process.

    Returns:
        The record: the job; "config"; for a source's cell "value", else "test_accuracy" of
        the cell trained anew, "trials" (cells that were measured), "search_seconds" of the
        processor and why a search "stopped" early; settings, machine, date and versions.
    """
    data = {"npz": str((options.data / f"{job.task}.npz").resolve())}
    about = {
        "settings": _settings(options),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
        "date": datetime.date.today().isoformat(),
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
    }
    if job.arm == SOURCES:
        return {**job._asdict(), **_source_cell(job, data, options), **about}
    setting = Setting(
        data=data,
        task=_task(job.task, options),
        space=_space(),
        evaluator=_evaluator(data, options, options.child_epochs, job.seed),
        sources=[_source(name, options) for name in DATA_SETS if name != job.task],
        seconds=options.seconds,
        samples=options.samples,
        seed=job.seed,
    )
    outcome = find(job.arm, setting)
    test = _evaluator(data, options, options.retrain_epochs, job.seed).test(outcome.config)
    measured = {
        "trials": outcome.num_children,
        "config": outcome.config,
        "search_seconds": round(outcome.seconds, 1),
        "stopped": outcome.stopped,
        "test_accuracy": round(test["accuracy"], 4),
    }
    return {**job._asdict(), **measured, **about}


def _space() -> SearchSpace:
    spec = json.loads((ROOT / "search_spaces" / "nasbench201.json").read_text(encoding="utf-8"))
    return merge_isomorphic(SearchSpace.from_nni(spec))


def _evaluator(
    data: dict[str, str], options: argparse.Namespace, epochs: int, seed: int
) -> KerasEvaluator:
    return KerasEvaluator(
        "nasbench201",
        data,
        epochs=epochs,
        patience=epochs,
        samples=options.samples,
        clock=time.process_time,
        seed=seed,
    )


def _task(name: str, options: argparse.Namespace) -> Task:
    data = load_data({"npz": str(options.data / f"{name}.npz")})
    return Task(name, metafeatures=compute_metafeatures(data, np.random.default_rng(0)))


def _source_cell(job: Job, data: dict[str, str], options: argparse.Namespace) -> dict[str, Any]:
    """Trains random cell number `seed` of a data set."""
    place = DATA_SETS.index(job.task)
    rng, space = np.random.default_rng([place, job.seed]), _space()
    config = space.sample(rng)
    result = _evaluator(data, options, options.child_epochs, 0)(config)
    return {"trials": 1, "config": config, "value": result.value, "seconds": result.seconds}


def _source(name: str, options: argparse.Namespace) -> History:
    """The random cells of a data set as experience; of equal cells the first."""
    found = records.read(options.results, [SOURCES])
    own = sorted((job.seed, record) for job, record in found.items() if job.task == name)
    space = _space()
    unique: dict[str, dict[str, Any]] = {}
    for _, record in own:
        unique.setdefault(space.key(record["config"]), record)
    trials = tuple(
        Trial(str(n), n, Suggestion(record["config"], "random")).with_result(
            Result(record["value"], seconds=record["seconds"])
        )
        for n, record in enumerate(unique.values())
    )
    return History(Run(f"cells of {name}", _task(name, options), space), trials)


if __name__ == "__main__":
    sys.exit(main())

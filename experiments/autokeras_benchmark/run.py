"""Searches with every arm on every task, each search in a process of its own; see README.md.

    python -m experiments.autokeras_benchmark.run --data DIR

It may be killed at any time and started again: finished searches are kept.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from experiments.autokeras_benchmark import report
from experiments.autokeras_benchmark.problem import TASKS, kind_of, sources_without
from experiments.knowledge_replay.problem import digest
from experiments.transfer_benchmark import records
from experiments.transfer_benchmark.records import Job
from meta_nni.experience import write_experience
from meta_nni.knowledge import shipped_knowledge
from meta_nni.policy.neural import NeuralPolicy
from meta_nni.policy.training import train
from meta_nni.space import SearchSpace
from meta_nni.store import ExperienceStore
from meta_nni.store_checkpoints import checkpoint_path
from meta_nni.task import Task
from meta_nni.trial import History, Run

__all__ = ["main", "prepare", "setting"]

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
# Seconds of the processor are counted, and threads only wait for one another.
_ENVIRONMENT = {
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    **dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), "1"),
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "-1",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs what is missing, and writes the report."""
    options = _parse(arguments)
    folder = options.results / setting(options.samples, options.epochs_factor)
    done = report.read(folder, digest(shipped_knowledge()), options.arms)
    _refuse_others(folder, done.values(), options)
    jobs = [job for job in _planned(options) if job not in done]
    print(f"{len(done)} searches are done, {len(jobs)} to be run", flush=True)
    with tempfile.TemporaryDirectory(prefix="autokeras-benchmark-") as scratch:
        for number, job in enumerate(jobs, start=1):
            began = time.monotonic()
            record = _run(job, options, Path(scratch))
            if record is None:
                continue
            records.append(report.place(folder, job.arm, record["knowledge"]), record)
            best = max((t["value"] for t in record["measured"] if t["value"]), default=None)
            print(
                f"{time.strftime('%H:%M:%S')} {number}/{len(jobs)} {job.task} {job.arm} seed "
                f"{job.seed}: best {best}, test {record['test_accuracy']}, "
                f"{record['cpu_seconds']} processor seconds, {time.monotonic() - began:.0f} s",
                flush=True,
            )
    report.main(["--results", str(options.results), "--output", str(options.output)])


def _refuse_others(
    folder: Path, done: Iterable[Mapping[str, Any]], options: argparse.Namespace
) -> None:
    """Refuses searches of more or fewer trials or seconds, which are no part of a folder's name."""
    wanted = {"trials": options.trials, "seconds_per_trial": options.seconds}
    found = ({"settings": {name: record[name] for name in wanted}} for record in done)
    records.refuse_others(folder, found, wanted)


def setting(samples: int | None, epochs_factor: int) -> str:
    """Name of the folder of one budget's results."""
    return f"{samples or 'all'}rows-{epochs_factor}x"


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    every = [task for tasks in TASKS.values() for task in tasks]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--tasks", nargs="+", choices=every, default=every, metavar="TASK")
    parser.add_argument(
        "--arms", nargs="+", choices=report.ARMS, default=report.COMPARED, metavar="ARM"
    )
    parser.add_argument("--seeds", type=int, default=3, help="0 to this, exclusive (default 3)")
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument(
        "--samples",
        type=lambda text: None if text == "all" else int(text),
        default=1000,
        help="most training rows, or 'all' (default 1000)",
    )
    parser.add_argument("--epochs-factor", type=int, default=1, help="times the usual epochs")
    parser.add_argument("--seconds", type=float, default=20.0, help="of the processor, per trial")
    parser.add_argument("--results", type=Path, default=HERE / "results")
    parser.add_argument("--output", type=Path, default=HERE, help="folder of results.md")
    return parser.parse_args(arguments)


def _planned(options: argparse.Namespace) -> Iterator[Job]:
    """All jobs: a seed of every task, cheap kinds of data first, before the next seed."""
    for seed in range(options.seeds):
        for task in options.tasks:
            for arm in options.arms:
                yield Job(kind_of(task), arm, task, seed)


def _run(job: Job, options: argparse.Namespace, scratch: Path) -> dict[str, Any] | None:
    """Runs one search in a process; None, with a line, if the process died."""
    knowledge = shipped_knowledge()
    store = scratch / f"{job.task}.db"
    if job.arm in report.WARM and not store.exists():
        prepare(store, sources_without(job.task, knowledge, options.data), job.table)
    order, output = scratch / "job.json", scratch / "record.json"
    output.unlink(missing_ok=True)
    fields = {
        **job._asdict(),
        "trials": options.trials,
        "samples": options.samples,
        "epochs_factor": options.epochs_factor,
        "seconds": options.seconds,
        "data": str(options.data.absolute()),
        "store": str(store) if job.arm in report.WARM else None,
    }
    order.write_text(json.dumps(fields), encoding="utf-8")
    command = [sys.executable, "-m", "experiments.autokeras_benchmark.search"]
    ended = subprocess.run(
        [*command, str(order), str(output)],
        cwd=ROOT,
        env={**os.environ, **_ENVIRONMENT},
        capture_output=True,
        text=True,
        check=False,
    )
    if not output.exists():
        end = ended.stderr[-2000:]
        print(f"{job}: the process ended with {ended.returncode}\n{end}", flush=True)
        return None
    record: dict[str, Any] = json.loads(output.read_text("utf-8"))
    return {**record, "knowledge": digest(knowledge)}


def prepare(store: Path, sources: Sequence[History], kind: str) -> None:
    """Makes a store of the sources, with the network that learned from them.

    The network is trained here once, without a limit of seconds, so that all seeds share it
    and it does not depend on how busy the machine is.
    """
    file = store.with_suffix(".jsonl")
    write_experience(sources, file)
    partial = store.with_suffix(".part")
    partial.unlink(missing_ok=True)
    with closing(ExperienceStore.open(partial)) as opened:  # else rows stay in a log beside it
        opened.import_(file)
    spec = json.loads((ROOT / f"search_spaces/autokeras_{kind}.json").read_text("utf-8"))
    space = SearchSpace.from_nni(spec)
    policy = train(
        Run("any", Task("any", "maximize", {f"kind_{kind}": 1.0}), space),
        sources,
        np.random.default_rng(0),
        lambda histories: NeuralPolicy.train(space, histories, seed=0),
    )
    if policy.network is not None:
        policy.network.save(checkpoint_path(store, space))
    partial.rename(store)


if __name__ == "__main__":
    if not _ENVIRONMENT.items() <= os.environ.items():  # libraries read it when imported
        os.execve(sys.executable, [*sys.orig_argv], {**os.environ, **_ENVIRONMENT})
    main()

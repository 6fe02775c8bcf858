"""Runs the benchmark: every arm on every task of every table, from several seeds.

    python -m experiments.transfer_benchmark.run --tables DIR --peers-python .peers/bin/python

It can be killed at any time and started again: what is in `results/` is not run again.
Seeds come in turn, so that after any of them the comparison is complete for those before.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from experiments.transfer_benchmark import records, tables
from experiments.transfer_benchmark.arms import ARMS
from experiments.transfer_benchmark.records import Job

__all__ = ["all_jobs", "main"]

HERE = Path(__file__).parent
# Deciding is timed: threads of one arm must not wait for those of another.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs what is missing; returns 1 if a job failed, 130 if interrupted, else 0."""
    options = _parse(arguments)
    done = _finished(options, options.arms)
    load = {name: tables.load(name, options.tables) for name in options.table}
    tasks = {name: list(table.values) for name, table in load.items()}
    jobs = [job for job in all_jobs(tasks, options.arms, options.seeds) if job not in done]
    if options.peers_python is None and (peers := _need_peers(jobs)):
        print(f"left out, since --peers-python is not given: {', '.join(peers)}", flush=True)
        jobs = [job for job in jobs if job.arm not in peers]
    progress = _Progress(jobs, done)
    try:
        failures = _run(jobs, options, progress)
    except KeyboardInterrupt:
        print(f"stopped; {progress.left} jobs are left, start again to go on", flush=True)
        return 130
    return 1 if failures else 0


def _finished(options: argparse.Namespace, arms: Sequence[str]) -> dict[Job, dict[str, Any]]:
    known = records.read(options.results, arms)
    return {job: record for job, record in known.items() if record["trials"] >= options.trials}


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tables", type=Path, required=True, help="folder of the .npz tables")
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS), metavar="ARM")
    parser.add_argument(
        "--table", nargs="+", choices=list(tables.TABLES), default=list(tables.TABLES)
    )
    parser.add_argument("--seeds", type=int, default=5, help="0 to this, exclusive")
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--peers-python", type=Path, help="of the peers' environment")
    parser.add_argument("--jobs", type=int, default=1, help="at once")
    parser.add_argument("--results", type=Path, default=HERE / "results")
    return parser.parse_args(arguments)


def all_jobs(tasks: dict[str, list[str]], arms: Sequence[str], num_seeds: int) -> Iterator[Job]:
    """Yields every job: seed by seed, within it table by table and task by task."""
    for seed in range(num_seeds):
        for table, names in tasks.items():
            for task in names:
                yield from (Job(table, arm, task, seed) for arm in arms)


def _need_peers(jobs: Sequence[Job]) -> list[str]:
    return list(dict.fromkeys(j.arm for j in jobs if ARMS[j.arm].environment == "peers"))


def _run(jobs: Sequence[Job], options: argparse.Namespace, progress: _Progress) -> int:
    """Runs jobs on `options.jobs` threads, each with its own workers; counts failures."""
    waiting: queue.SimpleQueue[Job] = queue.SimpleQueue()
    for job in jobs:
        waiting.put(job)
    threads = [
        threading.Thread(target=_serve, args=(waiting, options, progress), daemon=True)
        for _ in range(min(options.jobs, len(jobs)))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():  # with a timeout, so that Ctrl-C is heard
            thread.join(0.5)
    return progress.failures


def _serve(
    waiting: queue.SimpleQueue[Job], options: argparse.Namespace, progress: _Progress
) -> None:
    with contextlib.ExitStack() as stack:
        workers = {
            "main": stack.enter_context(_Worker(Path(sys.executable), options.tables)),
            "peers": stack.enter_context(_Worker(options.peers_python or Path(), options.tables)),
        }
        while True:
            try:
                job = waiting.get_nowait()
            except queue.Empty:
                return
            if job in _finished(options, [job.arm]):  # meanwhile, by another run of this script
                progress.skip(job)
                continue
            start = time.monotonic()
            answer = workers[ARMS[job.arm].environment].answer(job, options.trials)
            progress.add(job, answer, time.monotonic() - start, options.results)


class _Worker:
    """A `work.py` in another process, started when it is first needed."""

    def __init__(self, python: Path, folder: Path) -> None:
        self._command = [str(python), "-m", "experiments.transfer_benchmark.work"]
        self._command += ["--tables", str(folder)]
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> _Worker:
        return self

    def __exit__(self, *error: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def answer(self, job: Job, trials: int) -> dict[str, Any]:
        """Runs a job; a worker that died is an error, and started anew for the next job."""
        process = self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps({**job._asdict(), "trials": trials}) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            self._process = None
            return {"error": f"the worker ended with exit code {process.wait()}"}
        return dict(json.loads(line))

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            root = str(HERE.parents[1])
            path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env={**os.environ, **ONE_THREAD, "PYTHONPATH": path},
                start_new_session=True,  # Ctrl-C is for the parent alone
            )
        return self._process


class _Progress:
    """Writes results, counts, and says how long the rest will take."""

    def __init__(self, jobs: Sequence[Job], done: dict[Job, dict[str, Any]]) -> None:
        self._left = set(jobs)
        self._lock = threading.Lock()
        self._seconds: dict[tuple[str, str], list[float]] = {}
        for job, record in done.items():
            self._seconds.setdefault((job.arm, job.table), []).append(record["cpu_seconds"])
        self.failures = 0
        print(f"{len(done)} jobs are done, {len(jobs)} are to be run", flush=True)

    @property
    def left(self) -> int:
        """Jobs without an answer."""
        return len(self._left)

    def skip(self, job: Job) -> None:
        """Takes a job off that needs no answer."""
        with self._lock:
            self._left.discard(job)

    def add(self, job: Job, answer: dict[str, Any], seconds: float, folder: Path) -> None:
        """Takes the answer to a job: a record, or an error."""
        with self._lock:
            self._left.discard(job)
            self._seconds.setdefault((job.arm, job.table), []).append(seconds)
            name = f"{job.table} {job.task} seed {job.seed} {job.arm}"
            if "error" in answer:
                self.failures += 1
                print(f"FAILED {name}:\n{answer['error']}", flush=True)
                return
            records.append(folder, answer)
            print(
                f"{time.strftime('%H:%M:%S')} {name} {seconds:.1f} s; "
                f"{self.left} left, about {self._minutes_left():.0f} min of one core",
                flush=True,
            )

    def _minutes_left(self) -> float:
        means = {key: sum(s) / len(s) for key, s in self._seconds.items()}
        unknown = sum(means.values()) / len(means)
        return sum(means.get((job.arm, job.table), unknown) for job in self._left) / 60


if __name__ == "__main__":
    sys.exit(main())

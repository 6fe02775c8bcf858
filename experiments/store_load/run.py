"""Does the store lose anything when several processes use it at once?

Each process drives a run of its own as a search does, one commit for a proposal and one
for its result, then all read the whole store back at once and compare every value. The
values follow from run and trial, so that each process knows what the others wrote.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np

from meta_nni import ExperienceStore, Result, Run, SearchSpace, Suggestion, Task, Trial

ROOT = Path(__file__).parents[2]
SPACE = SearchSpace.from_nni(json.loads((ROOT / "search_spaces/cnn_small.json").read_text()))


def main() -> int:
    """Prints the figures; the exit status is 1 if anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=10_000, help="of all processes together")
    parser.add_argument("--processes", type=int, default=4)
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--store", help="path or URL of an empty store; default: a temporary file")
    where.add_argument(
        "--postgresql",
        action="store_true",
        help="start a PostgreSQL server of our own on loopback, without fsync",
    )
    options = parser.parse_args()
    print(f"{platform.machine()}, Python {platform.python_version()}")
    with address(options.store, options.postgresql) as store:
        return measure(store, options.processes, options.trials)


@contextlib.contextmanager
def address(store: str | None, postgresql: bool) -> Iterator[str]:
    """Yields the address of an empty store, for as long as it lasts."""
    if store:
        yield store
    elif postgresql:
        from tests.postgresql_server import binaries, running_server

        folder = binaries()
        if folder is None:
            sys.exit("PostgreSQL is not installed; on Debian: apt-get install postgresql")
        with running_server(folder) as server:
            yield f"postgresql://{server}/postgres"
    else:
        with tempfile.TemporaryDirectory() as temporary:
            yield f"{temporary}/store.db"


def measure(store: str, processes: int, trials: int) -> int:
    """Runs the processes and prints what they found; returns the exit status."""
    context = multiprocessing.get_context("spawn")  # no memory in common, as with real searches
    barrier, answers = context.Barrier(processes), context.Queue()
    shares = [len(range(process, trials, processes)) for process in range(processes)]
    workers = [
        context.Process(target=work, args=(store, process, shares, barrier, answers))
        for process in range(processes)
    ]
    for worker in workers:
        worker.start()
    rows = [answers.get(timeout=3600) for _ in workers]
    for worker in workers:
        worker.join()
    writing, reading, lost = (max(column) for column in zip(*rows, strict=True))
    rate = f"{trials / writing:6.0f} trials/s, {2 * trials / writing:6.0f} commits/s"
    print(f"wrote {trials} trials from {processes} processes  {writing:7.2f} s  {rate}")
    rate = f"{trials * processes / reading:6.0f} trials/s"
    print(f"each of {processes} processes read them all back  {reading:7.2f} s  {rate}")
    print(f"lost or changed: {lost}")
    return int(lost > 0)


def work(
    address: str,
    process: int,
    shares: list[int],
    barrier: Barrier,
    answers: multiprocessing.Queue[tuple[float, float, int]],
) -> None:
    """Writes one run and reads all; answers seconds of both, and the trials lost."""
    store = ExperienceStore.open(address)
    run = Run(f"run-{process}", Task(f"task-{process}"), SPACE)
    rng = np.random.default_rng(process)
    suggestions = [Suggestion(SPACE.sample(rng), "random") for _ in range(shares[process])]
    store.add_run(run, seed=process)
    barrier.wait()
    started = time.perf_counter()
    for number, suggestion in enumerate(suggestions):
        store.add_trials(run.run_id, [Trial(str(number), number, suggestion)])
        store.finish(run.run_id, str(number), result(process, number))
    barrier.wait()
    written = time.perf_counter()
    found = {
        (history.run.run_id, trial.trial_id): trial.result
        for history in store.histories()
        for trial in history.trials
    }
    read = time.perf_counter()
    lost = sum(
        found.get((f"run-{owner}", str(number))) != result(owner, number)
        for owner, share in enumerate(shares)
        for number in range(share)
    )
    answers.put((written - started, read - written, lost))


def result(process: int, number: int) -> Result:
    """The result of a trial: synthetic, known to every process, with a curve of ten epochs."""
    value = number + process / 10
    curve = [value - epoch for epoch in range(10)]
    return Result(value, None, 1.5, curve, {"precision": value / 2}, {"epochs": 10.0})


if __name__ == "__main__":
    sys.exit(main())

"""Searches each data set of a kind with and without the experience of the others.

    python -m experiments.warm_start.run --kind tabular --data DIR

It may be killed at any time and started again: nothing is measured twice.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any

import numpy as np

from experiments.autokeras_benchmark.portfolio import MeanRankController
from experiments.transfer_benchmark import records
from experiments.transfer_benchmark.records import Job
from experiments.warm_start import report
from experiments.warm_start.measured import Measured
from experiments.warm_start.tasks import KINDS, TRIALS, DataSet, of_search
from meta_nni.controllers import Controller, MetaController, RandomController
from meta_nni.policy.neural import NeuralPolicy
from meta_nni.trial import History, Run, Trial

__all__ = ["Comparison", "main", "search"]

HERE = Path(__file__).parent


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs what is missing, and writes the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kind", choices=KINDS, required=True)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--seeds", type=int, default=3, help="0 to this, exclusive (default 3)")
    parser.add_argument("--workers", type=int, default=1, help="processes (default 1)")
    parser.add_argument("--results", type=Path, default=HERE / "results")
    parser.add_argument("--output", type=Path, default=HERE, help="folder of results.md")
    options = parser.parse_args(arguments)
    folder = options.results / options.kind
    done, settings = records.read(folder, report.ARMS), of_search(options.kind)
    records.refuse_others(folder, done.values(), settings)
    comparison = Comparison(options.kind, options.data, folder)
    names = KINDS[options.kind].data_sets
    runs = [(seed, name) for seed in range(options.seeds) for name in names]
    jobs = [
        job
        for seed, name in runs
        for arm in report.ARMS
        if (job := Job(options.kind, arm, name, seed)) not in done
    ]
    with ProcessPoolExecutor(options.workers, get_context("spawn"), _end_with_parent) as pool:
        if options.workers > 1 and jobs:  # else several would measure the same at once
            list(pool.map(comparison.source, *zip(*runs, strict=True)))
        for number, curve in enumerate(pool.map(comparison.run, jobs), start=1):
            best = max((value for value in curve if value is not None), default=None)
            print(f"{number}/{len(jobs)} {jobs[number - 1]}: {best}", flush=True)
    report.main(["--results", str(options.results), "--output", str(options.output)])


@dataclass(frozen=True)
class Comparison:
    """The searches of a kind; each of several processes may run some.

    Attributes:
        kind: One of `KINDS`.
        data: Folder of the data sets.
        folder: Where results are kept.
    """

    kind: str
    data: Path
    folder: Path

    def run(self, job: Job) -> list[float | None]:
        """Runs and records a search: the values of its trials, in order; None where one failed."""
        others = (name for name in KINDS[self.kind].data_sets if name != job.task)
        sources = [self.source(job.seed, name) for name in others]
        data_set, known = self._data_set(job.task), () if job.arm == "cold" else sources
        with tempfile.TemporaryDirectory() as folder:
            controller = _CONTROLLERS[job.arm](data_set, known, Path(folder))
            new = data_set.run(f"new-{job.seed}")
            history = search(data_set, new, controller, known, job.seed, self._measured)
        curve = [trial.value for trial in history.trials]
        found = {"trials": len(curve), "values": curve, "settings": of_search(self.kind)}
        records.append(self.folder, {**job._asdict(), **found})
        return curve

    def source(self, seed: int, name: str) -> History:
        """The experience with a data set: a random search."""
        data_set = self._data_set(name)
        run = data_set.run(f"{name}-{seed}")
        return search(data_set, run, RandomController(), (), seed, self._measured)

    @property
    def _measured(self) -> Measured:
        return Measured(self.folder / "measured.jsonl", KINDS[self.kind].settings)

    def _data_set(self, name: str) -> DataSet:
        scratch = Path(tempfile.gettempdir()) / "meta-nni-warm-start"
        return _data_set(self.kind, name, self.data, scratch)


def _end_with_parent() -> None:
    """Ends this worker when the process that began it was killed; else it would wait for ever."""
    parent = parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


@cache
def _data_set(*of: Any) -> DataSet:
    """Reads the rows of a data set once in a process."""
    return DataSet(*of)


def _meta(data_set: DataSet, sources: Sequence[History], folder: Path) -> Controller:
    """The controller with a network of the sources, trained without a limit of seconds."""
    network = folder / "network.npz"
    NeuralPolicy.train(data_set.space, sources, seed=0).save(network)
    return MetaController(network)


_CONTROLLERS: dict[str, Callable[[DataSet, Sequence[History], Path], Controller]] = {
    "warm": _meta,
    "cold": lambda data_set, sources, folder: MetaController(),
    "portfolio": lambda data_set, sources, folder: MeanRankController(),
}


def search(
    data_set: DataSet,
    run: Run,
    controller: Controller,
    sources: Sequence[History],
    seed: int,
    measured: Measured,
    num_trials: int = TRIALS,
) -> History:
    """Searches a data set, as `meta_nni.search.Search` does.

    Data sets have streams of their own: random searches of one seed would try equal configs.
    """
    stream = zlib.crc32(data_set.name.encode())
    controller.learn(run, sources, np.random.default_rng(seed))
    history = History(run)
    while (number := len(history.trials)) < num_trials:
        rng = np.random.default_rng([seed, stream, number])
        (suggestion,) = controller.propose(history, 1, rng)
        result = measured.get(data_set, suggestion.config)
        trial = Trial(str(number), number, suggestion).with_result(result)
        history = History(run, (*history.trials, trial))
    return history


if __name__ == "__main__":
    main()

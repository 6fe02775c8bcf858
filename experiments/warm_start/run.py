"""Searches each data set of a kind with and without the experience of the others.

    python -m experiments.warm_start.run --kind tabular --data DIR

It may be killed at any time and started again: nothing is measured twice.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

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

__all__ = ["main", "search"]

HERE = Path(__file__).parent


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs what is missing, and writes the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kind", choices=KINDS, required=True)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--seeds", type=int, default=3, help="0 to this, exclusive (default 3)")
    parser.add_argument("--results", type=Path, default=HERE / "results")
    options = parser.parse_args(arguments)
    folder = options.results / options.kind
    scratch = Path(tempfile.gettempdir()) / "meta-nni-warm-start"
    names = KINDS[options.kind].data_sets
    data_sets = {n: DataSet(options.kind, n, options.data, scratch) for n in names}
    measured = Measured(folder / "measured.jsonl", KINDS[options.kind].settings)
    done, settings = records.read(folder, report.ARMS), of_search(options.kind)
    records.refuse_others(folder, done.values(), settings)
    jobs = [
        job
        for seed in range(options.seeds)
        for name in names
        for arm in report.ARMS
        if (job := Job(options.kind, arm, name, seed)) not in done
    ]
    for number, job in enumerate(jobs, start=1):
        began = time.monotonic()
        curve = _run(job, data_sets, measured)
        found = {"trials": len(curve), "values": curve, "settings": settings}
        records.append(folder, {**job._asdict(), **found})
        best = max((value for value in curve if value is not None), default=None)
        took = time.monotonic() - began
        print(
            f"{number}/{len(jobs)} {job.task} {job.arm} {job.seed}: {best}, {took:.0f} s",
            flush=True,
        )
    report.main(["--results", str(options.results), "--output", str(HERE)])


def _run(job: Job, data_sets: dict[str, DataSet], measured: Measured) -> list[float | None]:
    """The values of a search's trials, in order; None where one failed."""
    sources = [
        search(
            data_set, data_set.run(f"{name}-{job.seed}"), RandomController(), (), job.seed, measured
        )
        for name, data_set in data_sets.items()
        if name != job.task
    ]
    data_set = data_sets[job.task]
    run = data_set.run(f"new-{job.seed}")
    known = () if job.arm == "cold" else sources
    with tempfile.TemporaryDirectory() as folder:
        controller = _CONTROLLERS[job.arm](data_set, known, Path(folder))
        history = search(data_set, run, controller, known, job.seed, measured)
    return [trial.value for trial in history.trials]


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

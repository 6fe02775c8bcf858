"""Does successive halving over the controller's proposals save epochs, and do budgets help?

    python -m experiments.nas_strategies.fidelity --tables DIR

Every arm has the same number of epochs on the learning curves of `lcbench_surrogate.npz`, a
surrogate's answers, not measurements. It can be killed and started again: what is in
`results/fidelity/` is not run again. Writes `fidelity.md`.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from experiments.transfer_benchmark import records, tables
from experiments.transfer_benchmark.records import Job
from experiments.transfer_benchmark.scores import Estimate
from experiments.transfer_benchmark.tables import Table
from experiments.verdicts import table as markdown_table
from meta_nni.adapters.nni_assessor import AshaAssessor
from meta_nni.controllers import MetaController, RandomController
from meta_nni.task import Task
from meta_nni.trial import History, Result, Run, Suggestion, Trial

__all__ = ["ARMS", "main", "search"]

HERE = Path(__file__).parent
TABLE = "lcbench_surrogate"
FULL = 52  # epochs
BUDGETS = (5, 10, 20)  # in full trainings

Floats = npt.NDArray[np.float64]


class WithoutBudgets:
    """The controller, which is not told how long trials were trained."""

    def __init__(self) -> None:
        self._inner = MetaController()

    def learn(self, run: Run, sources: Sequence[History], rng: np.random.Generator) -> None:
        """See `Controller.learn`."""
        self._inner.learn(run, sources, rng)

    def propose(self, history: History, count: int, rng: np.random.Generator) -> list[Suggestion]:
        """See `Controller.propose`."""
        trials = tuple(
            replace(trial, result=Result(trial.value, curve=trial.result.curve))
            for trial in history.trials
            if trial.result is not None
        )
        return self._inner.propose(History(history.run, trials), count, rng)


ARMS = {
    "random": (RandomController, False, "random search, every training to its end"),
    "random_asha": (RandomController, True, "random search with successive halving"),
    "meta": (MetaController, False, "the controller, every training to its end"),
    "meta_asha_raw": (WithoutBudgets, True, "with successive halving, short values as they are"),
    "meta_asha": (
        MetaController,
        True,
        "with successive halving, short values brought to the full budget",
    ),
}
"""By name: the controller, without experience; whether trials are stopped; what it is."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs what is missing, then writes the report."""
    options = _parse(arguments)
    table = tables.load(TABLE, options.tables)
    with np.load(options.tables / f"{TABLE}.npz") as arrays:
        epochs = [int(epoch) for epoch in arrays["epochs"]]
        curves = {t: arrays["val_accuracy"][i] for i, t in enumerate(map(str, arrays["tasks"]))}
    jobs = [
        Job(TABLE, arm, task, seed)
        for seed, task, arm in itertools.product(range(options.seeds), table.values, ARMS)
    ]
    known = records.read(options.results, list(ARMS))
    for number, job in enumerate(jobs, start=1):
        if job not in known:
            start = time.process_time()
            trials = search(job, table, by_epoch(curves[job.task], epochs), BUDGETS[-1] * FULL)
            known[job] = {**job._asdict(), "trials": len(trials), "tried": trials}
            known[job]["cpu_seconds"] = round(time.process_time() - start, 1)
            records.append(options.results, known[job])
            print(f"{time.strftime('%H:%M:%S')} {number}/{len(jobs)} {job}", flush=True)
    done = {job: known[job] for job in jobs}
    (options.output / "fidelity.md").write_text(_markdown(table, done), encoding="utf-8")


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tables", type=Path, required=True, help=f"folder of {TABLE}.npz")
    parser.add_argument("--seeds", type=int, default=1, help="0 to this, exclusive")
    parser.add_argument("--results", type=Path, default=HERE / "results" / "fidelity")
    parser.add_argument("--output", type=Path, default=HERE)
    return parser.parse_args(arguments)


def by_epoch(curves: Floats, epochs: Sequence[int]) -> Floats:
    """Accuracy after each epoch, (N, FULL), from that at some epochs: the last known value."""
    last = np.searchsorted(epochs, np.arange(1, FULL + 1), side="right") - 1
    return np.asarray(curves[:, last], float)


def search(job: Job, table: Table, curves: Floats, num_epochs: int) -> list[list[float]]:
    """Searches until the epochs are spent.

    Returns:
        Of each trial: row of the table, epochs trained, best accuracy in them.
    """
    make, stops, _ = ARMS[job.arm]
    controller: Any = make()
    run = Run("target", Task("target"), table.space, metric="value")
    controller.learn(run, (), np.random.default_rng(job.seed))
    assessor = AshaAssessor(min_epochs=4, reduction_factor=3) if stops else None
    history, tried, spent, answered = History(run), [], 0, set()
    while spent < num_epochs:
        number = len(history.trials)
        rng = np.random.default_rng([job.seed, number])
        (suggestion,) = controller.propose(history, 1, rng)
        row = table.row(suggestion.config, answered)
        answered.add(row)
        curve = _trained(curves[row].tolist(), assessor, str(number))
        result = Result(max(curve), curve=curve, budget={"epochs": float(len(curve))})
        trial = Trial(str(number), number, suggestion).with_result(result)
        history = History(run, (*history.trials, trial))
        spent += len(curve)
        tried.append([row, len(curve), round(max(curve), 4)])
    return tried


def _trained(curve: list[float], assessor: AshaAssessor | None, name: str) -> list[float]:
    """The part of a curve that is trained."""
    for epoch in range(1, len(curve)):
        if assessor is not None and not assessor.assess_trial(name, curve[:epoch]).value:
            return curve[:epoch]
    return curve


def _regret(table: Table, record: dict[str, Any], full_trainings: int) -> float:
    """Of the best accuracy that was measured within the epochs, normalised."""
    values = table.values[record["task"]]
    ends = np.cumsum([epochs for _, epochs, _ in record["tried"]])
    # What ends within the budget counts.
    best = [v for (_, _, v), end in zip(record["tried"], ends, strict=True)]
    within = [v for v, end in zip(best, ends, strict=True) if end <= full_trainings * FULL]
    top = values.max()
    return float((top - max(within)) / (top - np.median(values)))


def _markdown(table: Table, done: dict[Job, dict[str, Any]]) -> str:
    lines = ["# Successive halving over the controller's proposals", "", _INTRODUCTION, ""]
    return "\n".join([*lines, *_regrets(table, done), "", *_gaps(table, done), ""])


_INTRODUCTION = (
    "Written by `fidelity.py`. Mean normalised regret (0 best of the table, 1 median) ± standard "
    "error of the best validation accuracy that was measured, after as many epochs as so many "
    f"full trainings of {FULL} take. The learning curves are a surrogate's, known after 1, 4, "
    "12, 25 and 52 epochs and flat in between. Rungs of `AshaAssessor` at 4, 12 and 36 epochs, a "
    "third survives."
)


def _regrets(table: Table, done: dict[Job, dict[str, Any]]) -> Iterator[str]:
    rows = []
    for arm, (_, _, text) in ARMS.items():
        own = [record for job, record in done.items() if job.arm == arm]
        cells = [str(Estimate.of([_regret(table, r, n) for r in own])) for n in BUDGETS]
        trials = f"{np.mean([r['trials'] for r in own]):.0f}"
        rows.append([f"`{arm}`", text, *cells, trials, str(len(own))])
    return markdown_table(["arm", "", *map(str, BUDGETS), "trials", "runs"], rows)


def _gaps(table: Table, done: dict[Job, dict[str, Any]]) -> Iterator[str]:
    rows = []
    for first, second in (
        ("meta_asha", "meta"),
        ("meta_asha", "meta_asha_raw"),
        ("meta_asha", "random_asha"),
        ("random_asha", "random"),
    ):
        cells = []
        for n in BUDGETS:
            gaps = [
                _regret(table, record, n) - _regret(table, done[job._replace(arm=second)], n)
                for job, record in done.items()
                if job.arm == first
            ]
            gap = Estimate.of(gaps)
            cells.append("" if gap is None else f"{gap.mean:+.3f} ± {gap.error:.3f}")
        rows.append([f"`{first}` minus `{second}`", *cells])
    return markdown_table(["paired difference", *map(str, BUDGETS)], rows)


if __name__ == "__main__":
    sys.exit(main())

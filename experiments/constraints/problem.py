"""The problems: measured tables with a second number beside accuracy, and a limit on it.

The limit is the 30% quantile of that number over all configs of the table. More than 30% of
random configs may keep it, see `Problem.share`. Nothing is trained.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from experiments.transfer_benchmark.problem import make_sources
from experiments.transfer_benchmark.tables import Table, load
from meta_nni.controllers import Controller
from meta_nni.task import Task
from meta_nni.trial import Config, History, Result, Run, Trial

__all__ = ["PROBLEMS", "SHARE", "Problem", "search"]

Floats = npt.NDArray[np.float64]

SHARE = 0.3
"""Of a table's configs: its quantile is the limit."""
_NUM_RANDOM = 10_000  # configs that the share of those which keep the limit is measured with

PROBLEMS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "cell parameters": ("nasbench201", "parameters", ("c10_test_200", "in16_test_200")),
    "graph latency": ("nasbench_graph", "latency_ms", ("cora", "arxiv", "photo")),
    "mlp seconds": ("lcbench_surrogate", "seconds", ("3945", "167104", "189862")),
}
"""By name: table, the number beside the value, the tasks that are left out in turn."""


@dataclass(frozen=True)
class Problem:
    """A task of a table, and what the table's other tasks know.

    Attributes:
        name: One of `PROBLEMS`.
        task: The task that is searched for.
        table: Its table.
        metric: The number beside the value, less is better.
        numbers: That number of each row, for each task of the table, (N,).
    """

    name: str
    task: str
    table: Table
    metric: str
    numbers: dict[str, Floats]

    @classmethod
    def load(cls, name: str, task: str, folder: Path) -> Problem:
        """Reads a problem from the tables in a folder."""
        table, numbers = _table(PROBLEMS[name][0], folder)
        return cls(name, task, table, PROBLEMS[name][1], numbers)

    @property
    def values(self) -> Floats:
        """Accuracy of each row, (N,)."""
        return self.table.values[self.task]

    @property
    def costs(self) -> Floats:
        """The number beside it of each row, (N,)."""
        return self.numbers[self.task]

    @property
    def limit(self) -> float:
        """What 30% of the table's configs do not exceed."""
        return float(np.quantile(self.costs, SHARE))

    @cached_property
    def share(self) -> float:
        """Share of random configs that keep the limit.

        It is larger than that of the table where many rows have the very number of the limit,
        and where a row stands for several configs.
        """
        if self.only is not None:
            return float(np.mean(self.costs <= self.limit))
        rng = np.random.default_rng(0)
        drawn = (self.table.space.sample(rng) for _ in range(_NUM_RANDOM))
        return float(np.mean([self.count(config) <= self.limit for config in drawn]))

    @property
    def only(self) -> list[Config] | None:
        """The configs that may be tried, where the table does not answer for all others."""
        return self.table.configs if self.table.space.size is None else None

    def called(self, metric: str) -> Problem:
        """Returns the problem with another name of the number beside the value."""
        return replace(self, metric=metric)

    def weighted(self, weight: float) -> Problem:
        """Returns the problem with one value, the weighted sum of both numbers.

        Each is scaled as the hypervolume's axes are, by the whole table: more than a search
        could know.

        Args:
            weight: Of accuracy, 0 to 1; the rest is that of the cost.
        """
        values = {
            task: self.axes(task) @ np.array([weight, 1.0 - weight]) for task in self.table.values
        }
        return replace(self, table=replace(self.table, values=values))

    def axes(self, task: str) -> Floats:
        """Value and cost of a task, (N, 2): log cost, 0 the table's 10% quantile, 1 its best."""
        both = np.stack([self.table.values[task], -np.log(self.numbers[task])], axis=1)
        low = np.quantile(both, 0.1, axis=0)
        return np.asarray((both - low) / (both.max(axis=0) - low), float)

    def run(self, **extra: Any) -> Run:
        """The run to search with."""
        return Run(f"{self.table.name}/{self.task}", Task(self.task), self.table.space, extra=extra)

    def measure(self) -> Callable[[Config], tuple[int, Result]]:
        """Returns what a trial does: config -> (row, result)."""
        answered: set[int] = set()

        def trial(config: Config) -> tuple[int, Result]:
            row = self.table.row(config, answered)
            answered.add(row)
            return row, self._result(self.task, row)

        return trial

    def count(self, config: Config) -> float:
        """The number beside the value of a config: what building its model would give."""
        return float(self.costs[self.table.row(config, ())])

    def sources(self, folder: Path, seed: int) -> list[History]:
        """100 random trials of every other task of the table, each with both numbers."""
        found = make_sources(lambda name: _table(name, folder)[0], self.table.name, self.task, seed)
        return [self._measured(source) for source in found]

    def _measured(self, source: History) -> History:
        task = source.run.task.name
        trials = [t.with_result(self._result(task, self._row(t))) for t in source.trials]
        return replace(source, trials=tuple(trials))

    def _row(self, trial: Trial) -> int:
        return self.table.row(trial.config, ())

    def _result(self, task: str, row: int) -> Result:
        number = float(self.numbers[task][row])
        return Result(float(self.table.values[task][row]), metrics={self.metric: number})


@cache
def _table(name: str, folder: Path) -> tuple[Table, dict[str, Floats]]:
    table = load(name, folder)
    with np.load(folder / f"{name}.npz") as arrays:
        if name == "nasbench201":
            parameters = 1e6 * arrays["params_M"][np.unique(arrays["iso_rep"])].astype(float)
            return table, dict.fromkeys(table.values, parameters)
        if name == "nasbench_graph":
            return table, {t: 1e3 * arrays[f"{t}_lat"].astype(float) for t in table.values}
        seconds = arrays["time"][:, :, -1].astype(float)
        return table, dict(zip(table.values, seconds, strict=True))


def search(
    controller: Controller,
    run: Run,
    measure: Callable[[Config], tuple[int, Result]],
    num_trials: int,
    sources: Sequence[History],
    seed: int,
) -> list[int]:
    """Plays a search, one trial after the other; returns the rows that were measured."""
    controller.learn(run, sources, np.random.default_rng(seed))
    history, rows = History(run), []
    while (number := len(history.trials)) < num_trials:
        proposed = controller.propose(history, 1, np.random.default_rng([seed, number]))
        if not proposed:
            break
        row, result = measure(proposed[0].config)
        rows.append(row)
        trial = Trial(str(number), number, proposed[0]).with_result(result)
        history = History(run, (*history.trials, trial))
    return rows

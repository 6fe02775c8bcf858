"""One problem of the benchmark: a target task's black box, and what the other tasks know.

Leave one task out: every other task of the table is a source with `NUM_SOURCE_ROWS`
configs drawn apart, each from a random stream of its own, so that no two sources have
the same configs. The bad variants spoil the sources, never the target.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from experiments.transfer_benchmark.tables import TABLES, Table
from meta_nni.task import Task
from meta_nni.trial import Config, History, Result, Run, Suggestion, Trial

__all__ = ["NUM_SOURCE_ROWS", "VARIANTS", "Variant", "black_box", "make_sources"]

Floats = npt.NDArray[np.float64]
Variant = Literal["good", "none", "negated", "permuted", "one_negated", "unrelated"]

VARIANTS: tuple[str, ...] = get_args(Variant)
"""good: as measured; none: cold; negated: every source's values negated; permuted: every
source's values shuffled among its configs; one_negated: one source of them negated, which
one depends on the seed; unrelated: the tasks of another table, in their own space."""

NUM_SOURCE_ROWS = 100
"""Configs of each source; all of a table that has fewer."""


def black_box(table: Table, task: str) -> Callable[[Config], tuple[int, float]]:
    """Returns what a trial does: config -> (row of the table, value)."""
    values = table.values[task]
    answered: set[int] = set()

    def measure(config: Config) -> tuple[int, float]:
        row = table.row(config, answered)
        answered.add(row)
        return row, float(values[row])

    return measure


def make_sources(
    load: Callable[[str], Table], name: str, task: str, seed: int, variant: Variant = "good"
) -> list[History]:
    """Makes the sources of a target task.

    Args:
        load: Gives a table by name.
        name: The target's table.
        task: The target task; it is never among the sources.
        seed: Of the draws; source number i of a table draws from stream [seed, i].
        variant: See `VARIANTS`.

    Raises:
        ValueError: if the table has no such task or there is no such variant.
    """
    table = load(name)
    if task not in table.values:
        raise ValueError(f"task is {task!r}, expected one of {list(table.values)}")
    if variant not in VARIANTS:
        raise ValueError(f"variant is {variant!r}, expected one of {list(VARIANTS)}")
    if variant == "none":
        return []
    if variant == "unrelated":
        names = list(TABLES)
        other = load(names[(names.index(name) + 1) % len(names)])
        return [_source(other, index, seed) for index in range(len(other.values))]
    tasks = list(table.values)
    sources = [_source(table, i, seed) for i in range(len(tasks)) if tasks[i] != task]
    return _spoil(sources, variant, seed)


def _source(table: Table, index: int, seed: int) -> History:
    task = list(table.values)[index]
    count = min(NUM_SOURCE_ROWS, len(table.configs))
    rows = np.random.default_rng([seed, index]).choice(len(table.configs), count, replace=False)
    run = Run(f"{table.name}/{task}", Task(task), table.space, metric="value")
    trials = [
        Trial(str(number), number, Suggestion(table.configs[row], "random"))
        for number, row in enumerate(rows)
    ]
    return _with_values(History(run, tuple(trials)), table.values[task][rows])


def _spoil(sources: list[History], variant: Variant, seed: int) -> list[History]:
    if variant == "negated":
        return [_with_values(source, -_values(source)) for source in sources]
    if variant == "permuted":
        shuffles = [np.random.default_rng([seed, index, 1]) for index in range(len(sources))]
        return [
            _with_values(source, rng.permutation(_values(source)))
            for source, rng in zip(sources, shuffles, strict=True)
        ]
    if variant == "one_negated":
        bad = seed % len(sources)
        return [
            _with_values(source, -_values(source)) if index == bad else source
            for index, source in enumerate(sources)
        ]
    return sources


def _values(source: History) -> Floats:
    return np.array([trial.value for trial in source.trials], float)


def _with_values(source: History, values: npt.NDArray[Any]) -> History:
    trials = (
        trial.with_result(Result(float(value)))
        for trial, value in zip(source.trials, values, strict=True)
    )
    return replace(source, trials=tuple(trials))

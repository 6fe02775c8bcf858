"""One problem of the replay: a left-out task's measured rows, and what else is known.

The shipped knowledge is cut at one task: the task's own rows are the pool that is searched,
the sources are all other runs but those of its relatives, which share rows or origin.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from meta_nni.experience import write_experience
from meta_nni.knowledge import Provenance
from meta_nni.trial import Config, History, Result

__all__ = ["MIN_COMPLETED", "Problem", "digest", "make_problems", "why_skipped"]

Floats = npt.NDArray[np.float64]

MIN_COMPLETED = 6
"""Completed rows without which a task is skipped."""


@dataclass(frozen=True)
class Problem:
    """A pool of N measured configs of one task, and the sources.

    Attributes:
        kind: Kind of the task's data: "image", "text" or "tabular".
        pool: The task's run with all of its ended trials.
        sources: Runs of other tasks, of all kinds, as a search is given them.
    """

    kind: str
    pool: History
    sources: tuple[History, ...]

    @property
    def name(self) -> str:
        """Unique: recipe and task."""
        return self.pool.run.run_id

    @cached_property
    def configs(self) -> list[Config]:
        """The N configs."""
        return [trial.config for trial in self.pool.trials]

    @cached_property
    def values(self) -> Floats:
        """What each config is worth, higher is better, failures as the worst, (N,)."""
        sign = self.pool.run.task.sign
        told = [np.nan if t.value is None else sign * t.value for t in self.pool.trials]
        return np.nan_to_num(told, nan=np.nanmin(told))

    @cached_property
    def seconds(self) -> Floats:
        """What each config took; 0 where that is not known, (N,)."""
        return np.array([self.result(row).seconds or 0.0 for row in range(len(self.configs))])

    @cached_property
    def rows(self) -> dict[str, int]:
        """The row of each config, by its canonical key."""
        key = self.pool.run.space.key
        return {key(config): row for row, config in enumerate(self.configs)}

    @cached_property
    def x(self) -> Floats:
        """The encoded configs, (N, D)."""
        return np.stack([self.pool.run.space.encode(config).ravel() for config in self.configs])

    @property
    def alike(self) -> list[History]:
        """The sources of the same kind of data, and so of nearly the same space."""
        return [s for s in self.sources if Provenance.of(s.run).kind == self.kind and s.completed]

    def result(self, row: int) -> Result:
        """What a trial of a row gives."""
        result = self.pool.trials[row].result
        assert result is not None
        return result


def make_problems(knowledge: Sequence[History]) -> list[Problem]:
    """Makes a problem of each task and recipe, in the order of `knowledge`.

    Runs of a task that differ in their environment only are one pool.
    """
    groups: dict[tuple[str, str | None], list[History]] = {}
    for history in knowledge:
        groups.setdefault((history.run.task.name, history.run.recipe), []).append(history)
    return [_problem(group, knowledge) for group in groups.values()]


def _problem(group: Sequence[History], knowledge: Sequence[History]) -> Problem:
    run = group[0].run
    left_out = {run.task.name, *run.extra.get("shares", ())}
    sources = tuple(h for h in knowledge if h.run.task.name not in left_out)
    pool = History(run, tuple(t for h in group for t in (*h.completed, *h.failed)))
    return Problem(Provenance.of(run).kind or "unknown", pool, sources)


def why_skipped(problem: Problem) -> str | None:
    """Says why a problem cannot be searched; None if it can."""
    count = len(problem.pool.completed)
    if count < MIN_COMPLETED:
        return f"fewer than {MIN_COMPLETED} completed rows"
    if np.median(problem.values) == problem.values.max():
        return "at least half of its rows are the best one"
    if not any(source.completed for source in problem.sources):
        return "no other task is measured"
    return None


def digest(knowledge: Sequence[History]) -> str:
    """Twelve digits that change with any row of the knowledge."""
    stream = io.BytesIO()
    write_experience(knowledge, stream)
    return hashlib.sha256(stream.getvalue()).hexdigest()[:12]

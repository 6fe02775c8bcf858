"""The store: the only memory of all searches, in SQLite or PostgreSQL.

Values and their direction are kept raw. Every method that writes is one transaction,
committed before it returns; several threads and processes may write at once. What is
known of a trial only grows: a reported failure beats an end without a report, a value
beats both, and a value never changes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import astuple, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Connection, and_, case, func, select

from meta_nni.experience import read_experience, write_experience
from meta_nni.store_engine import Database, StoreError, parse_store
from meta_nni.store_queries import (
    ImportSummary,
    add_run,
    add_trials,
    finish,
    load,
    merge,
    require_run,
    unknown_run,
    update_trial,
    whole,
)
from meta_nni.store_schema import RUN, TRIAL, clean_text, prepare
from meta_nni.trial import History, Objective, Result, Run, Trial

__all__ = ["ExperienceStore", "ImportSummary", "RunSummary", "StoreError"]

_log = logging.getLogger(__name__)

_ENDED = TRIAL.c.state.in_(("completed", "failed"))
_PENDING = TRIAL.c.state.in_(("proposed", "running"))


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What a list of runs shows of one.

    Attributes:
        run_id: The run's name.
        task: The task's name.
        objective: Direction of the task's metric.
        fingerprint: The space's fingerprint.
        trials: Number of all trials.
        completed: Number of trials with a value.
        failed: Number of trials that ended without a value.
        best: Best value in the task's direction, whatever the run's limits, or None.
        origin: Where the run comes from: "own", "imported" or "shipped".
    """

    run_id: str
    task: str
    objective: Objective
    fingerprint: str
    trials: int
    completed: int
    failed: int
    best: float | None
    origin: str

    @classmethod
    def of(cls, history: History, origin: str) -> RunSummary:
        """Returns the summary of a run that is not in a store."""
        run, best = history.run, next(iter(history.ranked), None)
        return cls(
            run.run_id,
            run.task.name,
            run.task.objective,
            run.space.fingerprint,
            len(history.trials),
            len(history.completed),
            len(history.failed),
            None if best is None else best.value,
            origin,
        )


class ExperienceStore:
    """A store, open. Safe to use from several threads and processes at once.

    Every method raises StoreError where the database refuses, saying why.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    def open(cls, store: str | Path | None = None, *, create: bool = True) -> ExperienceStore:
        """Opens a store.

        Args:
            store: A path or URL, see `parse_store`.
            create: Whether a missing file is created, and its folder.

        Raises:
            StoreError: It is no store, of a newer version, or cannot be read and written.
        """
        database = Database(parse_store(store), create)
        try:
            with database.write() as connection:
                prepare(connection, database.name)
        except StoreError:
            database.close()
            raise
        return cls(database)

    @property
    def name(self) -> str:
        """The store's path or URL, without a password."""
        return self._database.name

    def close(self) -> None:
        """Closes the store's connections."""
        self._database.close()

    # Runs

    def add_run(
        self,
        run: Run,
        seed: int | None = None,
        controller: str | None = None,
        origin: Literal["own", "imported"] = "own",
    ) -> None:
        """Adds a run. One that is known stays as it is.

        Args:
            run: The run.
            seed: What all of its proposals depend on.
            controller: Name of what decides.
            origin: Whether it is searched with this store or came from a file.

        Raises:
            StoreError: The store knows the run with another task, direction or space.
        """
        with self._database.write() as connection:
            add_run(connection, run, seed, controller, origin)

    def seed(self, run_id: str) -> int | None:
        """Returns the seed of a run; None if it has none.

        Raises:
            StoreError: The run is unknown.
        """
        with self._database.read() as connection:
            query = select(RUN.c.run_id, RUN.c.seed).where(RUN.c.run_id == run_id)
            row = connection.execute(query).first()
        if row is None:
            raise unknown_run(run_id)
        return _seed(row)

    def runs(self) -> list[RunSummary]:
        """Returns a summary of every run, oldest first."""
        value = TRIAL.c.value
        best = case((RUN.c.objective == "maximize", func.max(value)), else_=func.min(value))
        query = (
            select(
                RUN.c.run_id,
                RUN.c.task_name,
                RUN.c.objective,
                RUN.c.fingerprint,
                func.count(TRIAL.c.trial_id),
                func.count(case((TRIAL.c.state == "completed", 1))),
                func.count(case((TRIAL.c.state == "failed", 1))),
                best,
                RUN.c.origin,
            )
            .outerjoin_from(RUN, TRIAL)
            .group_by(RUN.c.run_id)
            .order_by(RUN.c.created_at, RUN.c.run_id)
        )
        with self._database.read() as connection:
            return [_summary(row) for row in connection.execute(query)]

    def history(self, run_id: str) -> History:
        """Returns a run with all of its trials.

        Raises:
            StoreError: The run is unknown.
        """
        with self._database.read() as connection:
            return _history(connection, run_id)

    def histories(self, exclude: str | None = None) -> list[History]:
        """Returns all runs with a completed or failed trial, oldest first, to learn from.

        Suggestions come without their evidence, which `history` returns. Left out are runs of
        shared weights (`History.shares_weights`) and, with a line in the log that names it, a
        damaged run.

        Args:
            exclude: A run to leave out.
        """
        wanted = and_(
            RUN.c.run_id.in_(select(TRIAL.c.run_id).where(_ENDED)),
            RUN.c.run_id.is_distinct_from(exclude),
        )
        with self._database.read() as connection:
            found = load(
                connection, wanted, evidence=False, damaged=lambda e: _log.warning("%s", e)
            )
        return [history for history in found if not history.shares_weights]

    def count(self) -> int:
        """Returns the number of completed and failed trials of all runs; cheap."""
        with self._database.read() as connection:
            query = select(func.count()).select_from(TRIAL).where(_ENDED)
            return int(connection.execute(query).scalar_one())

    # Trials

    def add_trials(self, run_id: str, trials: Sequence[Trial]) -> None:
        """Adds trials, all or none.

        Raises:
            StoreError: The run is unknown, or a trial is known already or not JSON.
        """
        with self._database.write() as connection:
            require_run(connection, run_id)
            add_trials(connection, run_id, trials)

    def finish(self, run_id: str, trial_id: str, result: Result) -> bool:
        """Records a reported result, unless a better one is known.

        Returns:
            Whether anything changed: not if there is a value, nor for a second failure.

        Raises:
            StoreError: The trial is unknown.
        """
        with self._database.write() as connection:
            return finish(connection, run_id, trial_id, result)

    def end(
        self, run_id: str, trial_id: str, state: Literal["failed", "lost"], reason: str
    ) -> bool:
        """Records that a trial ended without a reported result.

        Returns:
            Whether anything changed: only proposed and running trials do.

        Raises:
            StoreError: The trial is unknown.
        """
        values = {"reason": clean_text(reason), "finished_at": datetime.now(UTC)}
        with self._database.write() as connection:
            return update_trial(connection, run_id, trial_id, _PENDING, {"state": state, **values})

    def mark(self, run_id: str, trial_id: str, state: Literal["proposed", "running"]) -> bool:
        """Records that a trial without a result is awaited, also one that was lost.

        Returns:
            Whether anything changed.

        Raises:
            StoreError: The trial is unknown.
        """
        values = {"state": state, "reason": None, "finished_at": None}
        with self._database.write() as connection:
            return update_trial(connection, run_id, trial_id, ~_ENDED, values)

    # Files

    def export(
        self,
        file: str | Path,
        run_ids: Sequence[str] | None = None,
        change: Callable[[History], History] = lambda history: history,
    ) -> int:
        """Writes runs to an experience file, with their seed and controller.

        Args:
            file: Path to write; `.gz` is compressed.
            run_ids: Which runs; None for all.
            change: Applied to each run, such as `experience_private.Hidden.history`.

        Returns:
            The number of runs written.

        Raises:
            StoreError: A run is unknown or damaged.
            ExperienceError: The file cannot be written.
        """
        with self._database.read() as connection:
            query = select(RUN.c.run_id, RUN.c.seed, RUN.c.controller).order_by(RUN.c.created_at)
            rows = {row.run_id: row for row in connection.execute(query)}
            for run_id in run_ids or ():
                if run_id not in rows:
                    raise unknown_run(run_id)
            wanted = rows if run_ids is None else dict.fromkeys(run_ids)
            return write_experience(
                (change(_exported(connection, rows[key])) for key in wanted), file
            )

    def import_(self, file: str | Path) -> ImportSummary:
        """Adds the runs of an experience file, all or none; again changes nothing.

        The file is read twice, one run in memory at a time: first to refuse what does not
        fit without keeping others from writing, then to add it. What is no plain file, such
        as a pipe, is read only once. Known runs get the trials that they lack, known trials
        without a value the file's result.

        Raises:
            ExperienceError: A line does not fit the format.
            StoreError: The file says otherwise than the store; names run and trial.
        """
        if Path(file).is_file():
            for _ in read_experience(file):
                pass
        with self._database.write() as connection:
            return _sum(merge(connection, history) for history in read_experience(file))

    def copy_to(self, target: ExperienceStore) -> ImportSummary:
        """Adds all runs to another store, all or none, with seed, controller and origin.

        What the target knows is treated as in `import_`: copying again changes nothing.

        Raises:
            StoreError: A run is damaged, or the target says otherwise; names run and trial.
        """
        columns = (RUN.c.run_id, RUN.c.seed, RUN.c.controller, RUN.c.origin)
        query = select(*columns).order_by(RUN.c.created_at, RUN.c.run_id)
        with self._database.read() as source, target._database.write() as connection:
            return _sum(_copied(source, row, connection) for row in source.execute(query).all())


def _summary(row: Any) -> RunSummary:
    """Checks what SQLite may hold in columns of other types."""
    summary = RunSummary(*row)
    texts = (summary.run_id, summary.task, summary.fingerprint, summary.origin)
    with whole(f"run {summary.run_id!r}"):
        if not all(type(text) is str for text in texts):
            raise TypeError(f"its texts are {texts!r}, expected texts")
        return replace(summary, best=None if summary.best is None else float(summary.best))


def _sum(summaries: Iterable[ImportSummary]) -> ImportSummary:
    total = ImportSummary()
    for each in summaries:
        total = ImportSummary(*map(sum, zip(astuple(total), astuple(each), strict=True)))
    return total


def _history(connection: Connection, run_id: str) -> History:
    histories = load(connection, RUN.c.run_id == run_id)
    if not histories:
        raise unknown_run(run_id)
    return histories[0]


def _copied(source: Connection, row: Any, target: Connection) -> ImportSummary:
    history = _history(source, row.run_id)
    return merge(target, history, _seed(row), row.controller, row.origin)


def _seed(row: Any) -> int | None:
    with whole(f"run {row.run_id!r}"):
        return None if row.seed is None else int(row.seed)


def _exported(connection: Connection, row: Any) -> History:
    history = _history(connection, row.run_id)
    facts = {"seed": _seed(row), "controller": row.controller}
    known = {name: fact for name, fact in facts.items() if fact is not None}
    return replace(history, run=replace(history.run, extra={**known, **history.run.extra}))

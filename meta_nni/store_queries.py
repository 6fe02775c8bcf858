"""What the store does inside a transaction: load, add, finish, merge."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, insert, select, update
from sqlalchemy.exc import IntegrityError

from meta_nni.space import SearchSpace
from meta_nni.store_engine import StoreError
from meta_nni.store_schema import (
    RUN,
    RUN_COLUMNS,
    TRIAL,
    TRIAL_COLUMNS,
    TRIAL_COLUMNS_TO_LEARN,
    outcome_row,
    run_from_row,
    run_row,
    trial_from_row,
    trial_row,
)
from meta_nni.trial import History, Result, Run, Trial

__all__ = [
    "ImportSummary",
    "add_run",
    "add_trials",
    "finish",
    "load",
    "merge",
    "require_run",
    "unknown_run",
    "update_trial",
    "whole",
]


@dataclass(frozen=True, slots=True)
class ImportSummary:
    """What an import did.

    Attributes:
        runs_added: Runs that the store did not know.
        trials_added: Trials that the store did not know, of new and known runs.
        trials_finished: Known trials that had no value and got the file's result.
        trials_unchanged: Known trials about which the file said nothing new.
    """

    runs_added: int = 0
    trials_added: int = 0
    trials_finished: int = 0
    trials_unchanged: int = 0


_DAMAGE = (ValueError, TypeError, AttributeError, ArithmeticError, RecursionError)


@contextlib.contextmanager
def whole(what: str) -> Iterator[None]:
    """Turns what is raised on reading damaged rows into a StoreError that names them."""
    try:
        yield
    except StoreError:
        raise
    except _DAMAGE as error:
        raise _damage(what, error) from None


def _damage(what: str, error: Exception) -> StoreError:
    problem = " ".join(str(error).split())[:300]
    return StoreError(
        f"{what} is damaged in this store: {problem}; restore the store, or import an "
        "exported experience file into another one"
    )


def _refuse(error: StoreError) -> None:
    raise error


def load(
    connection: Connection,
    wanted: ColumnElement[bool],
    evidence: bool = True,
    damaged: Callable[[StoreError], None] = _refuse,
) -> list[History]:
    """Returns the wanted runs with their trials, two queries in all.

    Args:
        connection: A transaction.
        wanted: Which runs.
        evidence: Whether suggestions come with it.
        damaged: Told of each run that cannot be read, which is left out if it returns.
    """
    columns = TRIAL_COLUMNS if evidence else TRIAL_COLUMNS_TO_LEARN
    ids = select(RUN.c.run_id).where(wanted)
    trials: dict[str, list[Trial | StoreError]] = {}
    query = select(*columns).where(TRIAL.c.run_id.in_(ids)).order_by(TRIAL.c.number)
    for row in connection.execute(query):
        trials.setdefault(row.run_id, []).append(_trial(row))
    spaces: dict[str, SearchSpace] = {}
    histories = []
    runs = select(*RUN_COLUMNS).where(wanted).order_by(RUN.c.created_at, RUN.c.run_id)
    for row in connection.execute(runs):
        try:
            histories.append(_history(row, trials.pop(row.run_id, ()), spaces))
        except StoreError as error:
            damaged(error)
    return histories


def _trial(row: Any) -> Trial | StoreError:
    """Reads a trial; an error is returned, since it may be that of a run to leave out."""
    try:
        return trial_from_row(row)
    except _DAMAGE as error:
        return _damage(f"trial {row.trial_id!r} of run {row.run_id!r}", error)


def _history(
    row: Any, trials: Sequence[Trial | StoreError], spaces: dict[str, SearchSpace]
) -> History:
    with whole(f"run {row.run_id!r}"):
        run = run_from_row(row, spaces)
    read = []
    for trial in trials:
        if isinstance(trial, StoreError):
            raise trial
        try:
            run.space.validate(trial.config)
        except _DAMAGE as error:
            raise _damage(f"trial {trial.trial_id!r} of run {run.run_id!r}", error) from None
        read.append(trial)
    return History(run, tuple(read))


def add_run(
    connection: Connection, run: Run, seed: int | None, controller: str | None, origin: str
) -> bool:
    """Adds a run unless it is known; returns whether it was added.

    Raises:
        StoreError: The store knows the run with another task, direction or space.
    """
    new = run_row(run)
    known = connection.execute(select(*RUN_COLUMNS).where(RUN.c.run_id == run.run_id)).first()
    if known is None:
        own = {"seed": None if seed is None else str(seed), "controller": controller}
        created = {"origin": origin, "created_at": datetime.now(UTC)}
        connection.execute(insert(RUN).values(**new, **own, **created))
        return True
    same = {"task": "task_name", "objective": "objective", "space": "fingerprint"}
    for part, column in same.items():
        if getattr(known, column) != new[column]:
            raise StoreError(
                f"run {run.run_id!r} came with {part} {new[column]!r}, but the store knows it with "
                f"{getattr(known, column)!r}; expected the same, or another run_id"
            )
    return False


def add_trials(connection: Connection, run_id: str, trials: Sequence[Trial]) -> None:
    """Adds trials of a known run.

    Raises:
        StoreError: One of the trial ids is known, or a trial is not JSON.
    """
    if not trials:
        return
    try:
        connection.execute(insert(TRIAL), [trial_row(run_id, trial) for trial in trials])
    except IntegrityError as error:  # asking before would read all ids of the run each time
        ids = ", ".join(repr(trial.trial_id) for trial in trials[:10])
        raise StoreError(
            f"run {run_id!r} has one of the trials {ids} already; expected new trial ids"
        ) from error


def finish(connection: Connection, run_id: str, trial_id: str, result: Result) -> bool:
    """Records a reported result unless a better one is known; returns whether it was new."""
    beaten = TRIAL.c.state != "completed" if result.value is not None else ~TRIAL.c.told
    return update_trial(connection, run_id, trial_id, beaten, outcome_row(result))


def update_trial(
    connection: Connection,
    run_id: str,
    trial_id: str,
    condition: ColumnElement[bool],
    values: dict[str, Any],
) -> bool:
    """Updates a trial under a condition; returns whether it held.

    Raises:
        StoreError: The trial is unknown.
    """
    is_trial = and_(TRIAL.c.run_id == run_id, TRIAL.c.trial_id == trial_id)
    if connection.execute(update(TRIAL).where(is_trial, condition).values(**values)).rowcount:
        return True
    if connection.execute(select(TRIAL.c.trial_id).where(is_trial)).first() is None:
        raise StoreError(f"run {run_id!r} has no trial {trial_id!r} in this store; add it first")
    return False


def require_run(connection: Connection, run_id: str) -> None:
    """Raises the StoreError of `unknown_run` unless the store has the run."""
    if connection.execute(select(RUN.c.run_id).where(RUN.c.run_id == run_id)).first() is None:
        raise unknown_run(run_id)


def unknown_run(run_id: str) -> StoreError:
    """Returns the error about a run that the store does not have."""
    return StoreError(f"run {run_id!r} is not in this store; add or import it first")


def merge(
    connection: Connection,
    history: History,
    seed: int | None = None,
    controller: str | None = None,
    origin: str = "imported",
) -> ImportSummary:
    """Adds what a file or another store knows of a run.

    Args:
        connection: A writing transaction.
        history: The run and its trials.
        seed: See `add_run`, as are `controller` and `origin`; of a new run.
        controller: Likewise.
        origin: Likewise.

    Raises:
        StoreError: The store knows a config or value otherwise; names run and trial.
    """
    run = history.run
    run_added = add_run(connection, run, seed, controller, origin)
    wanted = (TRIAL.c[name] for name in ("trial_id", "number", "config", "state", "value"))
    rows = connection.execute(select(*wanted).where(TRIAL.c.run_id == run.run_id))
    known = {row.trial_id: row for row in rows}
    with whole(f"run {run.run_id!r}"):
        number = 1 + max((int(row.number) for row in known.values()), default=-1)
    new = [trial for trial in history.trials if trial.trial_id not in known]
    add_trials(connection, run.run_id, [replace(t, number=n) for n, t in enumerate(new, number)])
    finished = 0
    for trial in history.trials:
        row = known.get(trial.trial_id)
        if row is not None:
            _check_same(run, trial, row)
            if _is_news(trial, row) and trial.result is not None:
                finished += finish(connection, run.run_id, trial.trial_id, trial.result)
    unchanged = len(history.trials) - len(new) - finished
    return ImportSummary(int(run_added), len(new), finished, unchanged)


def _check_same(run: Run, trial: Trial, known: Any) -> None:
    """Refuses a known trial of another config or value."""
    if known.config != json.dumps(trial.config):  # a quick look before the canonical keys
        with whole(f"trial {trial.trial_id!r} of run {run.run_id!r}"):
            config = json.loads(known.config)
            if run.space.key(config) != run.space.key(trial.config):
                raise _differs(run, trial, "config", config, trial.config)
    if None not in (known.value, trial.value) and known.value != trial.value:
        raise _differs(run, trial, "value", known.value, trial.value)


def _differs(run: Run, trial: Trial, part: str, old: Any, new: Any) -> StoreError:
    return StoreError(
        f"trial {trial.trial_id!r} of run {run.run_id!r} came with {part} {new!r}, but the "
        f"store knows it with {old!r}; expected the same"
    )


def _is_news(trial: Trial, known: Any) -> bool:
    """Whether a file's result says more than the store knows."""
    if trial.value is not None:
        return known.value is None
    return trial.state == "failed" and known.state not in ("completed", "failed")

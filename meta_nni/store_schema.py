"""The store's tables, their version, and their rows as runs and trials.

Nested values are kept as JSON text, with null for numbers that are not finite, so that
any database holds them and nothing read back is ever executed. SQLite keeps whatever a
file holds in whatever column, so that reading a row checks it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, get_args

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    DateTime,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    Text,
    insert,
    inspect,
    null,
    select,
    text,
    update,
)

from meta_nni.experience_record import finite_or_none, finite_tree
from meta_nni.space import SearchSpace
from meta_nni.store_engine import StoreError
from meta_nni.task import Task
from meta_nni.trial import Objective, Result, Run, State, Suggestion, Trial

__all__ = [
    "MIGRATIONS",
    "RUN",
    "RUN_COLUMNS",
    "SCHEMA_VERSION",
    "TRIAL",
    "TRIAL_COLUMNS",
    "TRIAL_COLUMNS_TO_LEARN",
    "clean_text",
    "outcome_row",
    "prepare",
    "run_from_row",
    "run_row",
    "trial_from_row",
    "trial_row",
]


def _add_evidence(connection: Connection) -> None:
    connection.execute(text("ALTER TABLE meta_nni_trial ADD COLUMN evidence TEXT"))


MIGRATIONS: tuple[Callable[[Connection], None], ...] = (_add_evidence,)
"""Steps that bring an older store up to date: `MIGRATIONS[i]` leads to version i + 2."""

SCHEMA_VERSION = 1 + len(MIGRATIONS)
"""Version of the tables below."""

_metadata = MetaData()

_VERSION = Table("meta_nni_schema", _metadata, Column("version", Integer, nullable=False))

RUN = Table(
    "meta_nni_run",
    _metadata,
    Column("run_id", String, primary_key=True),
    Column("task_name", String, nullable=False),
    Column("objective", String, nullable=False),
    Column("metafeatures", Text),
    Column("space", Text, nullable=False),
    Column("fingerprint", String, nullable=False),
    Column("metric", String),
    Column("recipe", String),
    Column("environment", Text),
    Column("extra", Text),
    Column("seed", String),  # text, since seeds may have 128 bits
    Column("controller", String),
    Column("origin", String, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
)
"""A search: `seed`, `controller` and `origin` are the store's, the rest is `Run`."""

TRIAL = Table(
    "meta_nni_trial",
    _metadata,
    Column("run_id", ForeignKey(RUN.c.run_id), primary_key=True),
    Column("trial_id", String, primary_key=True),
    Column("number", Integer, nullable=False),
    Column("state", String, nullable=False),
    Column("told", Boolean, nullable=False),
    Column("config", Text, nullable=False),
    Column("source", String, nullable=False),
    Column("mean", Double),
    Column("std", Double),
    Column("predicted_seconds", Double),
    Column("why", Text, nullable=False),
    Column("evidence", Text),
    Column("value", Double),
    Column("reason", Text),
    Column("seconds", Double),
    Column("curve", Text),
    Column("metrics", Text),
    Column("budget", Text),
    Column("extra", Text),
    Column("proposed_at", DateTime(timezone=True), nullable=False),
    Column("finished_at", DateTime(timezone=True)),
    Index("meta_nni_trial_state", "state"),
)
"""A trial: `told` says that its result was reported, not concluded from its end."""

RUN_COLUMNS = [column for column in RUN.c if column is not RUN.c.created_at]
"""What `run_from_row` reads."""

TRIAL_COLUMNS = [column for column in TRIAL.c if column.type.python_type not in (bool, datetime)]
"""What `trial_from_row` reads, in its order."""

TRIAL_COLUMNS_TO_LEARN = [
    null().label(column.name) if column is TRIAL.c.evidence else column for column in TRIAL_COLUMNS
]
"""The same, with no evidence: it is large and says nothing that the trials do not."""


def prepare(connection: Connection, name: str) -> None:
    """Creates the tables in an empty database, or brings older ones up to date.

    Args:
        connection: A writing transaction.
        name: What errors call the store.

    Raises:
        StoreError: The tables are those of a newer version, or not tables alone.
    """
    _refuse_strange(connection, name)
    if not inspect(connection).has_table(_VERSION.name):
        _metadata.create_all(connection)
        connection.execute(insert(_VERSION).values(version=SCHEMA_VERSION))
        return
    version = connection.execute(select(_VERSION.c.version)).scalar()
    if not isinstance(version, int) or not 1 <= version <= SCHEMA_VERSION:
        raise StoreError(
            f"store {name} has version {version}, this meta_nni reads versions 1 to "
            f"{SCHEMA_VERSION}; upgrade meta_nni or choose another store"
        )
    if version < SCHEMA_VERSION:
        for step in MIGRATIONS[version - 1 :]:
            step(connection)
        connection.execute(update(_VERSION).values(version=SCHEMA_VERSION))


def _refuse_strange(connection: Connection, name: str) -> None:
    """Refuses a SQLite file whose own statements would run with ours."""
    if connection.dialect.name != "sqlite":
        return  # a server's triggers are its owner's
    found = connection.execute(
        text(
            "SELECT type, name FROM sqlite_master WHERE type IN ('trigger', 'view') "
            "AND (tbl_name GLOB 'meta_nni_*' OR name GLOB 'meta_nni_*')"
        )
    ).first()
    if found is not None:
        raise StoreError(
            f"store {name} has a {found.type} {found.name!r}, which this package never makes; "
            "choose another store, or import an exported experience file"
        )


def run_row(run: Run) -> dict[str, Any]:
    """Returns the columns of a run that `run_from_row` reads.

    Raises:
        StoreError: A part of the run is not JSON.
    """
    return {
        "run_id": run.run_id,
        "task_name": run.task.name,
        "objective": run.task.objective,
        "metafeatures": _packed(run.task.metafeatures),
        "space": json.dumps(run.space.to_nni()),
        "fingerprint": run.space.fingerprint,
        "metric": run.metric,
        "recipe": run.recipe,
        "environment": _packed(run.environment),
        "extra": _packed(run.extra),
    }


def run_from_row(row: Row[Any], spaces: dict[str, SearchSpace]) -> Run:
    """Reads a run. `spaces` holds those already read by fingerprint; runs share them.

    Raises:
        ValueError, TypeError, AttributeError: The row is damaged.
    """
    if row.fingerprint not in spaces:
        space = SearchSpace.from_nni(json.loads(row.space))
        if space.fingerprint != row.fingerprint:
            raise ValueError(f"the fingerprint {row.fingerprint!r} is not that of its space")
        spaces[row.fingerprint] = space
    texts = (row.run_id, row.task_name, row.metric, row.recipe)
    if not all(each is None or type(each) is str for each in texts):
        raise ValueError(f"its texts are {texts!r}, expected texts")
    if row.objective not in _OBJECTIVES:
        raise ValueError(f"objective is {row.objective!r}, expected one of {list(_OBJECTIVES)}")
    metafeatures, environment, extra = map(
        _unpacked, (row.metafeatures, row.environment, row.extra)
    )
    if not all(type(each) is dict for each in (metafeatures, environment, extra)):
        raise ValueError("metafeatures, environment or extra is not an object")
    return Run(
        row.run_id,
        Task(row.task_name, row.objective, metafeatures),
        spaces[row.fingerprint],
        row.metric,
        row.recipe,
        environment,
        extra,
    )


def trial_row(run_id: str, trial: Trial) -> dict[str, Any]:
    """Returns all columns of a trial, proposed now.

    Raises:
        StoreError: A part of the trial is not JSON.
    """
    suggestion = trial.suggestion
    return {
        "run_id": run_id,
        "trial_id": trial.trial_id,
        "number": trial.number,
        "told": False,
        "config": _packed(suggestion.config) or "{}",
        "source": suggestion.source,
        "mean": finite_or_none(suggestion.mean),
        "std": finite_or_none(suggestion.std),
        "predicted_seconds": finite_or_none(suggestion.seconds),
        "why": clean_text(suggestion.why),
        "evidence": _packed(finite_tree(suggestion.evidence)),
        "extra": _packed(trial.extra),
        "proposed_at": datetime.now(UTC),
        **(_NO_OUTCOME if trial.result is None else outcome_row(trial.result)),
        "state": trial.state,
    }


def outcome_row(result: Result) -> dict[str, Any]:
    """Returns the columns that a told result sets, its state among them."""
    return {
        "state": "failed" if result.value is None else "completed",
        "told": True,
        "value": result.value,
        "reason": None if result.reason is None else clean_text(result.reason),
        "seconds": finite_or_none(result.seconds),
        "curve": _packed([finite_or_none(value) for value in result.curve]),
        "metrics": _packed({name: finite_or_none(v) for name, v in result.metrics.items()}),
        "budget": _packed({name: finite_or_none(v) for name, v in result.budget.items()}),
        "finished_at": datetime.now(UTC),
    }


_NO_OUTCOME: dict[str, Any] = dict.fromkeys(
    ("value", "reason", "seconds", "curve", "metrics", "budget", "finished_at")
)


def trial_from_row(row: Sequence[Any]) -> Trial:
    """Reads a trial; the reason of one that was lost is kept in `extra`, as in files.

    Stores of many thousand trials are read in one go, hence the plain tuple and one call
    for all JSON of a row.

    Raises:
        ValueError, TypeError, AttributeError: The row is damaged.
    """
    _, trial_id, number, state, config, *proposal = row
    source, mean, std, predicted, why, evidence, *outcome = proposal
    value, reason, seconds, curve, metrics, budget, extra = outcome
    _check_types(number, (mean, std, predicted, value, seconds), (trial_id, source, why, reason))
    config, evidence, curve, metrics, budget, extra = json.loads(
        f"[{config}, {evidence or '{}'}, {curve or '[]'}, {metrics or '{}'}, {budget or '{}'}, "
        f"{extra or '{}'}]"
    )
    result = None
    if state in ("completed", "failed"):
        curve = [math.nan if number is None else number for number in curve]
        result = Result(value, reason, seconds, curve, _numbers(metrics), _numbers(budget))
    if state not in _STATES or (state == "completed") != (value is not None):
        raise ValueError(f"its state is {state!r} and its value {value!r}")
    if not all(type(each) is dict for each in (config, evidence, extra)):
        raise ValueError("config, evidence or extra is not an object")
    if result is None and reason is not None:
        extra["reason"] = reason
    suggestion = Suggestion(config, source, mean, std, predicted, why, evidence)
    return Trial(trial_id, number, suggestion, state, result, extra)


_STATES = get_args(State)
_OBJECTIVES = get_args(Objective)
_NUMBERS = (float, int, type(None))
_TEXTS = (str, type(None))


def _check_types(number: Any, numbers: Sequence[Any], texts: Sequence[Any]) -> None:
    """Refuses what SQLite, unlike other databases, lets stand in a column of another type."""
    if type(number) is not int or not all(type(each) in _NUMBERS for each in numbers):
        raise ValueError(f"its numbers are {(number, *numbers)!r}, expected numbers")
    if not all(type(each) in _TEXTS for each in texts):
        raise ValueError(f"its texts are {tuple(texts)!r}, expected texts")


def clean_text(words: str) -> str:
    """Returns text that every database holds: no NUL, no half of a surrogate pair."""
    return words.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


def _packed(value: Any) -> str | None:
    """Returns JSON text; None for what is empty, as most columns of most rows are."""
    if not value:
        return None
    try:
        return json.dumps(value if isinstance(value, list) else dict(value), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise StoreError(f"{value!r} cannot be stored as JSON: {error}") from None


def _unpacked(packed: str | None) -> Any:
    return {} if packed is None else json.loads(packed)


def _numbers(values: Mapping[str, float | None]) -> dict[str, float]:
    return {name: math.nan if number is None else float(number) for name, number in values.items()}

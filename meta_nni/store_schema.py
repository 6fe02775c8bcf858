"""The store's tables, their version, and their rows as runs and trials.

Nested values are kept as JSON text, with null for numbers that are not finite, so that
any database holds them and nothing read back is ever executed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

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
from meta_nni.trial import Result, Run, Suggestion, Trial

__all__ = [
    "MIGRATIONS",
    "RUN",
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
        StoreError: The tables are those of a newer version.
    """
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
    """Reads a run. `spaces` holds those already read by fingerprint; runs share them."""
    if row.fingerprint not in spaces:
        spaces[row.fingerprint] = SearchSpace.from_nni(json.loads(row.space))
    return Run(
        row.run_id,
        Task(row.task_name, row.objective, _unpacked(row.metafeatures)),
        spaces[row.fingerprint],
        row.metric,
        row.recipe,
        _unpacked(row.environment),
        _unpacked(row.extra),
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
    """
    _, trial_id, number, state, config, *proposal = row
    source, mean, std, predicted, why, evidence, *outcome = proposal
    value, reason, seconds, curve, metrics, budget, extra = outcome
    config, evidence, curve, metrics, budget, extra = json.loads(
        f"[{config}, {evidence or '{}'}, {curve or '[]'}, {metrics or '{}'}, {budget or '{}'}, "
        f"{extra or '{}'}]"
    )
    result = None
    if state in ("completed", "failed"):
        curve = [math.nan if number is None else number for number in curve]
        result = Result(value, reason, seconds, curve, _numbers(metrics), _numbers(budget))
    elif reason is not None:
        extra["reason"] = reason
    suggestion = Suggestion(config, source, mean, std, predicted, why, evidence)
    return Trial(trial_id, number, suggestion, state, result, extra)


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
    return {name: math.nan if number is None else number for name, number in values.items()}

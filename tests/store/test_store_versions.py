"""Stores that older versions of the package wrote, whatever database they are in."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from histories import EVIDENCE, make_config, make_run, make_trial
from sqlalchemy import Connection, create_engine, inspect, text

from meta_nni.store import ExperienceStore
from meta_nni.store_engine import parse_store
from meta_nni.store_schema import SCHEMA_VERSION
from meta_nni.trial import History, Result, Suggestion, Trial

VERSION_1 = (
    "CREATE TABLE meta_nni_schema (version INTEGER NOT NULL)",
    """CREATE TABLE meta_nni_run (
        run_id VARCHAR NOT NULL, task_name VARCHAR NOT NULL, objective VARCHAR NOT NULL,
        metafeatures TEXT, space TEXT NOT NULL, fingerprint VARCHAR NOT NULL, metric VARCHAR,
        recipe VARCHAR, environment TEXT, extra TEXT, seed VARCHAR, controller VARCHAR,
        origin VARCHAR NOT NULL, created_at TIMESTAMP WITH TIME ZONE NOT NULL,
        PRIMARY KEY (run_id))""",
    """CREATE TABLE meta_nni_trial (
        run_id VARCHAR NOT NULL, trial_id VARCHAR NOT NULL, number INTEGER NOT NULL,
        state VARCHAR NOT NULL, told BOOLEAN NOT NULL, config TEXT NOT NULL,
        source VARCHAR NOT NULL, mean DOUBLE PRECISION, std DOUBLE PRECISION,
        predicted_seconds DOUBLE PRECISION, why TEXT NOT NULL, value DOUBLE PRECISION,
        reason TEXT, seconds DOUBLE PRECISION, curve TEXT, metrics TEXT, budget TEXT,
        extra TEXT, proposed_at TIMESTAMP WITH TIME ZONE NOT NULL,
        finished_at TIMESTAMP WITH TIME ZONE, PRIMARY KEY (run_id, trial_id),
        FOREIGN KEY(run_id) REFERENCES meta_nni_run (run_id))""",
    "CREATE INDEX meta_nni_trial_state ON meta_nni_trial (state)",
    "INSERT INTO meta_nni_schema VALUES (1)",
)
RUN = """INSERT INTO meta_nni_run VALUES (
    'run', 'digits', 'maximize', :metafeatures, :space, :fingerprint, 'val_accuracy',
    'image-v1', :environment, NULL, '7', 'Random', 'own', '2026-11-24 12:00:00')"""
TRIAL = """INSERT INTO meta_nni_trial VALUES (
    'run', '0', 0, 'completed', TRUE, :config, 'adapted', 0.9, 0.05, 12.5, :why, 0.5, NULL,
    10.0, :curve, :metrics, :budget, NULL, '2026-11-24 12:00:00', '2026-11-24 12:01:00')"""


def write_version_1(connection: Connection) -> None:
    """Writes the tables as version 1 made them, and a run of one completed trial."""
    for statement in VERSION_1:
        connection.execute(text(statement))
    run, trial = make_run(), make_trial(0, 0.5)
    assert trial.result is not None
    run_values = {
        "metafeatures": json.dumps(run.task.metafeatures),
        "space": json.dumps(run.space.to_nni()),
        "fingerprint": run.space.fingerprint,
        "environment": json.dumps(run.environment),
    }
    trial_values = {
        "config": json.dumps(trial.config),
        "why": trial.suggestion.why,
        "curve": json.dumps(trial.result.curve),
        "metrics": json.dumps(trial.result.metrics),
        "budget": json.dumps(trial.result.budget),
    }
    connection.execute(text(RUN), run_values)
    connection.execute(text(TRIAL), trial_values)


@pytest.fixture
def old(new_url: Callable[[], str]) -> str:
    """The address of a store of version 1."""
    url = new_url()
    engine = create_engine(parse_store(url))
    with engine.begin() as connection:
        write_version_1(connection)
    engine.dispose()
    return url


def tables(url: str) -> tuple[int, dict[str, set[tuple[str, str]]]]:
    """The version of a store, and its tables' columns with their types."""
    engine = create_engine(parse_store(url))
    with engine.connect() as connection:
        version = connection.execute(text("SELECT version FROM meta_nni_schema")).scalar_one()
        found = inspect(connection)
        columns = {
            table: {(column["name"], str(column["type"])) for column in found.get_columns(table)}
            for table in found.get_table_names()
        }
    engine.dispose()
    return version, columns


def test_a_store_of_version_1_is_read_whole(old: str) -> None:
    store = ExperienceStore.open(old)
    assert store.history("run") == History(make_run(), (make_trial(0, 0.5),))
    assert store.histories() == [store.history("run")]
    assert store.seed("run") == 7
    store.close()


def test_a_store_of_version_1_takes_evidence_once_opened(old: str) -> None:
    ExperienceStore.open(old).close()
    store = ExperienceStore.open(old)  # the second time nothing is left to do
    trial = Trial("1", 1, Suggestion(make_config(2), "adapted", evidence=EVIDENCE))
    store.add_trials("run", [trial])
    store.finish("run", "1", Result(0.6))
    before, after = store.history("run").trials
    store.close()
    assert before == make_trial(0, 0.5)
    assert after == trial.with_result(Result(0.6))


def test_it_gets_the_columns_of_a_new_store(old: str, new_url: Callable[[], str]) -> None:
    assert tables(old)[0] == 1
    before = tables(old)[1]["meta_nni_trial"]
    ExperienceStore.open(old).close()
    version, columns = tables(old)
    assert version == SCHEMA_VERSION
    assert columns["meta_nni_trial"] - before == {("evidence", "TEXT")}
    new = new_url()
    ExperienceStore.open(new).close()
    for table, expected in tables(new)[1].items():
        assert {name for name, _ in columns[table]} == {name for name, _ in expected}

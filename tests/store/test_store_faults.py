"""A store whose disk is full, that is read-only, locked, or damaged."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import resource
import shutil
import signal
import sqlite3
import stat
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from histories import fill, make_config, make_history, make_run, make_trial

from meta_nni import store_engine
from meta_nni.store import ExperienceStore, StoreError
from meta_nni.trial import History, Result, Suggestion, Trial

LONG = "x" * 2_000


@contextlib.contextmanager
def tiny_disk(folder: Path) -> Iterator[None]:
    """A file system of 300 kB at `folder`; where none may be mounted, a limit of file sizes."""
    mounting = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(folder)]
    is_mounted = os.geteuid() == 0 and shutil.which("mount") is not None
    is_mounted = is_mounted and subprocess.run(mounting, capture_output=True).returncode == 0
    if is_mounted:
        try:
            yield
        finally:
            subprocess.run(["umount", "-l", str(folder)], check=True)
        return
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_is_said_and_no_row_is_half_written(tmp_path: Path) -> None:
    with tiny_disk(tmp_path):
        store = ExperienceStore.open(tmp_path / "store.db")
        store.add_run(make_run())
        written: list[Trial] = []
        problem = ""
        while not problem and len(written) < 10_000:
            trial = make_trial(len(written), 0.5, extra={"note": LONG})
            try:
                store.add_trials("run", [trial])
                written.append(trial)
            except StoreError as error:
                problem = str(error)
        assert "disk" in problem
        assert "nothing was written in part" in problem
        assert str(tmp_path) in problem
        assert 10 < len(written) < 1_000
        assert store.history("run").trials == tuple(written)
        store.close()
        again = ExperienceStore.open(tmp_path / "store.db")
        assert again.history("run").trials == tuple(written)
        again.close()


def test_an_import_onto_a_full_disk_adds_nothing(tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    source = ExperienceStore.open(tmp_path / "source.db")
    many = tuple(make_trial(i, 0.5, extra={"note": LONG}) for i in range(300))
    fill(source, make_history("a"), History(make_run("b"), many))
    source.export(tmp_path / "runs.jsonl")
    with tiny_disk(tmp_path / "small"):
        store = ExperienceStore.open(tmp_path / "small" / "store.db")
        with pytest.raises(StoreError, match="disk"):
            store.import_(tmp_path / "runs.jsonl")
        assert store.runs() == []
        store.add_run(make_run("c"))  # there is room again
        assert [run.run_id for run in store.runs()] == ["c"]
        with pytest.raises(StoreError, match="disk"):
            source.copy_to(store)
        assert [run.run_id for run in store.runs()] == ["c"]
        store.close()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that an unprivileged user can reach, with a store of one run in it."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        path.chmod(0o755)
        store = ExperienceStore.open(path / "store.db")
        fill(store, make_history())
        store.close()
        yield path
        path.chmod(0o755)


@contextlib.contextmanager
def unprivileged() -> Iterator[None]:
    """Root may write whatever the permissions say: nobody may not."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize(("file", "mode"), [("store.db", 0o444), (".", 0o555)])
def test_a_read_only_store_is_said(folder: Path, file: str, mode: int) -> None:
    before = (folder / "store.db").read_bytes()
    (folder / file).chmod(mode)
    expected = r"allow writing to the file and its folder|may both be read and written"
    with unprivileged(), pytest.raises(StoreError, match=expected) as error:
        ExperienceStore.open(folder / "store.db")
    assert str(folder / "store.db") in str(error.value)
    assert (folder / "store.db").read_bytes() == before
    assert stat.S_IMODE((folder / file).stat().st_mode) == mode


def test_a_store_in_a_folder_that_cannot_be_made_is_said(folder: Path) -> None:
    folder.chmod(0o555)
    with unprivileged(), pytest.raises(StoreError, match=r"new/store.db: .*Permission denied"):
        ExperienceStore.open(folder / "new" / "store.db")


@contextlib.contextmanager
def locked(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
    finally:
        connection.close()


def test_a_writer_that_waits_says_so_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(store_engine, "NOTICE_SECONDS", 0.0)
    store = ExperienceStore.open(tmp_path / "store.db")
    noticed = threading.Event()
    handler = logging.Handler()
    handler.emit = lambda record: noticed.set()  # type: ignore[method-assign]
    logging.getLogger("meta_nni.store_engine").addHandler(handler)
    try:
        with locked(tmp_path / "store.db") as other:
            writer = threading.Thread(target=store.add_run, args=(make_run(),))
            noticed.clear()
            writer.start()
            assert noticed.wait(20)
            other.execute("ROLLBACK")
            writer.join(20)
    finally:
        logging.getLogger("meta_nni.store_engine").removeHandler(handler)
    assert "another process is writing; waiting for up to 60 s" in caplog.text
    assert [run.run_id for run in store.runs()] == ["run"]


def test_a_store_locked_for_too_long_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ExperienceStore.open(tmp_path / "store.db").close()
    monkeypatch.setattr(store_engine, "BUSY_SECONDS", 0.05)
    store = ExperienceStore.open(tmp_path / "store.db")
    with (
        locked(tmp_path / "store.db"),
        pytest.raises(StoreError, match=r"database is locked \(another process has been writing"),
    ):
        store.add_run(make_run())
    assert store.runs() == []  # reading never waits


def damaged(path: Path, *statements: str) -> ExperienceStore:
    """A store of the runs "good" and "run", the latter changed behind our back."""
    store = ExperienceStore.open(path)
    fill(store, make_history("good"), make_history("run"))
    store.close()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()
    return ExperienceStore.open(path)


ROW = "WHERE run_id = 'run' AND trial_id = '1'"
TRIAL_DAMAGE = [
    ("config = '{'", ""),
    ("config = '1, 2'", ""),
    ("config = '[]'", "is not an object"),
    ("config = '{\"block/depth\": 9}'", "unknown|missing|expected"),
    ("config = x'ff00'", ""),
    ("state = 'done'", "its state is 'done'"),
    ("value = NULL", "its state is 'completed' and its value None"),
    ("value = 'high'", "expected numbers"),
    ("value = x'00'", "expected numbers"),
    ("mean = 'x'", "expected numbers"),
    ("number = 'first'", "expected numbers"),
    ("why = x'00'", "expected texts"),
    ("curve = '5'", ""),
    ("curve = '[\"x\"]'", ""),
    ("metrics = '[1]'", ""),
    ('metrics = \'{"a": "b"}\'', ""),
    ("evidence = '[]'", "is not an object"),
    ("extra = '" + "[" * 2_000 + "'", ""),
]


@pytest.mark.parametrize(("change", "problem"), TRIAL_DAMAGE)
def test_a_damaged_trial_is_named_and_its_run_left_out(
    tmp_path: Path, change: str, problem: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = damaged(tmp_path / "s.db", f"UPDATE meta_nni_trial SET {change} {ROW}")
    expected = rf"trial '1' of run 'run' is damaged in this store: .*({problem})"
    with pytest.raises(StoreError, match=expected):
        store.history("run")
    if "evidence" not in change:
        assert [history.run.run_id for history in store.histories()] == ["good"]
        assert "trial '1' of run 'run' is damaged" in caplog.text
    with pytest.raises(StoreError, match=expected):
        store.export(tmp_path / "runs.jsonl")
    assert not (tmp_path / "runs.jsonl").exists()
    assert store.export(tmp_path / "good.jsonl", ["good"]) == 1


@pytest.mark.parametrize(
    "change",
    [
        "fingerprint = 'x'",
        "objective = 'up'",
        'metafeatures = \'{"a": "b"}\'',
        "metafeatures = '[]'",
        "task_name = x'00'",
        "environment = '[' || '['",
    ],
)
def test_a_damaged_run_is_named(tmp_path: Path, change: str) -> None:
    where = "WHERE run_id = 'run'"
    store = damaged(tmp_path / "s.db", f"UPDATE meta_nni_run SET {change} {where}")
    with pytest.raises(StoreError, match="run 'run' is damaged in this store"):
        store.history("run")
    assert [history.run.run_id for history in store.histories()] == ["good"]


@pytest.mark.parametrize("space", ["{}", "{", '{"a": {"_type": "choice", "_value": [1]}}'])
def test_a_damaged_space_is_named(tmp_path: Path, space: str) -> None:
    change = f"UPDATE meta_nni_run SET space = '{space}' WHERE run_id = 'run'"
    store = damaged(tmp_path / "s.db", change)
    with pytest.raises(StoreError, match="run 'run' is damaged in this store"):
        store.history("run")


@pytest.mark.parametrize("change", ["seed = 'x'", "created_at = 'yesterday'"])
def test_what_no_result_hangs_on_may_be_damaged(tmp_path: Path, change: str) -> None:
    store = damaged(tmp_path / "s.db", f"UPDATE meta_nni_run SET {change} WHERE run_id = 'run'")
    assert len(store.histories()) == 2
    store.add_run(make_run("run"))


def test_a_damaged_list_of_runs_is_named(tmp_path: Path) -> None:
    store = damaged(tmp_path / "s.db", f"UPDATE meta_nni_trial SET value = 'high' {ROW}")
    with pytest.raises(StoreError, match="run 'run' is damaged"):
        store.runs()


STRANGE = [
    "CREATE TRIGGER t AFTER INSERT ON meta_nni_run BEGIN DELETE FROM meta_nni_trial; END",
    "ALTER TABLE meta_nni_trial RENAME TO hidden",
]


@pytest.mark.parametrize("statement", STRANGE)
def test_a_store_with_statements_of_its_own_is_refused(tmp_path: Path, statement: str) -> None:
    store = ExperienceStore.open(tmp_path / "s.db")
    fill(store, make_history())
    store.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "s.db")) as connection:
        connection.execute(statement)
        if "hidden" in statement:
            connection.execute("CREATE VIEW meta_nni_trial AS SELECT * FROM hidden")
        connection.commit()
    with pytest.raises(StoreError, match=r"has a (trigger 't'|view 'meta_nni_trial'), which"):
        ExperienceStore.open(tmp_path / "s.db")


def test_a_value_too_large_is_refused_both_ways(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ExperienceStore.open(tmp_path / "s.db")
    fill(store, History(make_run(), (make_trial(0, 0.5, extra={"note": LONG}),)))
    store.close()
    monkeypatch.setattr(store_engine, "MAX_CELL_BYTES", 1_500)
    small = ExperienceStore.open(tmp_path / "s.db")
    with pytest.raises(StoreError, match=r"too big \(a value takes over"):
        small.history("run")
    with pytest.raises(StoreError, match="too big"):
        small.add_trials("run", [make_trial(1, 0.5, extra={"note": LONG})])
    small.close()


def test_names_are_only_names(tmp_path: Path, store: ExperienceStore) -> None:
    names = ["'; DROP TABLE meta_nni_trial; --", '" OR 1=1', "../../etc/passwd", "%s {0} \\0", "é"]
    for name in names:
        trial = Trial(name, 0, Suggestion(make_config(), name, why=name))
        store.add_run(make_run(name, task=name))
        store.add_trials(name, [trial])
        assert store.finish(name, name, Result(0.5, metrics={name: 1.0}))
        found: Any = store.history(name)
        assert (found.run.task.name, found.trials[0].trial_id) == (name, name)
    assert len(store.histories()) == len(names)
    store.export(tmp_path / "runs.jsonl")
    assert [json.loads(line)["run_id"] for line in (tmp_path / "runs.jsonl").open()] == names
    assert sorted(path.name for path in tmp_path.iterdir() if ".db" not in path.name) == [
        "runs.jsonl"
    ]

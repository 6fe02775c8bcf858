"""Where a store is, and what is special about SQLite; see the folder store for the rest."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from histories import make_history, make_run, make_trial

from meta_nni import store_engine, store_schema
from meta_nni.store import ExperienceStore, StoreError
from meta_nni.store_engine import parse_store
from meta_nni.trial import Result


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store that holds a run of six trials."""
    path = tmp_path / "experience.db"
    store = ExperienceStore.open(path)
    store.add_run(make_run())
    store.add_trials("run", make_history().trials)
    store.close()
    return path


# Addresses


@pytest.mark.parametrize(
    ("store", "expected"),
    [
        ("/data/a.db", "sqlite:////data/a.db"),
        (Path("/data/a.db"), "sqlite:////data/a.db"),
        ("sqlite:////data/a.db", "sqlite:////data/a.db"),
        ("a.db", "sqlite:///{cwd}/a.db"),
        ("sqlite:///a.db", "sqlite:///{cwd}/a.db"),
        ("~/a.db", "sqlite:///{home}/a.db"),
        ("postgresql://u:p@h:1/n", "postgresql+psycopg://u:p@h:1/n"),
        ("postgresql+psycopg://u@h/n", "postgresql+psycopg://u@h/n"),
    ],
)
def test_addresses(store: str | Path, expected: str) -> None:
    found = parse_store(store).render_as_string(hide_password=False)
    assert found == expected.format(cwd=Path.cwd(), home=Path.home())


@pytest.mark.parametrize(
    ("store", "expected"),
    [
        ("", "the store is '', expected the path of a file"),
        (":memory:", "the store is ':memory:', expected the path of a file"),
        ("sqlite://", "the store is '', expected the path of a file"),
        ("mysql://u@h/n", "begins with 'mysql', expected sqlite:///PATH or postgresql://"),
        ("postgresql://u:secret@h:port/n", "URL cannot be read"),
        (3, "the store is 3, expected a path or a URL"),
    ],
)
def test_what_is_no_address_is_refused(store: str, expected: str) -> None:
    with pytest.raises(StoreError, match=expected) as caught:
        ExperienceStore.open(store)
    assert "secret" not in str(caught.value)


def test_default_is_the_environment_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("META_NNI_STORE", str(tmp_path / "a.db"))
    assert ExperienceStore.open().name == str(tmp_path / "a.db")


def test_default_is_the_users_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("META_NNI_STORE", "")
    monkeypatch.setattr(
        store_engine.platformdirs, "user_data_dir", lambda app: str(tmp_path / "data" / app)
    )
    assert ExperienceStore.open().name == str(tmp_path / "data" / "meta_nni" / "experience.db")
    assert (tmp_path / "data" / "meta_nni" / "experience.db").exists()


def test_a_missing_store_is_created_unless_told_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.db"
    with pytest.raises(StoreError, match="there is no store at"):
        ExperienceStore.open(path, create=False)
    assert not path.parent.exists()
    ExperienceStore.open(path)
    assert ExperienceStore.open(path, create=False).runs() == []


def test_a_store_stays_where_it_was_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = ExperienceStore.open("a.db")
    store.close()
    monkeypatch.chdir("/")
    store.add_run(make_run())
    assert [run.run_id for run in ExperienceStore.open(tmp_path / "a.db").runs()] == ["run"]


def test_a_password_is_not_shown() -> None:
    with pytest.raises(StoreError, match=r"127\.0\.0\.1") as caught:
        ExperienceStore.open("postgresql://user:secret@127.0.0.1:1/name")
    assert "secret" not in str(caught.value)


def test_a_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_driver(*args: object, **kwargs: object) -> None:
        raise ModuleNotFoundError("No module named 'psycopg'", name="psycopg")

    monkeypatch.setattr(store_engine, "create_engine", no_driver)
    with pytest.raises(StoreError, match=r"needs psycopg: pip install 'meta-nni\[postgresql\]'"):
        ExperienceStore.open("postgresql://user@127.0.0.1:1/name")


# Files that are no store


def test_another_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database " * 100)
    with pytest.raises(StoreError, match=r"notes.txt: file is not a database \(.*choose another"):
        ExperienceStore.open(path)
    assert path.read_text() == "not a database " * 100
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="unable to open database file"):
        ExperienceStore.open(tmp_path)


def test_a_path_below_a_file_is_refused(path: Path) -> None:
    with pytest.raises(StoreError, match=r"experience\.db"):
        ExperienceStore.open(path / "a.db")


def test_a_damaged_store_is_refused(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xff" * len(data[4096:])
    path.write_bytes(data)
    with pytest.raises(StoreError, match=r"malformed \(the file is damaged; restore it"):
        ExperienceStore.open(path).histories()


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """Root may write anything: become someone who may not."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder with a store, which all may read and enter, but none may write."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ExperienceStore.open(folder / "experience.db").close()
        (folder / "experience.db").chmod(0o444)
        folder.chmod(0o555)
        yield folder
        folder.chmod(0o755)


def test_a_read_only_store_is_refused(public_folder: Path) -> None:
    with as_nobody(), pytest.raises(StoreError, match=r"allow writing|may both be read and writ"):
        ExperienceStore.open(public_folder / "experience.db")
    assert [file.name for file in public_folder.iterdir()] == ["experience.db"]


def test_a_folder_that_cannot_be_written_is_refused(public_folder: Path) -> None:
    for name in ("a.db", "new/a.db"):
        with as_nobody(), pytest.raises(StoreError, match=r"may both be read and written|denied"):
            ExperienceStore.open(public_folder / name)


# Versions


def set_version(path: Path, version: object) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE meta_nni_schema SET version = ?", (version,))
        connection.commit()


@pytest.mark.parametrize("version", [3, 0, "x"])
def test_an_unknown_version_is_refused(path: Path, version: object) -> None:
    set_version(path, version)
    with pytest.raises(
        StoreError, match=f"experience.db has version {version}, .* reads versions 1 to 2; upgrade"
    ):
        ExperienceStore.open(path)


def test_an_older_store_is_brought_up_to_date(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[int] = []
    set_version(path, 1)
    monkeypatch.setattr(store_schema, "SCHEMA_VERSION", 3)
    monkeypatch.setattr(
        store_schema, "MIGRATIONS", (lambda _: done.append(2), lambda _: done.append(3))
    )
    assert ExperienceStore.open(path).history("run") == make_history()
    assert done == [2, 3]
    ExperienceStore.open(path)
    assert done == [2, 3]


def test_a_failed_migration_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def step(connection: store_schema.Connection) -> None:
        connection.exec_driver_sql("DELETE FROM meta_nni_trial")
        raise RuntimeError("no")

    with monkeypatch.context() as patch:
        patch.setattr(store_schema, "SCHEMA_VERSION", 3)
        patch.setattr(store_schema, "MIGRATIONS", (step, step))
        with pytest.raises(RuntimeError):
            ExperienceStore.open(path)
    assert ExperienceStore.open(path).history("run") == make_history()


# Locks


def test_readers_and_a_writer_coexist(path: Path) -> None:
    store = ExperienceStore.open(path)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        other.execute("BEGIN IMMEDIATE")
        other.execute("UPDATE meta_nni_trial SET value = 0.1 WHERE trial_id = '0'")
        assert store.history("run").trials[0].value == 0.7
        other.execute("COMMIT")
    assert store.history("run").trials[0].value == 0.1


def test_a_writer_that_never_ends_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_engine, "BUSY_SECONDS", 0.05)
    store = ExperienceStore.open(path)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match=r"database is locked .*another process"):
            store.finish("run", "5", Result(0.5))
        other.execute("ROLLBACK")
    assert store.finish("run", "5", Result(0.5))


def test_writers_wait_long_enough() -> None:
    assert store_engine.BUSY_SECONDS >= 30


def test_trials_need_their_run(path: Path) -> None:
    with contextlib.closing(ExperienceStore.open(path)) as store:
        engine = store._database._engine
        with engine.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


def test_a_forked_child_leaves_the_parents_connections(path: Path) -> None:
    store = ExperienceStore.open(path)
    before = store._database._engine.pool
    store._database._pid = -1  # as a child of a fork finds it
    store.add_trials("run", [make_trial(6)])
    assert store._database._engine.pool is not before
    assert len(store.history("run").trials) == 7

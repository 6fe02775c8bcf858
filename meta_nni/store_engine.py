"""Where a store is, and how to talk to it: one locked transaction at a time.

Every write transaction holds the store's only write lock from its first statement on
(SQLite: BEGIN IMMEDIATE; PostgreSQL: an advisory lock), so what it reads cannot change
before it writes. Readers are never blocked and see one state of the store throughout.
A SQLite file may come from anywhere: what its schema says is not trusted, and no value
of more than `MAX_CELL_BYTES` is read.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import platformdirs
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, OperationalError, SQLAlchemyError

__all__ = [
    "BUSY_SECONDS",
    "MAX_CELL_BYTES",
    "NOTICE_SECONDS",
    "Database",
    "StoreError",
    "parse_store",
]

BUSY_SECONDS = 60
"""How long a writer waits for another one before it gives up."""

NOTICE_SECONDS = 5.0
"""How long it waits before it says so in the log."""

MAX_CELL_BYTES = 16 * 2**20
"""Largest value, and row, that SQLite reads or writes: parsed it takes up to 30 times that."""

_LOCK_KEY = 0x6D6574616E6E69  # "metanni": the advisory lock of PostgreSQL's writers

_log = logging.getLogger(__name__)

_HINTS = {
    "disk is full": "free some of it, or choose another store; nothing was written in part",
    "disk I/O error": "the disk is full, over its quota, or broken; nothing was written in part",
    "No space left": "free some of the server's disk; nothing was written in part",
    "too big": f"a value takes over {MAX_CELL_BYTES} bytes, expected less",
    "not a database": "the file is something else; choose another store or move it away",
    "malformed": "the file is damaged; restore it, or import an exported experience file",
    "readonly": "it cannot be written; allow writing to the file and its folder",
    "read-only": "it cannot be written; allow writing to the file and its folder",
    "unable to open": "expected a file, in a folder, that may both be read and written",
    "lock": f"another process has been writing for over {BUSY_SECONDS} s; end it or wait",
}


class StoreError(ValueError):
    """A store cannot do what was asked; says why and what to do."""


def parse_store(store: str | Path | None = None) -> URL:
    """Returns the database URL of a store as users write it.

    Args:
        store: A path, or a URL `sqlite:///PATH` or `postgresql://USER@HOST/NAME`; None
            stands for `$META_NNI_STORE`, else for a file in the user's data folder.

    Raises:
        StoreError: It is neither.
    """
    if store is None:
        default = Path(platformdirs.user_data_dir("meta_nni")) / "experience.db"
        store = os.environ.get("META_NNI_STORE") or default
    if not isinstance(store, (str, Path)):
        raise StoreError(f"the store is {store!r}, expected a path or a URL")
    if isinstance(store, Path) or "://" not in store:
        return _sqlite_url(str(store))
    try:
        url = make_url(store)
    except (ArgumentError, ValueError):  # the latter for a port that is no number
        raise StoreError("the store's URL cannot be read, expected dialect://...") from None
    if url.drivername in ("sqlite", "sqlite+pysqlite"):
        return _sqlite_url(url.database or "")
    if url.drivername in ("postgresql", "postgresql+psycopg"):
        return url.set(drivername="postgresql+psycopg")
    raise StoreError(
        f"the store's URL begins with {url.drivername!r}, expected sqlite:///PATH or "
        "postgresql://USER@HOST/NAME"
    )


def _sqlite_url(path: str) -> URL:
    if not path or path == ":memory:" or "\0" in path:
        raise StoreError(f"the store is {path!r}, expected the path of a file, which it is kept in")
    # Absolute, since hosts change the working directory.
    return URL.create("sqlite", database=str(Path(path).expanduser().absolute()))


class Database:
    """A store's database. Safe to use from several threads and after a fork.

    Args:
        url: Where it is.
        create: Whether a missing SQLite file and its folder are created.

    Attributes:
        name: The SQLite file's path, or the URL without a password; for messages.

    Raises:
        StoreError: It is missing, or its driver or folder cannot be used.
    """

    def __init__(self, url: URL, create: bool) -> None:
        self._pid = os.getpid()
        self._is_sqlite = url.drivername == "sqlite"
        self.name = str(url.database) if self._is_sqlite else url.render_as_string()
        with self._explained():
            if self._is_sqlite:
                if not create and not Path(self.name).exists():
                    raise StoreError(f"there is no store at {self.name}; import or search first")
                Path(self.name).parent.mkdir(parents=True, exist_ok=True)
            self._engine = _engine(url)

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one state of the store.

        Raises:
            StoreError: The database refuses.
        """
        level = {} if self._is_sqlite else {"isolation_level": "REPEATABLE READ"}
        with self._transaction(level) as connection:
            yield connection

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """The only writing transaction; committed at its end, or rolled back on an error.

        Raises:
            StoreError: The database refuses, or others wrote for over `BUSY_SECONDS`.
        """
        with self._transaction({"meta_nni_write": True}) as connection:
            yield connection

    def close(self) -> None:
        """Closes the connections; the next transaction opens a new one."""
        self._engine.dispose()

    @contextlib.contextmanager
    def _transaction(self, options: dict[str, Any]) -> Iterator[Connection]:
        if os.getpid() != self._pid:
            # Connections do not survive a fork: leave the parent's to the parent.
            self._engine.dispose(close=False)
            self._pid = os.getpid()
        with (
            self._explained(),
            self._engine.connect().execution_options(**options) as connection,
            connection.begin(),
        ):
            yield connection

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Turns what the database and the file system raise into a StoreError."""
        try:
            yield
        except (SQLAlchemyError, OSError, UnicodeError) as error:
            problem = str(getattr(error, "orig", None) or error).strip()
            hints = [f" ({hint})" for words, hint in _HINTS.items() if words in problem]
            raise StoreError(f"store {self.name}: {problem}{''.join(hints[:1])}") from error
        except ModuleNotFoundError as error:
            raise StoreError(
                f"store {self.name} needs {error.name}: pip install 'meta-nni[postgresql]'"
            ) from None


def _engine(url: URL) -> Engine:
    if url.drivername != "sqlite":
        engine = create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": 10})
        event.listen(engine, "begin", _begin_postgresql)
        return engine
    engine = create_engine(
        url,
        max_overflow=-1,  # as many connections as there are threads
        connect_args={"timeout": BUSY_SECONDS},
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, record: Any) -> None:
    connection.isolation_level = None  # transactions begin where _begin_sqlite says
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_CELL_BYTES)
    _use_wal(connection)


def _use_wal(connection: sqlite3.Connection) -> None:
    """Turns on write-ahead logging: readers and a writer coexist. Lasts with the file."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            # SQLite does not wait for others here, whatever its timeout.
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
        time.sleep(0.05)


@contextlib.contextmanager
def _noticed(connection: Connection) -> Iterator[None]:
    """Logs that something takes long: databases wait for one another without a word."""
    url = connection.engine.url
    name = url.database if url.drivername == "sqlite" else url.render_as_string()
    words = "store %s: another process is writing; waiting for up to %d s"
    notice = threading.Timer(NOTICE_SECONDS, _log.warning, (words, name, BUSY_SECONDS))
    notice.daemon = True
    notice.start()
    try:
        yield
    finally:
        notice.cancel()


def _begin_sqlite(connection: Connection) -> None:
    run = connection.exec_driver_sql
    if not connection.get_execution_options().get("meta_nni_write"):
        run("BEGIN")
        return
    run("PRAGMA busy_timeout = 0")
    try:
        run("BEGIN IMMEDIATE")
        return
    except OperationalError as error:
        if "locked" not in str(error):
            raise
    finally:
        run(f"PRAGMA busy_timeout = {round(1000 * BUSY_SECONDS)}")
    with _noticed(connection):
        run("BEGIN IMMEDIATE")


def _begin_postgresql(connection: Connection) -> None:
    run = connection.exec_driver_sql
    if not connection.get_execution_options().get("meta_nni_write"):
        return
    if run(f"SELECT pg_try_advisory_xact_lock({_LOCK_KEY})").scalar():
        return
    with _noticed(connection):
        run(f"SET LOCAL lock_timeout = '{BUSY_SECONDS}s'")
        run(f"SELECT pg_advisory_xact_lock({_LOCK_KEY})")

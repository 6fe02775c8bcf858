"""Stores of every kind for the tests in this folder."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from postgresql_server import binaries, running_server

from meta_nni.store import ExperienceStore

KINDS = ["sqlite", pytest.param("postgresql", marks=pytest.mark.host)]


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    folder = binaries()
    if folder is None:
        pytest.skip("PostgreSQL is not installed")
    with running_server(folder) as address:
        yield address


@pytest.fixture(params=KINDS)
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """Returns the address of another empty store at each call."""
    if request.param == "sqlite":
        return lambda: f"sqlite:///{tmp_path}/{next(_numbers)}.db"
    server = request.getfixturevalue("server")
    return lambda: _new_database(server)


_numbers = itertools.count()


def _new_database(server: str) -> str:
    import psycopg

    name = f"store_{next(_numbers)}"
    with psycopg.connect(f"postgresql://{server}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"postgresql://{server}/{name}"


@pytest.fixture
def new_store(new_url: Callable[[], str]) -> Iterator[Callable[[], ExperienceStore]]:
    stores: list[ExperienceStore] = []

    def open_another() -> ExperienceStore:
        stores.append(ExperienceStore.open(new_url()))
        return stores[-1]

    yield open_another
    for opened in stores:
        opened.close()


@pytest.fixture
def store(new_store: Callable[[], ExperienceStore]) -> ExperienceStore:
    return new_store()

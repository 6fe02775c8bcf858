"""Stores of every kind for the tests in this folder."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from postgresql_server import new_database

from meta_nni.store import ExperienceStore

KINDS = ["sqlite", pytest.param("postgresql", marks=pytest.mark.host)]


@pytest.fixture(params=KINDS)
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """Returns the address of another empty store at each call."""
    if request.param == "sqlite":
        return lambda: f"sqlite:///{tmp_path}/{next(_numbers)}.db"
    server = request.getfixturevalue("server")
    return lambda: new_database(server)


_numbers = itertools.count()


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

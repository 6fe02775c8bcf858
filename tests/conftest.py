from collections.abc import Iterator

import numpy as np
import pytest
from postgresql_server import binaries, running_server

from meta_nni.store import ExperienceStore


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def store(tmp_path):
    opened = ExperienceStore.open(tmp_path / "store.db")
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The address of a PostgreSQL server, for new databases."""
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    folder = binaries()
    if folder is None:
        pytest.skip("PostgreSQL is not installed")
    with running_server(folder) as address:
        yield address

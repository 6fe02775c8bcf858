import numpy as np
import pytest

from meta_nni.store import ExperienceStore


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def store(tmp_path):
    opened = ExperienceStore.open(tmp_path / "store.db")
    yield opened
    opened.close()

"""A few kills of each kind; experiments/kills does fifty."""

import numpy as np
import pytest

from experiments.kills.run import damage
from experiments.kills.sessions import KINDS

pytestmark = pytest.mark.host


@pytest.mark.parametrize(
    ("kind", "kills"),
    [
        pytest.param("tuner", 1, marks=pytest.mark.slow),
        pytest.param("manager", 2, marks=pytest.mark.slow),
        pytest.param("trial", 3, marks=pytest.mark.slow),
        ("writers", 3),
    ],
)
def test_nothing_is_lost(tmp_path, kind, kills):
    records = KINDS[kind](tmp_path, np.random.default_rng(0), kills)
    assert len(records) == kills
    assert sum(record["finished"] for record in records) > 0
    assert [damage(record) for record in records] == kills * [0], records

import numpy as np
import pytest
from stripes import make_stripes


@pytest.fixture
def stripes(tmp_path):
    x, y = make_stripes(192, np.random.default_rng(0))
    np.savez(tmp_path / "stripes.npz", x_train=x, y_train=y)
    return {"npz": tmp_path / "stripes.npz"}

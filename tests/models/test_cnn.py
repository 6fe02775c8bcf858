"""The small network on images of several sizes, trained for an epoch."""

import json
from pathlib import Path

import numpy as np
import pytest

from meta_nni.metrics import METRICS
from meta_nni.models import KerasEvaluator
from meta_nni.space import SearchSpace

pytestmark = pytest.mark.host

SPACE = SearchSpace.from_nni(
    json.loads((Path(__file__).parents[2] / "search_spaces/cnn_small.json").read_text())
)
LEARNS = {
    "block": {"_name": "plain"},
    "head": {"_name": "global_average"},
    "stages": 1,
    "optimizer": "adam",
    "learning_rate": 0.03,
    "batch_norm": True,
    "batch_size": 16,
    "dropout": 0.0,
}


def save(path, shape, regression=False):
    rng = np.random.default_rng(0)
    y = np.arange(60) % 3
    x = rng.integers(0, 100, (60, *shape)) + 60 * y.reshape(60, *[1] * len(shape))
    y = y.astype(np.float32) if regression else y
    parts = {"x_train": x.astype(np.uint8), "y_train": y, "x_test": x.astype(np.uint8), "y_test": y}
    np.savez(path, **parts)
    return {"npz": path}


@pytest.mark.parametrize("shape", [(8, 8), (28, 28), (32, 32, 3)])
@pytest.mark.parametrize("block", ["plain", "separable", "residual"])
def test_every_block_trains_on_every_size(tmp_path, shape, block, rng):
    config = next(c for c in iter(lambda: SPACE.sample(rng), None) if c["block"]["_name"] == block)
    result = KerasEvaluator("cnn_small", save(tmp_path / "x.npz", shape), epochs=1)(config)
    assert result.reason is None
    assert 0 <= result.value <= 1
    assert result.metrics["accuracy"] == result.value
    assert result.metrics["parameters"] > 0
    assert result.budget == {"epochs": 1, "samples": 60}


def test_it_learns_and_tests_on_rows_that_no_trial_saw(tmp_path, rng):
    config = SPACE.sample(rng) | LEARNS
    evaluator = KerasEvaluator(
        "cnn_small", save(tmp_path / "x.npz", (8, 8)), epochs=20, patience=20
    )
    result = evaluator(config)
    assert result.value > 0.7
    assert result.value == max(result.curve)
    assert evaluator.test(config)["accuracy"] > 0.7


def test_regression_gives_r2(tmp_path, rng):
    data = save(tmp_path / "x.npz", (8, 8), regression=True)
    result = KerasEvaluator("cnn_small", data, epochs=1)(SPACE.sample(rng))
    named = {name for name, metric in METRICS.items() if metric.target == "regression"}
    assert set(result.metrics) == named | {"parameters", "model_mb", "best_epoch"}
    assert result.value == pytest.approx(result.metrics["r2"])


def test_classes_can_weigh_alike(tmp_path, rng):
    y = (np.arange(200) % 10 == 0).astype(np.int64)
    x = np.ones((200, 4, 4), np.float32)  # tell nothing: what is learnt is how often a class is
    np.savez(tmp_path / "x.npz", x_train=x, y_train=y)
    config = SPACE.sample(rng) | LEARNS | {"batch_norm": False, "learning_rate": 0.01}
    found = {}
    for balanced in (False, True):
        evaluator = KerasEvaluator(
            "cnn_small", {"npz": tmp_path / "x.npz"}, "log_loss", epochs=5, balanced=balanced
        )
        found[balanced] = evaluator(config)
    assert found[False].value < 0.4 < 0.55 < found[True].value  # entropies: 0.33 and 0.69
    assert found[True].budget == found[False].budget | {"balanced": 1.0}
    numbers = save(tmp_path / "y.npz", (8, 8), regression=True)
    with pytest.raises(ValueError, match="balanced=True weighs classes"):
        KerasEvaluator("cnn_small", numbers, epochs=1, balanced=True)(SPACE.sample(rng))

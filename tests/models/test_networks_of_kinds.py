"""Networks of texts, tables and sequences: every branch, both targets."""

import keras
import numpy as np
import pytest

from meta_nni.cli.spaces import shipped_spaces
from meta_nni.models import KerasEvaluator
from meta_nni.models.encoders import encode, pool

pytestmark = pytest.mark.host

QUICK = {"optimizer": "adam", "schedule": "constant", "learning_rate": 0.02, "batch_size": 16}
QUICK |= {"dropout": 0.0}
BRANCHES = {
    "text": ("encoder", ["bag", "convolution", "recurrent", "transformer"]),
    "mlp": ("block", ["plain", "residual", "gated", "gated_residual"]),
    "sequence": ("encoder", ["convolution", "recurrent", "convolution_recurrent"]),
}
CASES = [
    pytest.param(space, branch, marks=[] if branch == branches[-1] else [pytest.mark.slow])
    for space, (_, branches) in BRANCHES.items()
    for branch in branches
]


def save(path, space, regression=False):
    """Rows whose target a simple rule tells: a word, a category, the mean of the first steps."""
    rng = np.random.default_rng(0)
    y = np.arange(120) % 2
    kind = {}
    if space == "text":
        words = np.array([["calm", "warm"], ["wild", "cold"]])
        fill = np.array(["a", "the", "of", "and"])
        x = np.array([" ".join([*rng.choice(fill, 4), rng.choice(words[i])]) for i in y])
    elif space == "mlp":
        x = np.stack([3.0 * y + rng.normal(size=120), rng.normal(size=120)], axis=1)
        x[::9, 1] = np.nan
    else:
        x = (2.0 * y[:, None, None] + rng.normal(size=(120, 6, 2))).astype(np.float32)
        kind = {"kind": np.str_("sequence")}
    targets = 1000.0 + 50.0 * y if regression else y
    np.savez(path, x_train=x, y_train=targets, **kind)
    return {"npz": str(path)}


def config_of(space, branch, rng):
    name, _ = BRANCHES[space]
    while True:
        config = shipped_spaces()[space].sample(rng)
        if config[name]["_name"] == branch:
            return config | QUICK


@pytest.mark.parametrize(("space", "branch"), CASES)
def test_every_branch_trains(tmp_path, space, branch, rng):
    config = config_of(space, branch, rng)
    result = KerasEvaluator(space, save(tmp_path / "x.npz", space), epochs=1)(config)
    assert result.reason is None
    assert 0 <= result.value <= 1
    assert result.metrics["parameters"] > 0


@pytest.mark.parametrize("space", BRANCHES)
def test_it_learns_classes_and_numbers_far_from_0(tmp_path, space, rng):
    config = config_of(space, BRANCHES[space][1][0], rng)
    config |= {"length": 16} if space == "text" else {"width": 32} if space == "mlp" else {}
    for regression, least in ((False, 0.8), (True, 0.4)):
        data = save(tmp_path / f"{regression}.npz", space, regression)
        result = KerasEvaluator(space, data, epochs=15, patience=15)(config)
        assert result.value > least, (regression, result)


def test_categories_are_embedded_and_unknown_ones_are_taken(tmp_path, rng):
    x = np.stack([np.arange(120) % 3, rng.normal(size=120)], axis=1)
    parts = {"x_train": x, "y_train": np.arange(120) % 3, "is_categorical": np.array([True, False])}
    np.savez(tmp_path / "c.npz", **parts)
    evaluator = KerasEvaluator("mlp", {"npz": str(tmp_path / "c.npz")}, epochs=10, patience=10)
    config = config_of("mlp", "plain", rng) | {"width": 32, "depth": 1}
    result, candidate = evaluator._evaluate(config, lambda epoch, value: None)
    assert result.value > 0.9
    new = np.array([[7.0, 0.0], [np.nan, 0.0]])
    assert np.isfinite(candidate.predict(candidate.transform(new))).all()


@pytest.mark.parametrize("both_ways", [False, True])
def test_the_last_step_of_each_direction_has_seen_all_steps(both_ways, rng):
    encoder = {"_name": "recurrent", "cell": "gru", "units": 4, "bidirectional": both_ways}
    inputs = keras.Input((6, 3))
    model = keras.Model(inputs, pool("last", encode(encoder, inputs), both_ways=both_ways))
    x = rng.normal(size=(1, 6, 3)).astype(np.float32)
    changed = np.repeat(x, 6, axis=0)
    changed[np.arange(6), np.arange(6)] += 1.0  # another step in each row
    differs = np.abs(model.predict(changed, verbose=0) - model.predict(x, verbose=0)) > 1e-6
    assert differs.shape == (6, 8 if both_ways else 4)
    assert differs.any(axis=0).all()
    assert differs[:, :4].any(axis=1).all()
    assert differs[:, -4:].any(axis=1).all()

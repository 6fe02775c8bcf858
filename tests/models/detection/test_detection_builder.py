"""Detectors of the search space: every config builds, and a small one learns."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest

from meta_nni.models.detection.builder import build, input_size, make_network, make_priors
from meta_nni.models.detection.metrics import average_precision
from meta_nni.models.problem import Problem
from meta_nni.models.standalone import standalone
from meta_nni.space import SearchSpace, SpaceError

SPACE = SearchSpace.from_nni(
    json.loads((Path(__file__).parents[3] / "search_spaces/detection.json").read_text())
)
SMALL = {
    "input_size": 96,
    "block": {"_name": "plain"},
    "width": 8,
    "growth": 1.4,
    "depth": 1,
    "neck": {"_name": "none", "stride": 8},
    "head_depth": 0,
    "boxes": {"_name": "centre", "radius": 1.5},
    "box_loss": "giou",
    "box_weight": 1.0,
    "alpha": 0.5,
    "gamma": 2.0,
    "flip": "any",
    "scale": 0.25,
    "brightness": 0.0,
    "optimizer": {"_name": "adamw", "learning_rate": 0.02},
    "weight_decay": 0.001,
    "batch_size": 8,
}


def squares(count, rng, size=48):
    """Bright squares on black, one or two of an image; two classes by their size."""
    x = np.zeros((count, size, size, 3), np.uint8)
    y = np.full((count, 3, 5), -1, np.float32)
    for row in range(count):
        for k in range(rng.integers(1, 3)):
            label = int(rng.integers(2))
            side = (9, 18)[label]
            left, top = rng.integers(k * 24, k * 24 + 24 - side + 1), rng.integers(0, size - side)
            x[row, top : top + side, left : left + side] = 200
            y[row, k] = [label, *np.array([left, top, left + side, top + side]) / size]
    return x, y


def problem_of(count, num_val, seed=0):
    x, y = squares(count + num_val, np.random.default_rng(seed))
    classes = np.array(["small", "large"])
    fit, val = slice(0, count), slice(count, None)
    return Problem("detection", "detection", x[fit], y[fit], x[val], y[val], classes)


def test_the_small_config_is_one_of_the_space():
    SPACE.validate(SMALL)
    with pytest.raises(SpaceError, match="input_size"):
        SPACE.validate({**SMALL, "input_size": 7})


@pytest.mark.host
@pytest.mark.parametrize(
    ("boxes", "neck", "block", "shape"),
    [
        ("centre", "fpn", "plain", (96, 128)),
        ("gaussian", "none", "residual", (60, 47)),
        ("anchors", "fpn", "separable", (60, 47)),
        ("anchors", "none", "plain", (96, 128)),
    ],
)
def test_every_kind_of_config_builds_a_prediction_per_prior(boxes, neck, block, shape, rng):
    wanted = {"boxes": boxes, "neck": neck, "block": block}
    config = SPACE.sample(rng)
    while {name: config[name]["_name"] for name in wanted} != wanted:
        config = SPACE.sample(rng)
    size = input_size(config, shape)
    priors, _ = make_priors(config, size)
    keras.backend.clear_session()
    network = make_network(config, size, 3, priors.per_cell)
    assert network.output.shape == (None, len(priors), 7)


def test_input_sizes_are_multiples_of_the_coarsest_stride():
    pyramid = {"_name": "fpn", "stride": 8, "levels": 3, "channels": 32, "shared_head": True}
    assert input_size(SMALL, (96, 128, 3)) == (72, 96)
    assert input_size(SMALL | {"neck": pyramid}, (96, 128, 3)) == (64, 96)
    assert input_size(SMALL, (500, 20, 3)) == (96, 8)


def test_before_training_no_class_is_likely():
    priors, _ = make_priors(SMALL, (96, 96))
    network = make_network(SMALL, (96, 96), 3, priors.per_cell)
    raw = network.predict(np.random.default_rng(0).random((2, 96, 96, 3)), verbose=0)
    scores = 1 / (1 + np.exp(-raw[..., :3]))
    assert 0.001 < scores.min() < scores.max() < 0.1


def test_a_shared_head_has_fewer_weights():
    def count(shared):
        neck = {"_name": "fpn", "stride": 8, "levels": 3, "channels": 32, "shared_head": shared}
        return make_network(SMALL | {"neck": neck, "head_depth": 1}, (96, 96), 3, 1).count_params()

    assert count(True) < count(False)


@pytest.mark.host
def test_a_small_detector_learns_squares_and_its_export_finds_the_same(tmp_path):
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    problem = problem_of(64, 24)
    candidate = build(SMALL, problem, epochs=15, batch_size=32)
    assert candidate.x is problem.x  # no copies that training does not read
    untrained = average_precision(problem.y_val, candidate.predict(candidate.x_val))
    candidate.model.fit(candidate.batches, epochs=15, verbose=0)
    found = candidate.predict(candidate.x_val)
    assert untrained["map_50"] < 0.1
    assert average_precision(problem.y_val, found)["map_50"] > 0.7
    standalone(candidate, problem).save(tmp_path / "detector.keras")
    loaded = keras.models.load_model(tmp_path / "detector.keras")
    again = loaded.predict(problem.x_val, verbose=0)
    sure = found[..., 1] > 0.1  # where scores are low and close, rounding may swap boxes
    np.testing.assert_allclose(again[sure], found[sure], atol=1e-3)
    assert {type(layer).__module__.split(".")[0] for layer in loaded._flatten_layers()} == {"keras"}

"""Candidates of AutoKeras: real builds, and trainings of an epoch."""

import json
from pathlib import Path

import numpy as np
import pytest

from meta_nni.metrics import METRICS
from meta_nni.models import KerasEvaluator, to_hyperparameters
from meta_nni.models.problem import load_problem
from meta_nni.space import SearchSpace

pytestmark = pytest.mark.host

FOLDER = Path(__file__).parents[2] / "search_spaces"
KINDS = ("image", "text", "tabular")
LEFT_OUT = ("/pretrained", "/imagenet_size", "/zoom_factor")
HEAVY = ("resnet", "xception", "efficient")


def load_space(name):
    return SearchSpace.from_nni(json.loads((FOLDER / f"{name}.json").read_text()))


def name_of(kind, regression):
    return f"autokeras_{kind}" + ("_regression" if regression else "")


def save(path, kind, regression=False):
    rng = np.random.default_rng(0)
    y = np.arange(60) % 3
    if kind == "image":
        x = rng.integers(0, 255, (60, 8, 8)).astype(np.uint8)
    elif kind == "text":
        words = np.array(["red", "green", "blue", "big", "small"])
        x = np.array([" ".join([words[i], *rng.choice(words, 4)]) for i in y])
    else:
        x = np.stack([y + rng.normal(size=60), rng.normal(size=60)], axis=1).astype(np.float32)
    y = 100.0 * y if regression else y
    np.savez(path, x_train=x, y_train=y, x_test=x, y_test=y)
    return {"npz": path}


def small(space, rng):
    """Draws a config with few filters and units."""
    while True:
        config = space.sample(rng)
        values = to_hyperparameters(config)
        sizes = [v for k, v in values.items() if "filters" in k or "units" in k or "_dim" in k]
        if values.get("image_block_1/block_type") not in HEAVY and max(sizes) <= 64:
            return config


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("regression", [False, True])
def test_names_and_choices_are_those_of_autokeras(tmp_path, kind, regression, rng):
    import keras_tuner

    from meta_nni.models import autokeras

    problem = load_problem(save(tmp_path / "x.npz", kind, regression))
    space = load_space(name_of(kind, regression))
    choices = {}
    for parameter in space.parameters:
        choices[parameter.path[-1]] = parameter.args
    for _ in range(4):
        values = to_hyperparameters(small(space, rng))
        hyperparameters = keras_tuner.HyperParameters()
        hyperparameters.values = dict(values)
        graph = autokeras._make_graph(problem)
        pipeline = autokeras._preprocess(graph, problem)
        x, y = pipeline.transform((problem.x, problem.y))
        graph.set_io_shapes((np.array(x.shape), np.array(y.shape)))
        graph.set_fit_args(0, epochs=1)
        graph.build(hyperparameters)
        for known in hyperparameters.space:
            if known.name.endswith(LEFT_OUT):
                continue
            assert known.name in values
            options = known.values if hasattr(known, "values") else [True, False]
            if known.name.endswith(("/num_blocks", "/num_layers")):
                options = [str(option) for option in options]
            elif known.name.endswith("/augment"):
                options = ["true", "false"]
            assert sorted(choices[known.name], key=str) == sorted(options, key=str)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("regression", [False, True])
def test_each_kind_trains(tmp_path, kind, regression, rng):
    name = name_of(kind, regression)
    evaluator = KerasEvaluator(name, save(tmp_path / "x.npz", kind, regression), epochs=2)
    config = small(load_space(name), rng)
    curve = []
    result = evaluator(config, lambda epoch, value: curve.append(value))
    assert result.reason is None
    assert list(result.curve) == curve
    assert result.value == max(curve)
    assert result.metrics["r2" if regression else "accuracy"] == pytest.approx(result.value)
    assert evaluator(config).curve == result.curve


def test_weight_decay_learns(tmp_path):
    """AutoKeras takes the number of rows for the batch size; the rate would fall to nothing."""
    data = save(tmp_path / "x.npz", "tabular")
    block = "structured_data_block_1/dense_block_1"
    config = {f"{block}/units_0": 64, "optimizer": "adam_weight_decay", "learning_rate": 0.01}
    result = KerasEvaluator("autokeras_tabular", data, epochs=12, patience=12, batch_size=4)(config)
    assert result.value > 0.5


def test_two_classes_have_one_output(tmp_path, rng):
    x = rng.normal(size=(60, 2)).astype(np.float32)
    np.savez(tmp_path / "x.npz", x_train=x, y_train=np.where(x[:, 0] > 0, "yes", "no"))
    config = {"optimizer": "adam", "learning_rate": 0.01}
    evaluator = KerasEvaluator(
        "autokeras_tabular", {"npz": tmp_path / "x.npz"}, epochs=20, patience=20, batch_size=4
    )
    result = evaluator(config)
    assert result.value > 0.8
    assert result.metrics["log_loss"] < 0.6


@pytest.mark.parametrize(
    "config",
    [
        {"structured_data_block_1/dense_block_1/unit_0": 16},
        {"structured_data_block_1/dense_block_2/units_0": 16},
        {
            "structured_data_block_1/dense_block_1/num_layers": {
                "_name": "1",
                "structured_data_block_1/dense_block_1/units_1": 16,
            }
        },
    ],
)
def test_a_value_that_autokeras_would_drop_is_an_error(tmp_path, config):
    evaluator = KerasEvaluator("autokeras_tabular", save(tmp_path / "x.npz", "tabular"))
    with pytest.raises(ValueError, match=r"AutoKeras did not use the values \['structured"):
        evaluator(config)


def test_large_models_fail_with_the_reason(tmp_path):
    config = {"structured_data_block_1/dense_block_1/units_0": 1024}
    evaluator = KerasEvaluator(
        "autokeras_tabular", save(tmp_path / "x.npz", "tabular"), max_parameters=1000
    )
    result = evaluator(config)
    assert result.value is None
    assert "parameters, the limit is 1000" in result.reason
    assert result.budget["parameters"] == 1000


def test_the_test_split_is_read_on_request_only(tmp_path):
    data = save(tmp_path / "x.npz", "text")
    config = {"optimizer": "adam", "learning_rate": 0.01}
    evaluator = KerasEvaluator("autokeras_text", data, epochs=2, batch_size=8)
    named = {name for name, metric in METRICS.items() if metric.target == "classification"}
    assert set(evaluator.test(config)) == named
    with np.load(data["npz"]) as file:
        np.savez(data["npz"], x_train=file["x_train"], y_train=file["y_train"])
    assert evaluator(config).value is not None
    with pytest.raises(ValueError, match="x_test"):
        evaluator.test(config)

"""The search space of an AutoKeras graph, before any trial."""

import json
from pathlib import Path

import autokeras as ak
import keras
import keras_tuner
import numpy as np
import pytest
from autokeras_projects import MODELS, NoTuner, prepared, rows, targets

from meta_nni.adapters.autokeras_explore import explore, num_parameters
from meta_nni.adapters.autokeras_mend import complete
from meta_nni.adapters.autokeras_space import AutoKerasSpace, to_nni
from meta_nni.space import SearchSpace

pytestmark = pytest.mark.host

FOLDER = Path(__file__).parents[2] / "search_spaces"


def explored(graph):
    known = explore(graph, keras_tuner.HyperParameters())
    return known, AutoKerasSpace.of(known, graph.blocks)


@pytest.mark.parametrize(("kind", "target"), MODELS)
def test_a_task_has_the_space_that_ships(kind, target, rng):
    graph = prepared(MODELS[kind, target](tuner=NoTuner), rows(kind), targets(target))
    known, space = explored(graph)
    name = f"autokeras_{kind}" + ("_regression" if target == "regression" else "")
    shipped = SearchSpace.from_nni(json.loads((FOLDER / f"{name}.json").read_text()))
    assert space.space.fingerprint == shipped.fingerprint
    for _ in range(20):
        config = shipped.sample(rng)
        values = space.to_values(config)
        assert space.to_config(values) == config
        filled = complete(values, known)
        assert values.items() <= filled.items()
        hyperparameters = known.copy()
        hyperparameters.values = dict(filled)
        hyperparameters.ensure_active_values()  # KerasTuner finds no gap and nothing inactive
        assert hyperparameters.values.keys() - values.keys() == filled.keys() - values.keys()
        assert space.to_config(hyperparameters.values) == config


def test_what_is_not_searched_is_of_no_config(rng):
    """A project that AutoKeras's tuner began has weights from ImageNet among its trials."""
    graph = prepared(ak.ImageClassifier(tuner=NoTuner), rows("image"), targets("classification"))
    known, space = explored(graph)
    values = complete(space.to_values(space.space.sample(rng)), known)
    (name, *_) = (name for name in space.left_out if name.endswith("imagenet_size"))
    assert space.to_config({**values, name: space.left_out[name]})
    with pytest.raises(ValueError, match=r'imagenet_size" is True, which is not searched'):
        space.to_config({**values, name: True})


def test_sizes_are_those_of_the_models(rng):
    graph = prepared(
        ak.StructuredDataClassifier(tuner=NoTuner), rows("tabular"), targets("classification")
    )
    known, space = explored(graph)
    values = space.to_values(space.space.sample(rng))
    keras.backend.clear_session()
    hyperparameters = known.copy()
    hyperparameters.values = complete(values, known)
    model = graph.build(hyperparameters)
    built = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    assert num_parameters(graph, values) == built


def test_the_size_of_a_large_network_is_known_without_its_weights():
    graph = prepared(ak.ImageClassifier(tuner=NoTuner), rows("image"), targets("classification"))
    values = {
        "image_block_1/block_type": "resnet",
        "classification_head_1/spatial_reduction_1/reduction_type": "flatten",
    }
    # keras.applications.ResNet50 without its top, and 3 classes of 2,048 features.
    assert num_parameters(graph, values) == 23_534_592 + 3 * 2049


def functional():
    """Two inputs and two heads, made after other models so that names have drifted."""
    ak.ConvBlock(), ak.DenseBlock(), ak.ClassificationHead()
    image, table = ak.ImageInput(), ak.StructuredDataInput()
    merged = ak.Merge()([ak.ConvBlock(num_layers=1)(image), ak.DenseBlock()(table)])
    return ak.AutoModel(
        [image, table],
        [ak.ClassificationHead()(merged), ak.RegressionHead()(merged)],
        tuner=NoTuner,
    )


def test_a_functional_graph_is_explored_and_its_blocks_count_from_one(rng):
    keras.backend.clear_session()
    graph = prepared(
        functional(),
        [rows("image"), rows("tabular")],
        [targets("classification"), targets("regression")],
    )
    known, space = explored(graph)
    names = {parameter.name for parameter in space.space.parameters}
    assert {name.split("/")[0] for name in names} >= {
        "conv_block_1",
        "dense_block_1",
        "classification_head_1",
        "regression_head_1",
    }
    assert not any("_2/" in name for name in names)
    assert space.names["conv_block_2"] == "conv_block_1"
    assert any(name.endswith("filters_2_0") for name in names)
    config = space.space.sample(rng)
    values = space.to_values(config)
    assert "conv_block_2/kernel_size" in values
    assert space.to_config(complete(values, known)) == config


def test_what_a_user_fixed_or_narrowed_stays_so():
    keras.backend.clear_session()
    units = keras_tuner.engine.hyperparameters.Choice("num_units", [8, 24], default=8)
    node = ak.StructuredDataInput()
    head = ak.ClassificationHead(dropout=0.0)(ak.DenseBlock(num_layers=1, num_units=units)(node))
    model = ak.AutoModel(node, head, tuner=NoTuner)
    _, space = explored(prepared(model, rows("tabular"), targets("classification")))
    options = {parameter.name: parameter.args for parameter in space.space.parameters}
    assert options["dense_block_1/units_0"] == (8, 24)
    assert "dense_block_1/num_layers" not in options
    assert "classification_head_1/dropout" not in options


def test_numbers_and_shared_conditions_have_their_place():
    hyperparameters = keras_tuner.HyperParameters()
    hyperparameters.Int("few", 2, 6, step=2)
    hyperparameters.Int("log", 1, 8, step=2, sampling="log")
    hyperparameters.Int("any", 4, 6, sampling="log")
    hyperparameters.Int("many", 1, 1000)
    hyperparameters.Int("logs", 1, 1000, sampling="log")
    hyperparameters.Float("steps", 0.0, 0.5, step=0.25)
    hyperparameters.Float("rate", 0.001, 1.0, sampling="log")
    hyperparameters.Fixed("fixed", 7)
    hyperparameters.Choice("kind", ["a", "b", "c"])
    with hyperparameters.conditional_scope("kind", ["a", "b"]):
        hyperparameters.Boolean("shared")
    spec = to_nni(hyperparameters.space)
    assert spec["few"] == {"_type": "choice", "_value": [2, 4, 6]}
    assert spec["log"] == {"_type": "choice", "_value": [1, 2, 4, 8]}
    assert spec["any"] == {"_type": "choice", "_value": [4, 5, 6]}
    assert spec["many"] == {"_type": "randint", "_value": [1, 1001]}
    assert spec["logs"] == {"_type": "qloguniform", "_value": [1, 1000, 1]}
    assert spec["steps"] == {"_type": "choice", "_value": [0.0, 0.25, 0.5]}
    assert spec["rate"] == {"_type": "loguniform", "_value": [0.001, 1.0]}
    assert spec["fixed"] == {"_type": "choice", "_value": [7]}
    shared = {"shared": {"_type": "choice", "_value": [True, False]}}
    assert spec["kind"]["_value"] == [
        {"_name": "a", **shared},
        {"_name": "b", **shared},
        {"_name": "c"},
    ]
    space = AutoKerasSpace.of(hyperparameters, [])
    config = space.space.sample(np.random.default_rng(0))
    assert isinstance(space.to_values(config)["logs"], int)
    assert space.to_config(space.to_values(config)) == config

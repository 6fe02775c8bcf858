"""The networks of cells: published numbers of weights, shapes, and training."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest

from meta_nni.models import KerasEvaluator
from meta_nni.models.cells import darts, nasbench201
from meta_nni.models.cells.canonical import CANONICAL
from meta_nni.models.cells.topology import (
    DARTS_CELLS,
    DARTS_NODES,
    NASBENCH201_EDGES,
    Edge,
    darts_cells,
    darts_config,
    nasbench201_cell,
)
from meta_nni.space import SearchSpace

pytestmark = pytest.mark.host

FOLDER = Path(__file__).parents[2] / "search_spaces"


def size(model):
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


def nasbench_model(operations, width=16, cells=5, classes=10, shape=(32, 32, 3)):
    edges = [Edge(*ends, name) for ends, name in zip(NASBENCH201_EDGES, operations, strict=True)]
    inputs = keras.Input(shape)
    features = nasbench201.network(
        inputs, width, cells, lambda x, filters: nasbench201.cell(edges, x, filters)
    )
    return keras.Model(inputs, keras.layers.Dense(classes)(features))


def darts_model(config, width, cells, shape=(32, 32, 3)):
    kinds, inputs = darts_cells(config), keras.Input(shape)
    features = darts.network(
        inputs,
        width,
        cells,
        lambda kind, pair, filters: darts.cell(kinds[kind], kind, pair, filters),
    )
    return keras.Model(inputs, keras.layers.Dense(10)(features))


def darts_cell(*pairs):
    return [Edge(source, 2 + i // 2, name) for i, (name, source) in enumerate(pairs)]


DARTS_V2 = darts_config(
    {
        "normal": darts_cell(
            ("sep_conv_3x3", 0), ("sep_conv_3x3", 1), ("sep_conv_3x3", 0), ("sep_conv_3x3", 1),
            ("sep_conv_3x3", 1), ("skip_connect", 0), ("skip_connect", 0), ("dil_conv_3x3", 2),
        ),
        "reduction": darts_cell(
            ("max_pool_3x3", 0), ("max_pool_3x3", 1), ("skip_connect", 2), ("max_pool_3x3", 1),
            ("max_pool_3x3", 0), ("skip_connect", 2), ("skip_connect", 2), ("max_pool_3x3", 1),
        ),
    }
)  # fmt: skip


@pytest.mark.parametrize(
    ("operations", "expected"),
    [  # NAS-Bench-201's own numbers for CIFAR-10
        (["nor_conv_3x3"] * 6, 1_531_546),
        (["skip_connect"] * 6, 73_306),
        # The best cell on CIFAR-10.
        (["nor_conv_3x3"] * 3 + ["skip_connect", "nor_conv_3x3", "nor_conv_1x1"], 1_073_466),
    ],
)
def test_nasbench_networks_have_the_published_size(operations, expected):
    assert size(nasbench_model(operations)) == expected


def test_the_network_of_the_darts_paper_has_the_published_size():
    assert size(darts_model(DARTS_V2, width=36, cells=6)) == 3_349_342  # "3.3 million"


@pytest.mark.parametrize("shape", [(7, 7, 1), (8, 5, 3), (1, 16, 1), (16, 1, 1)])
def test_features_keep_their_number_on_odd_images(shape):
    x = np.ones((2, *shape), "float32")
    assert nasbench_model(["avg_pool_3x3"] * 6, 4, 1, 3, shape)(x).shape == (2, 3)
    model = darts_model(DARTS_V2, 4, 1, shape)
    assert model.layers[-1].input.shape == (None, 4 * 4 * 4)
    assert model(x).shape == (2, 10)


def test_stages_halve_the_image_and_double_the_channels():
    seen = []

    def watched(kind, pair, filters):
        seen.append((kind, pair[0].shape[1], pair[1].shape[1], filters))
        return darts.cell(darts_cells(DARTS_V2)[kind], kind, pair, filters)

    darts.network(keras.Input((16, 16, 1)), 4, 1, watched)
    assert seen == [
        ("normal", 16, 16, 4),
        ("reduction", 16, 16, 8),
        ("normal", 8, 8, 8),
        ("reduction", 8, 8, 16),
        ("normal", 4, 4, 16),
    ]


def test_cells_without_any_path_are_zero():
    x = np.ones((2, 6, 6, 4), "float32")
    none = [Edge(*ends, "none") for ends in NASBENCH201_EDGES]
    assert not np.asarray(nasbench201.cell(none, x, 4)).any()
    nothing = [Edge(source, node, "none") for node in DARTS_NODES for source in (0, 1)]
    for kind in DARTS_CELLS:
        output = np.asarray(darts.cell(nothing, kind, (x, x), 4))
        assert output.shape == ((2, 6, 6, 16) if kind == "normal" else (2, 3, 3, 16))
        assert not output.any()


@pytest.mark.parametrize("name", CANONICAL)
def test_the_canonical_form_has_as_many_weights_in_use(name, rng):
    space = SearchSpace.from_nni(json.loads((FOLDER / f"{name}.json").read_text()))
    config = space.sample(rng)
    form = CANONICAL[name](config)
    assert form != config
    if name == "nasbench201":
        cells = [[edge.operation for edge in nasbench201_cell(c)] for c in (config, form)]
        sizes = [size(nasbench_model(cell, 4, 1)) for cell in cells]
    else:
        sizes = [size(darts_model(c, 4, 1)) for c in (config, form)]
    assert sizes[0] == sizes[1]


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(0)
    y = np.arange(120) % 3
    x = rng.integers(0, 100, (120, 8, 8)) + 60 * y[:, None, None]
    parts = {"x_train": x.astype(np.uint8), "y_train": y, "x_test": x.astype(np.uint8), "y_test": y}
    np.savez(tmp_path / "x.npz", **parts)
    return {"npz": tmp_path / "x.npz"}


def test_a_nasbench_candidate_learns(data):
    config = dict.fromkeys((f"edge_{s}_{t}" for s, t in NASBENCH201_EDGES), "skip_connect")
    config["edge_0_3"] = "nor_conv_3x3"
    evaluator = KerasEvaluator("nasbench201", data, epochs=12, patience=12, batch_size=16)
    result = evaluator(config)
    assert result.reason is None
    assert result.value > 0.8
    assert result.budget == {"epochs": 12, "samples": 120, "width": 8, "cells": 1}
    wider = KerasEvaluator("nasbench201", data, epochs=1, model={"width": 10})
    assert wider.test(config)["accuracy"] >= 0


def test_a_darts_candidate_trains(data):
    config = {name: "skip_connect" if "_op_" in name else value for name, value in DARTS_V2.items()}
    config |= {"normal_node_3_op_1": "sep_conv_5x5", "reduction_node_5_op_2": "dil_conv_3x3"}
    result = KerasEvaluator("darts_cell", data, epochs=1, model={"width": 4})(config)
    assert result.reason is None
    assert 0 <= result.value <= 1
    assert result.budget == {"epochs": 1, "samples": 120, "width": 4, "cells": 1}


def test_settings_that_do_not_fit_are_refused(data):
    with pytest.raises(ValueError, match=r"settings \['depth'\], expected some of \['cells', 'w"):
        KerasEvaluator("darts_cell", data, model={"depth": 3})(DARTS_V2)
    with pytest.raises(ValueError, match="cells is 0, expected 1 or more per stage"):
        KerasEvaluator("darts_cell", data, model={"cells": 0})(DARTS_V2)
    with pytest.raises(ValueError, match="width is 1, expected 2 or more"):
        KerasEvaluator("darts_cell", data, model={"width": 1})(DARTS_V2)

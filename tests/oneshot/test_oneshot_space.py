"""Configs, gates, architecture weights and starts of the cell spaces."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meta_nni.oneshot import CellSpace, start_of
from meta_nni.oneshot.space import SPACES, softmax
from meta_nni.space import SearchSpace, SpaceError

NB201, DARTS = (CellSpace.named(name) for name in ("nasbench201", "darts_cell"))


def sampled(cells, seed):
    return cells.space.sample(np.random.default_rng(seed))


def test_an_unknown_space_is_named():
    with pytest.raises(ValueError, match=r"space is 'cnn_small', expected a cell space"):
        CellSpace.named("cnn_small")


@pytest.mark.parametrize(("cells", "edges"), [(NB201, 6), (DARTS, 28)])
def test_shapes(cells, edges):
    assert len(cells.places) == len(set(cells.places)) == edges
    assert cells.gates(sampled(cells, 0)).shape == (edges, len(cells.operations))


@given(st.integers(0, 2**20), st.sampled_from(SPACES))
def test_a_config_without_none_is_derived_from_its_own_gates(seed, name):
    cells = CellSpace.named(name)
    config = sampled(cells, seed)
    config = {k: "skip_connect" if v == "none" else v for k, v in config.items()}
    assert cells.derive(cells.gates(config)) == config


@given(st.integers(0, 2**20), st.sampled_from(SPACES))
def test_whatever_is_derived_belongs_to_the_space_and_has_no_none(seed, name):
    cells = CellSpace.named(name)
    shape = len(cells.places), len(cells.operations)
    config = cells.derive(softmax(np.random.default_rng(seed).normal(0, 3, shape)))
    cells.space.validate(config)
    assert "none" not in config.values()


def test_a_node_of_darts_keeps_its_two_strongest_edges():
    alphas = np.zeros((28, 8))
    for place, operation in [(("normal", 1, 5), 4), (("normal", 3, 5), 6), (("normal", 0, 5), 0)]:
        alphas[DARTS.places.index(place), operation] = 3.0
    config = DARTS.derive(softmax(alphas))
    assert config["normal_node_5_inputs"] == "1,3"
    assert config["normal_node_5_op_1"] == "sep_conv_3x3"
    assert config["normal_node_5_op_2"] == "dil_conv_3x3"


def test_options_become_the_config_that_has_them():
    codes = np.array([0, 1, 2, 3, 4, 0])
    config = NB201.config(codes)
    assert config == {
        "edge_0_1": "none",
        "edge_0_2": "skip_connect",
        "edge_1_2": "nor_conv_1x1",
        "edge_0_3": "nor_conv_3x3",
        "edge_1_3": "avg_pool_3x3",
        "edge_2_3": "none",
    }
    assert NB201.num_skips(config) == 1


def test_skips_are_counted_in_the_normal_cell():
    config = {k: "skip_connect" if "op" in k else v for k, v in sampled(DARTS, 0).items()}
    assert DARTS.num_skips(config) == 8


def test_without_a_start_the_architecture_weights_are_zero():
    assert not DARTS.alphas(None).any()
    assert np.allclose(NB201.probabilities(None), 0.2)


def test_the_mixture_of_a_start_is_the_start():
    shares = [0.1, 0.1, 0.1, 0.6, 0.1]  # in the order of the space's options
    mixture = softmax(NB201.alphas({"edge_0_3": shares}))
    assert np.allclose(mixture[3], shares, atol=1e-6)
    assert np.allclose(mixture[:3], 0.2)


def test_a_start_of_darts_is_the_expected_share_of_each_operation():
    conv = np.eye(8)[4] * 0.9 + 0.1 / 8
    start = {"normal_node_4_inputs": [0, 0, 0, 0, 0, 1], "normal_node_4_op_1": conv}
    mixture = softmax(DARTS.alphas(start))
    read = mixture[DARTS.places.index(("normal", 2, 4))]  # "2,3" is read, op_1 on node 2
    unread = mixture[DARTS.places.index(("normal", 0, 4))]
    assert np.allclose(read, conv, atol=5e-3)
    assert unread[0] > 0.97  # "none"
    assert DARTS.derive(mixture)["normal_node_4_inputs"] == "2,3"


@pytest.mark.parametrize(("temperature", "best"), [(0.5, 0.9), (1.0, 0.6), (4.0, 0.3)])
def test_temperature_sharpens_and_flattens(temperature, best):
    start = {"edge_0_1": [0.1, 0.1, 0.1, 0.6, 0.1]}
    assert NB201.probabilities(start, temperature)[0][3] == pytest.approx(best, abs=0.03)


def test_no_option_starts_impossible():
    start = {"edge_0_1": [0, 0, 0, 1, 0]}
    assert NB201.probabilities(start)[0].min() > 9e-4
    assert np.isfinite(NB201.alphas(start)).all()


@pytest.mark.parametrize(
    ("start", "temperature", "message"),
    [
        ({"edge_9_9": [1.0]}, 1.0, r"the start has \['edge_9_9'\], expected names among"),
        ({"edge_0_1": [0.5, 0.5]}, 1.0, r'"edge_0_1" is \[0.5, 0.5\], expected 5 probabilities'),
        ({"edge_0_1": [-1, 1, 1, 1, 1]}, 1.0, "expected 5 probabilities"),
        ({"edge_0_1": [float("nan")] * 5}, 1.0, "expected 5 probabilities"),
        ({"edge_0_1": [[1], 2]}, 1.0, r'"edge_0_1" is \[\[1\], 2\], expected 5 probabilities'),
        ([0.2], 1.0, r"the start is \[0.2\], expected probabilities by parameter"),
        ({}, 0.0, "temperature is 0.0, expected a number above 0; 1 leaves the start"),
    ],
)
def test_a_start_that_does_not_fit_is_refused(start, temperature, message):
    with pytest.raises(ValueError, match=message):
        NB201.probabilities(start, temperature)


def test_a_start_counts_what_configs_have():
    config = NB201.config(np.array([3, 3, 3, 1, 3, 2]))
    start = start_of(NB201.space, [config] * 9)
    assert start["edge_0_1"] == pytest.approx([0.02, 0.02, 0.02, 0.92, 0.02])
    assert NB201.derive(softmax(NB201.alphas(start))) == config


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"edge_0_1": "dil_conv_9x9"}, "\"edge_0_1\" is 'dil_conv_9x9', expected choice of"),
        ({}, 'parameter "edge_0_1" is missing'),
    ],
)
def test_a_start_of_configs_of_another_space_is_refused(changed, message):
    config = sampled(NB201, 0)
    del config["edge_0_1"]
    with pytest.raises(SpaceError, match=message):
        start_of(NB201.space, [{**config, **changed}])


def test_a_start_is_of_choices_alone():
    rate = SearchSpace.from_nni({"rate": {"_type": "uniform", "_value": [0, 1]}})
    with pytest.raises(ValueError, match=r"the space has \['rate'\], expected choices without"):
        start_of(rate, [])

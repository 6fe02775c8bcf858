import numpy as np
import pytest
from networks import encoded, make_network
from sample_spaces import ALL_TYPES, DEEP, SHAPES

from meta_nni.policy.decisions import Decisions
from meta_nni.policy.network import NUM_FEATURES, Network, hidden, shapes
from meta_nni.space import SearchSpace
from meta_nni.task import Task

SPACE = SearchSpace.from_nni({**SHAPES, **DEEP, **ALL_TYPES})
RNG = np.random.default_rng(0)
ROWS = encoded(SPACE, [SPACE.sample(RNG) for _ in range(20)])
TASK = Task("t", metafeatures={"n_train": 4000.0, "n_classes": 10.0})
EMBEDDING = TASK.embedding()[None]


def states(network, rows, embedding=EMBEDDING):
    return hidden(np, network.weights, rows.transpose(1, 0, 2), embedding)


def test_a_position_sees_what_comes_before_it_and_nothing_after():
    network = make_network(SPACE)
    changed = ROWS.copy()
    middle = 5
    changed[:, middle:] = ROWS[::-1, middle:]
    before, after = states(network, ROWS)
    before_changed, after_changed = states(network, changed)
    assert np.allclose(before[: middle + 1], before_changed[: middle + 1], atol=1e-5)
    assert not np.allclose(before[middle + 1], before_changed[middle + 1], atol=1e-2)
    assert not np.allclose(after, after_changed, atol=1e-2)


def test_the_first_position_sees_the_task_alone():
    network = make_network(SPACE)
    before, _ = states(network, ROWS)
    assert np.allclose(before[0], before[0, 0])
    unknown, _ = states(network, ROWS, np.zeros_like(EMBEDDING))
    assert np.abs(unknown[0] - before[0]).max() > 0.1


def test_inactive_parameters_are_skipped():
    network = make_network(SPACE)
    before, _ = states(network, ROWS)
    for config, row in enumerate(ROWS):
        for position in np.flatnonzero(row[:-1, 0] == 0):
            assert np.allclose(before[position, config], before[position + 1, config], atol=1e-5)


def test_features_are_the_last_position_in_chunks_too(monkeypatch):
    network = make_network(SPACE)
    features = network.features(ROWS, TASK)
    assert features.dtype == np.float64
    assert features.shape == (20, NUM_FEATURES)
    assert np.allclose(features, states(network, ROWS)[1], atol=1e-6)
    monkeypatch.setattr("meta_nni.policy.network._CHUNK", 7)
    assert np.allclose(network.features(ROWS, TASK), features, atol=1e-6)
    assert network.features(ROWS[:0], TASK).shape == (0, NUM_FEATURES)


def test_features_depend_on_the_task():
    network = Network.initial(Decisions(SPACE), 0)
    other = Task("u", metafeatures={"n_train": 10.0, "n_classes": 2.0})
    here, there = network.features(ROWS, TASK), network.features(ROWS, other)
    assert np.abs(here - there).max() > 0.02
    assert np.array_equal(here, network.features(ROWS, Task("v", metafeatures=TASK.metafeatures)))


def test_an_untrained_network_prefers_nothing_and_its_features_have_unit_length():
    network = Network.initial(Decisions(SPACE), 0)
    before, _ = states(network, ROWS)
    for position, count in enumerate(network.decisions.counts):
        logits = network.logits(before[position], position)
        assert not logits[:, :count].any()
        assert np.isneginf(logits[:, count:]).all()
    lengths = np.linalg.norm(network.features(ROWS, Task("unknown")), axis=1)
    assert 0.5 < lengths.mean() < 1.0


def test_seeds_decide_the_weights():
    one, same, other = (Network.initial(Decisions(SPACE), seed).weights for seed in (1, 1, 2))
    assert all(np.array_equal(one[name], same[name]) for name in one)
    assert not np.array_equal(one["value"], other["value"])
    assert {name: array.shape for name, array in one.items()} == shapes(Decisions(SPACE))
    assert {array.dtype for array in one.values()} == {np.dtype(np.float32)}


@pytest.mark.host
def test_tensorflow_computes_the_same():
    import tensorflow as tf

    network = make_network(SPACE)
    weights = {name: tf.constant(array) for name, array in network.weights.items()}
    tasks = tf.constant(np.repeat(EMBEDDING, len(ROWS), axis=0))
    theirs = hidden(tf, weights, tf.constant(ROWS.transpose(1, 0, 2)), tasks)
    for own, other in zip(states(network, ROWS), theirs, strict=True):
        assert np.allclose(own, other.numpy(), atol=1e-5)

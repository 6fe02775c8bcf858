"""Supernets: gates choose what is computed."""

from dataclasses import replace

import numpy as np
import pytest
from stripes import FEW, make_model

from meta_nni.oneshot import CellSpace
from meta_nni.oneshot.space import softmax

IMAGES = np.random.default_rng(0).normal(size=(6, 8, 8, 1)).astype(np.float32)


def run(model, gates):
    import tensorflow as tf

    return np.asarray(model([tf.constant(IMAGES), tf.constant(gates)], training=True))


def test_leaving_out_what_is_closed_changes_nothing():
    dense, sparse = (make_model((8, 8, 1), sparse=sparse, cells=FEW) for sparse in (False, True))
    sparse.set_weights(dense.get_weights())
    config = FEW.space.sample(np.random.default_rng(1))
    np.testing.assert_allclose(
        run(dense, FEW.gates(config)), run(sparse, FEW.gates(config)), rtol=1e-5
    )


def test_a_mixed_edge_is_the_sum_of_its_operations():
    from meta_nni.oneshot.supernet import MixedOperation

    x = np.repeat(IMAGES, 4, axis=3)
    edge = MixedOperation(FEW.operations, 4)
    mixture = softmax(np.array([[0.3, -0.2, 0.5, 0.1]]))[0]
    expected = sum(weight * edge(x, one) for weight, one in zip(mixture, np.eye(4), strict=True))
    np.testing.assert_allclose(edge(x, mixture), expected, atol=1e-5)
    np.testing.assert_array_equal(edge(x, np.eye(4)[0]), np.zeros_like(x))  # none
    np.testing.assert_array_equal(edge(x, np.eye(4)[1]), x)  # skip_connect


def test_a_reduction_halves_the_image():
    from meta_nni.oneshot.supernet import MixedOperation

    operations = CellSpace.named("darts_cell").operations
    edge = MixedOperation(operations, 4, stride=2, pool_norm=True)
    assert edge(np.repeat(IMAGES, 4, axis=3), np.full(8, 1 / 8)).shape == (6, 4, 4, 4)


@pytest.mark.host
@pytest.mark.parametrize(
    ("name", "operations"),
    [
        ("nasbench201", ("none", "skip_connect", "nor_conv_3x3")),
        ("darts_cell", ("none", "skip_connect", "max_pool_3x3")),
    ],
)
def test_a_whole_supernet_depends_on_every_gate(name, operations):
    import keras
    import tensorflow as tf

    from meta_nni.models.problem import Problem
    from meta_nni.oneshot.supernet import build

    keras.utils.set_random_seed(0)
    y = np.arange(6) % 3
    problem = Problem("image", "classification", IMAGES, y, IMAGES, y, np.arange(3))
    cells = replace(CellSpace.named(name), operations=operations)
    model = build(cells, problem, width=4, depth=1, sparse=False)
    gates = tf.constant(softmax(np.zeros((len(cells.places), 3))))
    with tf.GradientTape() as tape:
        tape.watch(gates)
        predicted = model([tf.constant(IMAGES), gates], training=True)
        value = tf.reduce_mean(predicted[:, 0] ** 2)
    slopes = tape.gradient(value, gates).numpy()
    assert predicted.shape == (6, 3)
    assert (slopes[:, 0] == 0).all()  # none
    assert (slopes[:, 1:] != 0).all()

"""Gradients of architecture weights against direct computations."""

import numpy as np
import pytest

RATE = 0.3


@pytest.fixture
def problem():
    import tensorflow as tf

    rng = np.random.default_rng(0)
    weights = [tf.Variable(rng.normal(size=(3, 4))), tf.Variable(rng.normal(size=4))]
    alphas = tf.Variable(rng.normal(size=3))
    train, valid = (rng.normal(size=(6, 3)) for _ in range(2))

    def loss_at(w, a, x):
        """Not linear in anything, so that no term of the second order vanishes."""
        hidden = tf.tanh((x * tf.nn.softmax(a)) @ w[0])
        return tf.reduce_mean((hidden @ w[1][:, None] - x[:, :1]) ** 2)

    return weights, alphas, train, valid, loss_at


def differences(function, at, step=1e-5):
    """Central differences of a function of a vector."""
    moves = step * np.eye(len(at))
    return np.array([(function(at + m) - function(at - m)) / (2 * step) for m in moves])


def test_first_order_is_the_slope_of_the_validation_loss(problem):
    from meta_nni.oneshot.bilevel import first_order

    weights, alphas, _, valid, loss_at = problem
    found = first_order(lambda x: loss_at(weights, alphas, x), alphas, valid)
    expected = differences(lambda a: loss_at(weights, a, valid), alphas.numpy())
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_second_order_is_the_slope_of_the_loss_after_a_step(problem):
    """Equation 7 of DARTS itself, with the exact product with the Hessian, by nested tapes."""
    import tensorflow as tf

    from meta_nni.oneshot.bilevel import first_order, second_order

    weights, alphas, train, valid, loss_at = problem
    before = [w.numpy() for w in weights]
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            value = loss_at(weights, alphas, train)
        slopes = inner.gradient(value, weights)
        ahead = [w - RATE * slope for w, slope in zip(weights, slopes, strict=True)]
        looked_ahead = loss_at(ahead, alphas, valid)
    expected = outer.gradient(looked_ahead, alphas)

    def loss(x):
        return loss_at(weights, alphas, x)

    found = second_order(loss, weights, alphas, train, valid, RATE)
    np.testing.assert_allclose(found, expected, rtol=1e-3)
    short = first_order(loss, alphas, valid)
    assert np.abs(short - expected).max() > 0.1 * np.abs(expected).max()
    for weight, value in zip(weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)


def test_second_order_with_a_step_of_nothing_is_first_order(problem):
    from meta_nni.oneshot.bilevel import first_order, second_order

    weights, alphas, train, valid, loss_at = problem

    def loss(x):
        return loss_at(weights, alphas, x)

    found = second_order(loss, weights, alphas, train, valid, 0.0)
    np.testing.assert_allclose(found, first_order(loss, alphas, valid), rtol=1e-12)

"""Gradients of architecture weights: the bilevel problem of DARTS, first and second order.

DARTS (Liu, Simonyan, Yang 2019) minimises L_val(w*(a), a) over the architecture weights a,
where w*(a) minimises L_train(w, a). One step of gradient descent on w stands for w*.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

__all__ = ["first_order", "second_order"]

Loss = Callable[[Any], Any]
"""From a batch to the scalar loss of it, at the present values of all variables."""

_RADIUS = 0.01  # of the finite difference, in units of weights: DARTS, section 2.3, footnote 2


def first_order(loss: Loss, alphas: Any, valid: Any) -> Any:
    """Gradient of L_val(w, a) with respect to a: eq. 7 of DARTS with a step of 0.

    Args:
        loss: Computes the loss of a batch.
        alphas: Architecture weights, a variable.
        valid: A batch of the validation half.

    Returns:
        A tensor of the shape of `alphas`.
    """
    return _slopes(loss, valid, [alphas])[0]


def second_order(
    loss: Loss, weights: Sequence[Any], alphas: Any, train: Any, valid: Any, rate: Any
) -> Any:
    """Gradient of L_val(w - rate * dL_train/dw, a) with respect to a: eq. 7 and 8 of DARTS.

    With w' = w - rate * dL_train(w, a)/dw it is

        dL_val(w', a)/da - rate * d2L_train(w, a)/(da dw) . dL_val(w', a)/dw',

    and the product with the Hessian is the central difference of dL_train/da at
    w +- eps * dL_val/dw', where eps = 0.01 / |dL_val/dw'|. All weights are as before on return,
    to the last bit.

    Args:
        loss: Computes the loss of a batch.
        weights: The weights w, variables; those that a loss does not use count as 0.
        alphas: Architecture weights, a variable.
        train: A batch of the half that weights are trained on.
        valid: A batch of the validation half.
        rate: The step, which is the learning rate of the weights.

    Returns:
        A tensor of the shape of `alphas`.
    """
    before = [tf.identity(weight) for weight in weights]
    down = _slopes(loss, train, weights)
    _assign(weights, before, down, -rate)
    *directions, direct = _slopes(loss, valid, [*weights, alphas])
    radius = _RADIUS / tf.maximum(tf.linalg.global_norm(directions), 1e-12)
    _assign(weights, before, directions, radius)
    above = first_order(loss, alphas, train)
    _assign(weights, before, directions, -radius)
    below = first_order(loss, alphas, train)
    for weight, value in zip(weights, before, strict=True):
        weight.assign(value)
    return direct - rate * (above - below) / (2 * radius)


def _slopes(loss: Loss, batch: Any, variables: Sequence[Any]) -> list[Any]:
    with tf.GradientTape() as tape:
        value = loss(batch)
    slopes: list[Any] = tape.gradient(
        value, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO
    )
    return slopes


def _assign(weights: Sequence[Any], before: Any, directions: Any, step: Any) -> None:
    for weight, value, direction in zip(weights, before, directions, strict=True):
        weight.assign(value + step * direction)

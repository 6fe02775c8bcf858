"""Shared weights: training a supernet, and scoring configs with what it learned.

Batch normalization uses the statistics of the batch, also where configs are scored: moving
averages would mix those of all the configs that shared the weights. Axes: B batch, E edges,
K operations.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from meta_nni.models.images import to_pixels
from meta_nni.models.problem import Problem

__all__ = ["Batch", "SharedWeights"]

Array = npt.NDArray[Any]

Batch = tuple[Any, Any]
"""Images float32 [B, H, W, C] and codes of their classes int64 [B]."""

_MOMENTUM, _DECAY, _CLIP = 0.9, 3e-4, 5.0  # of DARTS, section 3.1 and its code


class SharedWeights:
    """A supernet with its data: one half for the weights, one for the architecture.

    Attributes:
        model: From images and gates to probabilities.
        num_rows: Rows of the two halves.
    """

    def __init__(self, model: keras.Model, problem: Problem, batch_size: int, seed: int) -> None:
        """Takes the rows to fit for the weights, those to validate on for the architecture.

        Args:
            model: From images [B, H, W, C] and gates [E, K] to probabilities [B, classes].
            problem: The rows.
            batch_size: B; less where a half has fewer rows.
            seed: Of the order in which rows are scored.
        """
        self.model = model
        # Rows to validate on come ordered by class, and batches of one class have no statistics.
        order = np.random.default_rng(seed).permutation(len(problem.y_val))
        self._train = (to_pixels(problem.x), problem.y.astype(np.int64))
        self._valid = (to_pixels(problem.x_val)[order], problem.y_val[order].astype(np.int64))
        self._size = min(batch_size, len(problem.y), len(problem.y_val))
        self.num_rows = (len(problem.y), len(problem.y_val))
        self._optimizer = keras.optimizers.SGD(
            0.0, momentum=_MOMENTUM, weight_decay=_DECAY, global_clipnorm=_CLIP
        )
        self._optimizer.build(model.trainable_variables)
        self._step = tf.function(self._apply)
        self._predict = tf.function(lambda x, gates: self.model([x, gates], training=True))

    @property
    def variables(self) -> list[keras.Variable]:
        """All that training changes and needs, for checkpoints."""
        return [*self.model.trainable_variables, *self._optimizer.variables]

    @property
    def weights(self) -> list[Any]:
        """The trainable weights as TensorFlow's variables."""
        return [variable.value for variable in self.model.trainable_variables]

    @property
    def rate(self) -> Any:
        """The present learning rate, a TensorFlow variable; set it by `assign`."""
        return self._optimizer.learning_rate.value

    def batches(self, half: str, rng: np.random.Generator) -> list[Batch]:
        """All rows of a half ("train" or "valid") in a new order, in equal batches.

        The rows that do not fill a batch wait for another order.
        """
        x, y = self._train if half == "train" else self._valid
        order = rng.permutation(len(y))
        rows = [order[i : i + self._size] for i in range(0, len(y), self._size)]
        return [(tf.constant(x[r]), tf.constant(y[r])) for r in rows if len(r) == self._size]

    def loss(self, batch: Batch, gates: Any) -> Any:
        """Mean cross entropy in nats of a batch with these gates, a scalar."""
        x, y = batch
        predicted = self.model([x, gates], training=True)
        return tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(y, predicted))

    def step(self, batch: Batch, gates: Array) -> None:
        """One step of SGD on the loss of a batch with these gates.

        Weights that the gates do not use have no gradient, but momentum and decay move them.
        """
        self._step(*batch, tf.constant(gates))

    def _apply(self, x: Any, y: Any, gates: Any) -> None:
        with tf.GradientTape() as tape:
            value = self.loss((x, y), gates)
        slopes = tape.gradient(
            value, self.weights, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        self._optimizer.apply(slopes, self.model.trainable_variables)

    def accuracy(self, batch: Batch, gates: Array) -> float:
        """Share, 0 to 1, of a batch that these gates classify rightly."""
        predicted = np.asarray(self._predict(batch[0], tf.constant(gates)))
        return float(np.mean(predicted.argmax(axis=1) == np.asarray(batch[1])))

    def score(self, gates: Array) -> float:
        """Accuracy of these gates on all rows of the validation half, 0 to 1."""
        right = [
            (np.asarray(self._predict(x, tf.constant(gates))).argmax(axis=1) == y)[:count]
            for x, y, count in self._scored()
        ]
        return float(np.concatenate(right).mean())

    def _scored(self) -> Iterator[tuple[Any, Array, int]]:
        """The validation half in full batches, the last filled up; how many rows count."""
        x, y = self._valid
        for number in range(math.ceil(len(y) / self._size)):
            rows = np.arange(number * self._size, (number + 1) * self._size)
            filled = rows % len(y)
            yield tf.constant(x[filled]), y[filled], int((rows < len(y)).sum())

"""DARTS: the mixture of all operations is trained, its weights choose the cell.

Liu, Simonyan, Yang 2019, algorithm 1: every step moves the architecture weights along their
gradient on a batch of the validation half, then the shared weights on a batch of the
training half. Skip connections make the mixture easy to train and the derived cell poor; the
search stops when they take over (Liang et al. 2019, DARTS+, criterion 1).
"""

from __future__ import annotations

import itertools
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from meta_nni.oneshot.bilevel import first_order, second_order
from meta_nni.oneshot.engine import Score
from meta_nni.oneshot.shared import Batch, SharedWeights
from meta_nni.oneshot.space import CellSpace, softmax
from meta_nni.trial import Config

__all__ = ["Darts"]

_NOISE = 1e-3  # of the first architecture weights, as in the paper's code


class Darts:
    """The live part of a DARTS search, see `engine.Engine`.

    Attributes:
        alphas: Architecture weights, a Keras variable (E, K).
        stopped: Why the search should not go on, or None.
    """

    def __init__(
        self,
        cells: CellSpace,
        shared: SharedWeights,
        start: npt.NDArray[np.float32],
        *,
        order: int = 1,
        rate: float = 0.01,
        decay: float = 1e-3,
        warmup: int = 0,
        skip_limit: int | None = None,
        seed: int = 0,
    ) -> None:
        """Starts a search.

        Args:
            cells: The space.
            shared: The supernet with its data.
            start: Architecture weights to start from, (E, K).
            order: 1 or 2: whether their gradient looks one step of the weights ahead.
            rate: Learning rate of Adam on them.
            decay: Weight of half their squared distance from the start, in nats; from
                zeros it is the paper's weight decay.
            warmup: Epochs in which only the shared weights are trained.
            skip_limit: Skip connections in the normal cell at which the search stops.
            seed: Of the noise on the start, which breaks ties.
        """
        self.stopped: str | None = None
        self._cells, self._shared = cells, shared
        self._order, self._decay, self._warmup = order, decay, warmup
        self._skip_limit = skip_limit
        self._before: Config | None = None  # the latest config with fewer skips than the limit
        noise = np.random.default_rng(seed).normal(0, _NOISE, start.shape)
        self._start = tf.constant(start)
        self.alphas = keras.Variable(start + noise.astype(np.float32), name="alphas")
        self._optimizer = keras.optimizers.Adam(rate, beta_1=0.5, beta_2=0.999)
        self._optimizer.build([self.alphas])
        self._move = tf.function(self._apply)

    @property
    def variables(self) -> list[keras.Variable]:
        """See `Engine.variables`."""
        return [*self._shared.variables, self.alphas, *self._optimizer.variables]

    @property
    def facts(self) -> dict[str, Any]:
        """See `Engine.facts`."""
        return {"before": self._before, "stopped": self.stopped}

    @facts.setter
    def facts(self, facts: dict[str, Any]) -> None:
        self._before, self.stopped = facts["before"], facts["stopped"]

    def epoch(self, number: int, rate: float, rng: np.random.Generator) -> list[Score]:
        """See `Engine.epoch`."""
        self._shared.rate.assign(rate)
        train = self._shared.batches("train", rng)
        valid = itertools.cycle(self._shared.batches("valid", rng))
        for batch, held_out in zip(train, valid, strict=False):
            if number >= self._warmup:
                self._move(batch, held_out)
            self._shared.step(batch, softmax(self.alphas.numpy()))
        config = self._cells.derive(softmax(self.alphas.numpy()))
        if number >= self._warmup:
            self._watch(config)
        return [self._score(config)]

    def finish(self, rng: np.random.Generator) -> list[Score]:
        """See `Engine.finish`: the config before skip connections took over, else the last."""
        config = self._cells.derive(softmax(self.alphas.numpy()))
        return [self._score(self._before if self.stopped and self._before else config)]

    def gradient(self, train: Batch, valid: Batch) -> Any:
        """Gradient of the architecture weights, (E, K); decay not included."""
        alphas = self.alphas.value

        def loss(batch: Batch) -> Any:
            return self._shared.loss(batch, tf.nn.softmax(alphas))

        if self._order == 1:
            return first_order(loss, alphas, valid)
        rate = self._shared.rate
        return second_order(loss, self._shared.weights, alphas, train, valid, rate)

    def _apply(self, train: Batch, valid: Batch) -> None:
        pull = self._decay * (self.alphas.value - self._start)
        self._optimizer.apply([self.gradient(train, valid) + pull], [self.alphas])

    def _watch(self, config: Config) -> None:
        """Stops the search where skip connections have come to be too many.

        A cell that had as many from the first epoch on got them by chance, and may lose them.
        """
        skips = self._cells.num_skips(config)
        if self._skip_limit is None or skips < self._skip_limit:
            self._before = config
        elif self._before is not None:
            self.stopped = (
                f"the normal cell has {skips} skip connections, the limit is {self._skip_limit}"
            )

    def _score(self, config: Config) -> Score:
        accuracy = self._shared.score(self._cells.gates(config))
        return Score(config, accuracy, self._shared.num_rows[1])

"""The controller of ENAS: a recurrent policy over decisions, trained with REINFORCE.

Pham, Guan, Zoph, Le, Dean 2018, sections 2.2 and 2.4. An LSTM decides parameter after
parameter, each from what was decided before; the logits of parameter p are

    C * tanh(W_p h_p / T) + b_p.

Ours are the output layer per parameter and the bias b_p: it starts at the logarithm of given
probabilities and W_p at 0, so that the first configs are drawn from exactly those. Axes:
N configs, P parameters, K options of the parameter that has most, H width of the LSTM.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

__all__ = ["Sampler"]

Codes = npt.NDArray[np.int64]
Floats = npt.NDArray[Any]

_TEMPERATURE, _LIMIT = 5.0, 2.5  # T and C, as in Bello et al. 2017 and ENAS's code
_SPREAD = 0.1  # initial weights are uniform in -0.1 .. 0.1: ENAS, section 3.2
_CLOSED = -1e9  # logit of an option that a parameter does not have


class Sampler:
    """Draws the options of configs and learns from what they earned.

    Attributes:
        counts: How many options each parameter has.
        baseline: Moving average of the rewards; None before the first update.
    """

    def __init__(
        self,
        start: Sequence[Floats],
        *,
        rate: float = 0.0035,
        entropy: float = 0.0001,
        decay: float = 0.95,
        seed: int = 0,
        width: int = 64,
    ) -> None:
        """Creates the policy.

        Args:
            start: Probabilities above 0 of each parameter's options, P vectors.
            rate: Learning rate of Adam.
            entropy: Weight of the entropy bonus, in rewards per nat.
            decay: Of the moving average of rewards, 0 to 1.
            seed: Of the initial weights.
            width: H.
        """
        self.counts = [len(row) for row in start]
        self.baseline: float | None = None
        self._entropy, self._decay = entropy, decay
        self._policy = _Policy(start, width, seed)
        self._optimizer = keras.optimizers.Adam(rate)
        self._optimizer.build(self._policy.trainable_variables)
        self._draw = tf.function(self._policy.draw, reduce_retracing=True)
        self._learn = tf.function(self._apply, reduce_retracing=True)

    @property
    def variables(self) -> list[keras.Variable]:
        """All that training changes, the optimizer's state included; for checkpoints."""
        return [*self._policy.trainable_variables, *self._optimizer.variables]

    def draw(self, count: int, rng: np.random.Generator) -> Codes:
        """Draws N configs: positions of their options, int64 (N, P)."""
        return self._run(rng.gumbel(size=(count, len(self.counts), max(self.counts))))

    def most_likely(self) -> Codes:
        """The config that takes the likeliest option at each step, int64 (P,)."""
        codes: Codes = self._run(np.zeros((1, len(self.counts), max(self.counts))))[0]
        return codes

    def _run(self, noise: Floats) -> Codes:
        return np.asarray(self._draw(tf.constant(noise, tf.float32)), np.int64)

    def log_prob(self, codes: Codes) -> Floats:
        """Log probability of drawing each of N configs, float32 (N,)."""
        return np.asarray(self._policy.score(tf.constant(codes))[0])

    def update(self, codes: Codes, rewards: Floats) -> None:
        """Moves the policy towards configs that earned more than the baseline.

        One step of Adam on the gradients of `gradients` with the advantages R - b. The
        baseline b is the moving average of earlier rewards, at first these rewards' mean.

        Args:
            codes: Options of N configs, int64 (N, P).
            rewards: What each earned, (N,).
        """
        mean = float(np.mean(rewards))
        known = mean if self.baseline is None else self.baseline
        advantages = tf.constant(np.asarray(rewards) - known, tf.float32)
        self._learn(tf.constant(codes), advantages)
        self.baseline = self._decay * known + (1 - self._decay) * mean

    def gradients(self, codes: Any, advantages: Any) -> list[Any]:
        """Gradients by weight of the loss of REINFORCE (Williams 1992) with entropy bonus.

        -mean_n [advantage_n * log p(config_n) + bonus * sum_p entropy(p | config_n)]

        Args:
            codes: Options, int64 (N, P).
            advantages: Float32 (N,).
        """
        with tf.GradientTape() as tape:
            log_prob, entropy = self._policy.score(codes)
            loss = -tf.reduce_mean(advantages * log_prob + self._entropy * entropy)
        weights = [weight.value for weight in self._policy.trainable_variables]
        slopes: list[Any] = tape.gradient(
            loss, weights, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        return slopes

    def _apply(self, codes: Any, advantages: Any) -> None:
        slopes = self.gradients(codes, advantages)
        self._optimizer.apply(slopes, self._policy.trainable_variables)


class _Policy(keras.Layer):  # type: ignore[misc] # keras has no types
    """The LSTM with an embedding of each option, and the logits of each parameter."""

    def __init__(self, start: Sequence[Floats], width: int, seed: int) -> None:
        super().__init__()
        self._start, self._width = start, width
        self._options = max(map(len, start))

        def spread(offset: int) -> keras.Initializer:
            return keras.initializers.RandomUniform(-_SPREAD, _SPREAD, seed=seed + offset)

        self._cell = keras.layers.LSTMCell(
            width, kernel_initializer=spread(0), recurrent_initializer=spread(1)
        )
        self._cell.build((None, width))
        length, options = len(start), self._options
        # Row 0 says that nothing was decided yet.
        self._embedding = self.add_weight((1 + length * options, width), spread(2))
        self._outputs = self.add_weight((length, width, options), "zeros")
        self._biases = self.add_weight((length, options), "zeros")
        biases = np.full((length, options), _CLOSED, np.float32)
        for row, probabilities in zip(biases, start, strict=True):
            row[: len(probabilities)] = np.log(probabilities)
        self._biases.assign(biases)
        self.built = True

    def draw(self, noise: Any) -> Any:
        """Options (N, P) that are largest after adding noise (N, P, K) to the logits.

        With noise of the standard Gumbel distribution they follow the policy.
        """
        return self._walk(tf.shape(noise)[0], lambda p, logits: tf.argmax(logits + noise[:, p], 1))[
            0
        ]

    def score(self, codes: Any) -> tuple[Any, Any]:
        """Log probabilities and summed entropies, (N,) each, of options (N, P)."""
        return self._walk(tf.shape(codes)[0], lambda p, logits: codes[:, p])[1:]

    def _walk(self, count: Any, decide: Any) -> tuple[Any, Any, Any]:
        state = [tf.zeros((count, self._width))] * 2
        token = tf.repeat(self._embedding.value[:1], count, axis=0)  # (N, H)
        codes, log_prob, entropy = [], tf.zeros(count), tf.zeros(count)
        for position in range(len(self._start)):
            hidden, state = self._cell(token, state)
            pull = hidden @ self._outputs.value[position] / _TEMPERATURE
            logits = _LIMIT * tf.tanh(pull) + self._biases.value[position]  # (N, K)
            code = decide(position, logits)
            logs = tf.nn.log_softmax(logits)
            log_prob += tf.gather(logs, code, batch_dims=1)
            entropy -= tf.reduce_sum(tf.exp(logs) * logs, axis=1)
            token = tf.gather(self._embedding.value, 1 + position * self._options + code)
            codes.append(code)
        return tf.stack(codes, axis=1), log_prob, entropy

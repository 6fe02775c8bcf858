"""Drawing configs from the network, decision by decision: valid by construction."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from meta_nni.policy.network import Network, hidden, weigh
from meta_nni.space import Assignment
from meta_nni.task import Task
from meta_nni.trial import Config

__all__ = ["log_prob", "sample", "stream"]

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.float32]

_DRAWN_AT_ONCE = 16  # configs of a stream
_HEATING = 1.5


def sample(
    network: Network, task: Task, count: int, rng: np.random.Generator, temperature: float = 1.0
) -> list[Config]:
    """Draws configs from `p(x) = prod_p p(x_p | task, x_q for q < p)`.

    Parameters of branches that were not taken are skipped, so every config belongs to
    the space. Equal configs may come several times.

    Args:
        network: Gives the logits of each decision.
        task: What the configs are for.
        count: N, how many to draw.
        rng: Source of all randomness.
        temperature: Divides the logits; above 1 flattens, below 1 sharpens. Positive.

    Returns:
        N configs.

    Raises:
        ValueError: if the temperature is not positive.
    """
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}, expected a number above 0, such as 1.0")
    decisions, state = network.decisions, _State.start(network, task, count)
    codes = np.full((count, len(decisions.counts)), -1, np.int64)
    assignments: list[Assignment] = [{} for _ in range(count)]
    for position, parameter in enumerate(decisions.space.parameters):
        active = np.flatnonzero(decisions.active(codes, position))
        if len(active) == 0:
            continue
        probabilities = _softmax(network.logits(state.hidden()[active], position) / temperature)
        codes[active, position] = _draw(probabilities, rng)
        values, rows = decisions.draw(position, codes[active, position], rng)
        state.take(position, active, rows)
        for i, value in zip(active, values, strict=True):
            assignments[i][parameter.path] = value
    return [decisions.space.unflatten(assignment) for assignment in assignments]


def stream(network: Network, task: Task, rng: np.random.Generator) -> Iterator[Config]:
    """Yields configs without end, each few at a higher temperature than those before.

    For whoever wants a config that was not tried: once the likely ones are used up, the
    less likely come, and after some hundred draws they are uniform.
    """
    temperature = 1.0
    while True:
        yield from sample(network, task, _DRAWN_AT_ONCE, rng, temperature)
        temperature *= _HEATING


def log_prob(network: Network, rows: Rows, task: Task) -> Floats:
    """Log probability of the decisions of configs; for a number that of its bin.

    Args:
        network: Gives the logits of each decision.
        rows: `SearchSpace.encode` of N configs, float32 (N, P, F).
        task: What the configs are for.

    Returns:
        Float64 (N,), 0 or less.
    """
    decisions = network.decisions
    codes = decisions.codes(rows)
    before, _ = hidden(np, network.weights, rows.transpose(1, 0, 2), task.embedding()[None])
    total = np.zeros(len(rows))
    for position in range(len(decisions.counts)):
        probabilities = _softmax(network.logits(before[position], position))
        code = codes[:, position]
        taken = np.take_along_axis(probabilities, np.maximum(code, 0)[:, None], axis=1)[:, 0]
        total += np.where(code >= 0, np.log(np.maximum(taken, 1e-300)), 0.0)
    return total


class _State:
    """The running sums of N configs that are being drawn, see `network.hidden`."""

    def __init__(self, weights: Any, total: Rows, mass: Rows) -> None:
        self._weights, self._total, self._mass = weights, total, mass

    @classmethod
    def start(cls, network: Network, task: Task, count: int) -> _State:
        embedding, weights = task.embedding(), network.weights
        mass = weigh(np, embedding @ weights["task_key"])
        total = mass * (embedding @ weights["task_value"])
        return cls(weights, np.tile(total, (count, 1)), np.tile(mass, (count, 1)))

    def hidden(self) -> Rows:
        return np.asarray(np.tanh(self._total / self._mass + self._weights["bias"]))

    def take(self, position: int, active: npt.NDArray[np.int64], rows: Rows) -> None:
        mass = weigh(np, rows @ self._weights["key"][position])
        self._total[active] += mass * (rows @ self._weights["value"][position])
        self._mass[active] += mass


def _softmax(logits: Rows) -> Floats:
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))


def _draw(probabilities: Floats, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """One option of each row, by the inverse of the distribution function."""
    upper = np.cumsum(probabilities, axis=1)
    ticket = rng.random((len(probabilities), 1)) * upper[:, -1:]
    return np.asarray((upper <= ticket).sum(axis=1), np.int64)

"""The network: a causal transformer over the decisions of a config, in front of them the task.

Position p has seen the task and the decisions before p. Its attention is that of the
attention free transformer (Zhai et al. 2021, "AFT-simple", here without the queries' gate):
a weighted mean with one weight per token and channel instead of one per pair of tokens,

    c_p = sum_{q < p} exp(k_q) * v_q / sum_{q < p} exp(k_q),    h_p = tanh(c_p + b),

so that training computes all positions at once without a loop over them, and sampling
carries two running sums from decision to decision. Token 0 is the task's embedding,
token q the encoded row of parameter q through matrices of its own; an inactive parameter
has weight 0. `h_p` gives the logits of decision p, and h after the last decision, which
has seen everything, times a gate that the task sets, the features of the config on the
task:

    phi = h * (1 + G task) / sqrt(E).

The gate lets the best weights of the head differ from task to task (feature-wise linear
modulation, Perez et al. 2018): with random G the kernel phi' phi is already a product of
one over configs and one over tasks, as in multi-task Gaussian processes.

The functions take `xp`, numpy or tensorflow: training differentiates the very code that
decides, and deciding never loads TensorFlow. Axes of arrays: N configs, P parameters,
F features of a parameter, A task embedding, E features, K options.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from meta_nni.policy.decisions import Decisions
from meta_nni.task import EMBEDDING_SIZE, Task

__all__ = ["NUM_FEATURES", "Network", "hidden", "read", "shapes", "weigh"]

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.float32]
Weights = Mapping[str, Any]

NUM_FEATURES = 64
"""E, the width of the network and the number of its features."""

_LIMIT = 3.0  # of keys: no token outweighs another by more than exp(6)
_CHUNK = 4096  # configs encoded at once: bounds the memory of large pools
_SPREAD = {"key": 0.1, "task_key": 0.1, "task_value": 0.25, "bias": 0.5, "gate": 0.5}
_SCALES = (1.0, 0.5, 0.25)  # initial variances shared, own and noise of the head


def shapes(decisions: Decisions) -> dict[str, tuple[int, ...]]:
    """The weights of a network by name, with their shapes."""
    num_parameters, options = len(decisions.counts), decisions.num_options
    token = (num_parameters, decisions.space.num_features, NUM_FEATURES)
    return {
        "task_key": (EMBEDDING_SIZE, NUM_FEATURES),
        "task_value": (EMBEDDING_SIZE, NUM_FEATURES),
        "key": token,
        "value": token,
        "bias": (NUM_FEATURES,),
        "gate": (EMBEDDING_SIZE, NUM_FEATURES),
        "logit": (num_parameters, NUM_FEATURES, options),
        "logit_bias": (num_parameters, 1, options),
        "scales": (3,),
    }


def weigh(xp: Any, keys: Any) -> Any:
    """`exp` of keys, softly limited to -3..3; any shape, kept."""
    return xp.exp(_LIMIT * xp.tanh(keys / _LIMIT))


def hidden(xp: Any, weights: Weights, rows: Any, tasks: Any) -> tuple[Any, Any]:
    """Runs the network over whole configs.

    Args:
        xp: numpy or tensorflow.
        weights: Arrays of the shapes that `shapes` gives.
        rows: Encoded configs, (P, N, F).
        tasks: Embedding of the task of each, (N, A), or of all, (1, A).

    Returns:
        The states before each decision (P, N, E), and the features (N, E).
    """
    moved, mass = _tokens(xp, weights, rows)
    first = weigh(xp, tasks @ weights["task_key"])
    total = first * (tasks @ weights["task_value"]) + _sums(xp, moved)
    masses = first + _sums(xp, mass)
    before = xp.tanh(total[:-1] / masses[:-1] + weights["bias"])
    return before, read(xp, weights, total[-1], masses[-1], tasks)


def _sums(xp: Any, tokens: Any) -> Any:
    """Sums over the tokens before each position, (P + 1, N, E), of (P, N, E)."""
    length, count, width = tokens.shape
    # A product with a triangle: TensorFlow's cumsum takes several times as long.
    earlier = np.tri(length + 1, length, -1, np.float32)
    return xp.reshape(earlier @ xp.reshape(tokens, (length, -1)), (length + 1, count, width))


def _tokens(xp: Any, weights: Weights, rows: Any) -> tuple[Any, Any]:
    """`exp(k) * v` and `exp(k)` of each decision, (P, N, E); 0 where inactive."""
    mass = weigh(xp, rows @ weights["key"]) * rows[..., :1]
    return mass * (rows @ weights["value"]), mass


def read(xp: Any, weights: Weights, total: Any, mass: Any, tasks: Any) -> Any:
    """Features (N, E) from the sums over all tokens, (N, E) each, and the tasks (N, A)."""
    state = xp.tanh(total / mass + weights["bias"])
    return state * (1.0 + tasks @ weights["gate"]) / NUM_FEATURES**0.5


@dataclass(frozen=True)
class Network:
    """Weights, and what they say in numpy.

    Attributes:
        decisions: The space that it is made for.
        weights: Float32 arrays by name, see `shapes`.
    """

    decisions: Decisions
    weights: Mapping[str, Rows]

    @classmethod
    def initial(cls, decisions: Decisions, seed: int) -> Network:
        """Returns an untrained network: every option is equally likely.

        Its features are those of a wide random layer, whose kernel is smooth (Neal 1996,
        section 2.1): already before training the head interpolates between configs.
        """
        rng = np.random.default_rng(seed)
        # The mean over the active tokens has a variance of about one, whatever their number.
        spread = _SPREAD | {"value": np.sqrt(decisions.expected_active)}
        weights = {
            name: (spread.get(name, 0.0) * rng.standard_normal(shape)).astype(np.float32)
            for name, shape in shapes(decisions).items()
        }
        for name in ("task_key", "task_value", "gate"):
            weights[name][EMBEDDING_SIZE // 2 :] = 0.0  # that a metafeature is known says nothing
        weights["scales"] = np.log(np.array(_SCALES, np.float32))
        return cls(decisions, weights)

    def features(self, rows: Rows, task: Task) -> Floats:
        """Features of configs on a task, of length about 1 each.

        Args:
            rows: `SearchSpace.encode` of N configs, float32 (N, P, F).
            task: The task; what is unknown of it is masked.

        Returns:
            Float64 (N, E).
        """
        chunks = np.split(rows, range(_CHUNK, len(rows), _CHUNK))
        parts = [self._features(chunk.transpose(1, 0, 2), task.embedding()) for chunk in chunks]
        return np.concatenate(parts).astype(np.float64)

    def _features(self, rows: Rows, embedding: Rows) -> Rows:
        """The second half of `hidden`, without the states before each decision."""
        moved, mass = _tokens(np, self.weights, rows)
        first = weigh(np, embedding @ self.weights["task_key"])
        total = first * (embedding @ self.weights["task_value"]) + moved.sum(0)
        found: Rows = read(np, self.weights, total, first + mass.sum(0), embedding)
        return found

    def logits(self, before: Rows, position: int) -> Rows:
        """Logits of the K options of one decision (N, K) from states before it (N, E)."""
        own = before @ self.weights["logit"][position] + self.weights["logit_bias"][position]
        return np.where(self.decisions.allowed[position], own, np.float32(-np.inf))

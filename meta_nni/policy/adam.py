"""Adam, on a mapping of arrays: the same whatever computed the gradients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

__all__ = ["Adam"]

Arrays = Mapping[str, npt.NDArray[np.float32]]

_DECAYS = (0.9, 0.99)  # 0.99 instead of the paper's 0.999: trainings take some hundred steps
_EPSILON = 1e-6


@dataclass(frozen=True)
class Adam:
    """Adam (Kingma & Ba 2015, algorithm 1), a value: `step` returns the next one.

    Attributes:
        steps: Steps taken.
        first: Running means of the gradients, by name.
        second: Running means of their squares, by name.
    """

    steps: int = 0
    first: Arrays = field(default_factory=dict)
    second: Arrays = field(default_factory=dict)

    def step(self, weights: Arrays, gradients: Arrays, rate: float) -> tuple[Arrays, Adam]:
        """Returns the weights after one step of size `rate`, and the optimiser after it."""
        a, b = _DECAYS
        steps = self.steps + 1
        first = {
            n: a * self.first.get(n, np.zeros_like(g)) + (1 - a) * g for n, g in gradients.items()
        }
        second = {
            n: b * self.second.get(n, np.zeros_like(g)) + (1 - b) * g * g
            for n, g in gradients.items()
        }
        moved = dict(weights)
        for name in gradients:
            mean = first[name] / (1 - a**steps)
            size = np.sqrt(second[name] / (1 - b**steps)) + _EPSILON
            moved[name] = (weights[name] - rate * mean / size).astype(np.float32)
        return moved, Adam(steps, first, second)

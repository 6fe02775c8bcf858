"""What the settings of searches may be, as numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral, Real

__all__ = ["Range"]


@dataclass(frozen=True)
class Range:
    """The numbers that a setting may be: `value in range` tells whether one may.

    Attributes:
        least: The smallest, or what all are above.
        above: Whether `least` itself is too small.
        below: What all are below.
        whole: Whether they are integers.
        optional: Whether None is as good.
    """

    least: float
    above: bool = False
    below: float = math.inf
    whole: bool = False
    optional: bool = False

    def __contains__(self, value: object) -> bool:
        if value is None:
            return self.optional
        if isinstance(value, bool) or not isinstance(value, Integral if self.whole else Real):
            return False
        number = float(value)
        is_high = number > self.least if self.above else number >= self.least
        return is_high and number < self.below

    def __str__(self) -> str:
        kind = "an integer" if self.whole else "a number"
        bounds = f"above {self.least:g}" if self.above else f"from {self.least:g} on"
        bounds += f" and below {self.below:g}" if self.below < math.inf else ""
        return f"{kind} {bounds}{', or None' if self.optional else ''}"

"""Limits on what trials measure: a trial outside them keeps its value, but is never the best.

Limits are part of a run (`Run.extra`, so that they are stored and exported with it), and
are read leniently there: a file of another version must not become unreadable.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from meta_nni.trial import Result, Run

__all__ = ["LIMITS", "Limit", "LimitError", "keeps", "limits_of", "measured", "read_limits"]

LIMITS = "limits"
"""Key of `Run.extra` under which a run's limits are kept, as `read_limits` takes them."""

_EXPECTED = (
    "expected a mapping of metrics to the most they may be, such as {parameters: 100000, "
    "latency_ms: 5}, or to {min: ...} and {max: ...}, such as {recall: {min: 0.8}}"
)


class LimitError(ValueError):
    """Limits are malformed."""


@dataclass(frozen=True, slots=True)
class Limit:
    """The range, ends included, that a measured number must lie in.

    Attributes:
        name: A key of `Result.metrics`, or "seconds" or "value" of the result itself.
        low: Least; -inf is no limit.
        high: Most; inf is no limit.
    """

    name: str
    low: float = -math.inf
    high: float = math.inf

    def holds(self, number: float | None) -> bool:
        """Whether a number keeps the limit; one that is missing or NaN does not."""
        return number is not None and self.low <= number <= self.high

    def __str__(self) -> str:
        parts = [f"at least {self.low:g}"] if self.low > -math.inf else []
        parts += [f"at most {self.high:g}"] if self.high < math.inf else []
        return f"{self.name} {' and '.join(parts)}"


def read_limits(spec: Any) -> tuple[Limit, ...]:
    """Reads limits as users write them.

    Args:
        spec: None, or a mapping from names to upper limits, or to mappings of `min`, `max`.

    Raises:
        LimitError: naming what came, what was expected.
    """
    if spec is None:
        return ()
    if not isinstance(spec, Mapping):
        raise LimitError(f"limits is {spec!r}, {_EXPECTED}")
    return tuple(_limit(name, given) for name, given in spec.items())


def _limit(name: Any, given: Any) -> Limit:
    if not isinstance(name, str) or not name:
        raise LimitError(f"limits has the key {name!r}, {_EXPECTED}")
    ends = given if isinstance(given, Mapping) else {"max": given}
    numbers = {end: _number(number) for end, number in ends.items()}
    if not numbers or set(numbers) - {"min", "max"} or None in numbers.values():
        raise LimitError(f"the limit of {name} is {given!r}, {_EXPECTED}")
    low, high = numbers.get("min", -math.inf), numbers.get("max", math.inf)
    assert low is not None
    assert high is not None
    if low > high:
        raise LimitError(f"the limit of {name} is {given!r}: its min is above its max; swap them")
    return Limit(name, low, high)


def _number(value: Any) -> float | None:
    if not isinstance(value, Real) or isinstance(value, bool) or not math.isfinite(value):
        return None
    return float(value)


def limits_of(run: Run) -> tuple[Limit, ...]:
    """Returns a run's limits; none where what is stored cannot be read."""
    if LIMITS not in run.extra:
        return ()
    try:
        return read_limits(run.extra[LIMITS])
    except LimitError:
        return ()


def measured(result: Result | None, name: str) -> float | None:
    """Returns a number of a result by its name; None where it was not measured."""
    if result is None:
        return None
    if name == "value":
        return result.value
    number = result.metrics.get(name, result.seconds if name == "seconds" else None)
    return number if number is not None and math.isfinite(number) else None


def keeps(limits: Iterable[Limit], result: Result | None) -> bool:
    """Whether a result keeps all limits: what was not measured is not known to keep one."""
    return all(limit.holds(measured(result, limit.name)) for limit in limits)

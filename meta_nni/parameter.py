"""One parameter of a search space: its domain, and its way to and from the unit interval.

The ten types are NNI 3.0's; `q` types take the nearest multiple of q, as NNI does:
`round(x / q) * q`, clipped to the bounds of the uniform ones.
"""

from __future__ import annotations

import bisect
import json
import math
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri

__all__ = ["TYPES", "Parameter", "Path", "SpaceError"]

Path = tuple[str, ...]
"""Where a parameter stands: (name,), or (name, branch, name, ...) inside nested choices."""

TYPES: dict[str, str] = {
    "choice": "[option, ...]",
    "randint": "[lower, upper]",
    "uniform": "[low, high]",
    "quniform": "[low, high, q]",
    "loguniform": "[low, high]",
    "qloguniform": "[low, high, q]",
    "normal": "[mu, sigma]",
    "qnormal": "[mu, sigma, q]",
    "lognormal": "[mu, sigma]",
    "qlognormal": "[mu, sigma, q]",
}
"""NNI's parameter types and the `_value` that each expects."""

_TOLERANCE = 1e-6  # relative; values pass through JSON and JavaScript on their way
_LARGEST = 1e300  # bounds beyond it would make differences of them infinite
_LOG_LIMIT = 700.0  # exp of it is still a finite, positive float
_EXACT = 2.0**53  # floats from here on have no fractions
_TAIL = 1e-9  # unit values of unbounded types stay this far from 0 and 1


class SpaceError(ValueError):
    """A search space, or a config of one, is malformed; names the parameter."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A named domain of values.

    Attributes:
        path: Where it stands; its parent and branch are `path[:-2]` and `path[-2]`.
        type: One of `TYPES`.
        args: NNI's `_value`; for a nested choice the names of its branches.
        nested: Whether the options are branches with parameters of their own.
    """

    path: Path
    type: str
    args: tuple[Any, ...]
    nested: bool = False
    _positions: dict[Any, int] = field(init=False, repr=False, compare=False)
    _units: tuple[float, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        options = self.args if self.type == "choice" else ()
        object.__setattr__(self, "_positions", {_identity(v): i for i, v in enumerate(options)})
        object.__setattr__(self, "_units", _ranks(options) if self.ordered else ())

    @property
    def name(self) -> str:
        """The path as people read it, such as "layer/conv/kernel_size"."""
        return "/".join(self.path)

    @property
    def size(self) -> int | None:
        """Number of distinct values; None if there is no end of them."""
        if self.type == "choice":
            return len(self.args)
        if self.type == "randint":
            return int(self.args[1] - self.args[0])
        if self.type in ("quniform", "qloguniform"):
            first, last = self._steps
            return last - first + 1
        return None

    @property
    def ordered(self) -> bool:
        """Whether values have an order: all types but choices among non-numbers."""
        return self.type != "choice" or (not self.nested and all(map(_is_number, self.args)))

    def values(self) -> Iterator[Any]:
        """Yields every value of a finite parameter, in order; `size` must not be None."""
        if self.type == "choice":
            yield from self.args
        elif self.type == "randint":
            yield from range(*self.args)
        else:
            first, last = self._steps
            yield from (self._snap(step * self._q) for step in range(first, last + 1))

    def index(self, value: Any) -> int | None:
        """Position of an option among the choices; None if it is not one of them.

        1 and 1.0 are the same option, since NNI's manager rewrites one as the other;
        True and 1 are not.
        """
        try:
            return self._positions.get(_identity(value))
        except SpaceError:  # what is not JSON is no option
            return None

    def contains(self, value: Any) -> bool:
        """Whether `value` belongs to the domain."""
        if self.type == "choice":
            return self.index(value) is not None
        if not _is_number(value) or not abs(value) <= sys.float_info.max:
            return False
        if self.type == "randint":
            return bool(value == int(value) and self.args[0] <= value < self.args[1])
        if "log" in self.type and not (value > 0 or (value == 0 and self._q)):
            return False
        own = self._snap(float(value))
        return math.isclose(value, own, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE * self._q)

    def coerce(self, value: Any) -> Any:
        """Returns a value that `contains` accepts in the domain's own form.

        That is the option itself, an int, or a float on its step and within its bounds,
        whatever JSON and JavaScript made of it on its way.
        """
        if self.type == "choice":
            return self.args[self.index(value) or 0]
        return int(value) if self.type == "randint" else self._snap(float(value))

    def to_unit(self, value: Any) -> float:
        """Maps a value to [0, 1]: its rank among ordered choices, else its probability."""
        if self.type == "choice":
            return self._units[self.index(value) or 0] if self._units else 0.0
        if self.type == "randint":
            return float((value - self.args[0]) / max(self.args[1] - self.args[0] - 1, 1))
        x = math.log(max(value, math.ulp(0.0))) if "log" in self.type else float(value)
        if "normal" in self.type:
            return float(ndtr((x - self.args[0]) / self.args[1]))
        low, high = self._range
        return min(max((x - low) / (high - low), 0.0), 1.0)

    def from_unit(self, unit: float) -> Any:
        """Maps a number in [0, 1] to a value; uniform numbers give the type's distribution."""
        if self.type in ("choice", "randint"):
            size = self.size or 1
            position = min(int(unit * size), size - 1)
            return self.args[position] if self.type == "choice" else int(self.args[0]) + position
        if "normal" in self.type:
            x = self.args[0] + self.args[1] * float(ndtri(min(max(unit, _TAIL), 1 - _TAIL)))
        else:
            low, high = self._range
            x = low + unit * (high - low)
        if "log" in self.type:
            x = math.exp(min(max(x, -_LOG_LIMIT), _LOG_LIMIT))
        return self._snap(x)

    def sample(self, rng: np.random.Generator) -> Any:
        """Draws a value from the type's distribution."""
        return self.from_unit(rng.random())

    def nearby(self, value: Any, rng: np.random.Generator, count: int = 2) -> list[Any]:
        """Other values near `value`: all other options of a choice, else drawn steps.

        A step is normal with standard deviation 0.2 on the unit interval, as in SMAC
        (Hutter et al. 2011, section 4.3), reflected at its ends; where all drawn ones are
        too short for an integer or a multiple of q to change, the adjacent values.
        """
        if self.type == "choice":
            here = self.index(value)
            return [option for i, option in enumerate(self.args) if i != here]
        drawn = [self.from_unit(self._step(value, rng)) for _ in range(count)]
        near = [step for step in dict.fromkeys(drawn) if step != value]
        return near or self._adjacent(value)

    def _step(self, value: Any, rng: np.random.Generator) -> float:
        unit = abs(self.to_unit(value) + 0.2 * float(rng.standard_normal()))
        return max(min(unit, 2.0 - unit), 0.0)

    def _adjacent(self, value: Any) -> list[Any]:
        if self.type == "randint":
            beside = [value - 1, value + 1]
        elif self._q:
            step = round(value / self._q)
            beside = [self._snap((step - 1) * self._q), self._snap((step + 1) * self._q)]
        else:
            beside = []
        return [other for other in beside if other != value and self.contains(other)]

    @property
    def _q(self) -> float:
        return float(self.args[2]) if self.type[0] == "q" else 0.0

    def _snap(self, x: float) -> float:
        """The nearest multiple of q within the bounds."""
        if self._q and abs(x / self._q) < _EXACT:
            x = round(x / self._q) * self._q
        if "uniform" in self.type:
            x = min(max(x, self.args[0]), self.args[1])
        return float(x)

    @property
    def _range(self) -> tuple[float, float]:
        low, high = float(self.args[0]), float(self.args[1])
        return (math.log(low), math.log(high)) if "log" in self.type else (low, high)

    @property
    def _steps(self) -> tuple[int, int]:
        low, high, q = self.args
        return round(low / q), round(high / q)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, (bool, np.bool_))


def _ranks(options: Sequence[Any]) -> tuple[float, ...]:
    """For each of some numbers the share of the others below it."""
    count, ordered = max(len(options) - 1, 1), sorted(options)
    return tuple(bisect.bisect_left(ordered, option) / count for option in options)


def _identity(value: Any) -> Any:
    """A hashable that is equal for the same options: 1 and 1.0 are, 1 and True are not."""
    if type(value) in (str, int, float):  # the many, first
        return value
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, str, np.number)):
        return (None, canonical(value))
    return value


def canonical(value: Any) -> str:
    """JSON text that is equal for equal values: keys sorted, 1.0 written as 1.

    Raises:
        SpaceError: if `value` is not JSON.
    """
    try:
        return json.dumps(_integral(value), sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise SpaceError(f"{value!r} is not JSON: {error}") from None


def _integral(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _integral(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_integral(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def parse(path: Path, spec: Any) -> Parameter:
    """Reads one entry of an NNI search space.

    Raises:
        SpaceError: naming the parameter, what came and what was expected.
    """
    name = "/".join(path)
    if not isinstance(spec, dict) or "_type" not in spec or "_value" not in spec:
        raise SpaceError(
            f'parameter "{name}" is {spec!r}, expected {{"_type": ..., "_value": [...]}}'
        )
    unknown = set(spec) - {"_type", "_value"}
    if unknown:
        raise SpaceError(
            f'parameter "{name}" has unknown keys {sorted(map(str, unknown))}; remove them'
        )
    type_, args = spec["_type"], spec["_value"]
    if not isinstance(type_, str) or type_ not in TYPES:
        raise SpaceError(f'parameter "{name}" has type {type_!r}, expected one of {list(TYPES)}')
    if not isinstance(args, (list, tuple)):
        raise SpaceError(f'parameter "{name}" has _value {args!r}, expected a list {TYPES[type_]}')
    if type_ == "choice":
        return _parse_choice(path, name, args)
    _check_numbers(name, type_, args)
    return Parameter(path, type_, tuple(map(int, args) if type_ == "randint" else args))


def _parse_choice(path: Path, name: str, options: Sequence[Any]) -> Parameter:
    if not options:
        raise SpaceError(f'parameter "{name}" is a choice without options; list at least one')
    branches = [isinstance(option, dict) and "_name" in option for option in options]
    if any(branches) and not all(branches):
        raise SpaceError(
            f'parameter "{name}" mixes options with and without "_name"; give every option '
            'a "_name" (an option without parameters is {"_name": "..."})'
        )
    nested = all(branches)
    values = tuple(option["_name"] if nested else option for option in options)
    if nested and not all(isinstance(value, str) for value in values):
        raise SpaceError(f'parameter "{name}" has branch names {values}, expected strings')
    try:
        texts = [canonical(value) for value in values]
    except SpaceError as error:
        raise SpaceError(f'parameter "{name}" has an option that cannot be: {error}') from None
    counts = Counter(texts)
    twice = (value for value, text in zip(values, texts, strict=True) if counts[text] > 1)
    if len(counts) < len(texts):
        raise SpaceError(f'parameter "{name}" lists the option {next(twice)!r} twice; remove one')
    return Parameter(path, "choice", values, nested)


def _check_numbers(name: str, type_: str, args: Sequence[Any]) -> None:
    expected = f'parameter "{name}" ({type_}) has _value {list(args)}, expected {TYPES[type_]}'
    count = 3 if type_.startswith("q") else 2
    if len(args) != count or not all(_is_number(a) and abs(a) <= _LARGEST for a in args):
        raise SpaceError(f"{expected}: {count} finite numbers")
    if type_ == "randint" and not all(a == int(a) for a in args):
        raise SpaceError(f"{expected}: whole numbers, upper exclusive")
    if "normal" in type_:
        if args[1] <= 0:
            raise SpaceError(f"{expected}: with sigma > 0")
    elif args[0] >= args[1]:
        raise SpaceError(f"{expected}: with the first smaller than the second")
    elif "log" in type_ and args[0] <= 0:
        raise SpaceError(f"{expected}: with low > 0")
    if type_.startswith("q") and args[2] <= 0:
        raise SpaceError(f"{expected}: with q > 0")
    if type_.startswith("q") and max(map(abs, args[:2])) / args[2] >= _EXACT:
        raise SpaceError(f"{expected}: with a larger q; floats are not that fine")

"""Plots in SVG whose width is the page's: positions are shares, sizes are pixels.

Nothing is scaled, so text and lines look alike on narrow and wide pages, without a script.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from meta_nni.report.markup import Element, tag

__all__ = ["Axis", "Plot"]

_ROUND = (1.0, 2.0, 2.5, 5.0, 10.0)  # steps between ticks, times a power of ten
_LEAST = 1e-300  # smaller sizes and spans cannot be divided
_MOST_DIGITS = 300.0  # of an axis's ends
_PADDING = 0.06  # of an axis's length, beyond its extreme values


@dataclass(frozen=True, slots=True)
class Axis:
    """One direction of a plot.

    Attributes:
        low: Value at its beginning.
        high: Value at its end.
        ticks: Values that are named.
        logarithmic: Whether equal factors, not differences, take equal lengths.
    """

    low: float
    high: float
    ticks: tuple[float, ...]
    logarithmic: bool = False

    @classmethod
    def numbers(cls, count: int) -> Axis:
        """Returns an axis of the numbers 0 to count - 1, each with room around it."""
        step = max(1, math.ceil(_step(count, 6)))
        return cls(-0.5, count - 0.5, tuple(float(n) for n in range(0, count, step)))

    @classmethod
    def linear(cls, values: Sequence[float], start: float | None = None) -> Axis:
        """Returns an axis that holds all values.

        Args:
            values: Finite numbers, at least one.
            start: Its beginning, where it is to be this.
        """
        low, high = min(values), max(values)
        span, size = high - low, max(abs(low), abs(high))
        if span <= max(1e-12 * size, _LEAST):  # all values alike
            span = size if size > _LEAST else 1.0
        low, high = low - _PADDING * span, high + _PADDING * span
        low = low if start is None else start
        if not math.isfinite(high - low):  # both ends as far apart as numbers can be
            return cls(-1.0, 1.0, (0.0,))
        step = _step(high - low, 4)
        first = math.ceil(low / step)
        ticks = (step * n for n in range(first, first + 12))
        return cls(low, high, tuple(tick for tick in ticks if tick <= high))

    @classmethod
    def powers(cls, values: Sequence[float]) -> Axis:
        """Returns a logarithmic axis that holds all values, which are above 0."""
        low, high = (math.log10(max(end(values), _LEAST)) for end in (min, max))
        low = min(low, _MOST_DIGITS - 1)
        padding = _PADDING * (high - low if high - low > 1e-6 else 1.0)
        low, high = max(low - padding, -_MOST_DIGITS), min(high + padding, _MOST_DIGITS)
        digits = (1.0,) if high - low > 2.5 else (1.0, 3.0) if high - low > 1.6 else (1.0, 2.0, 5.0)
        exponents = range(math.floor(low), math.ceil(high) + 1)
        ticks = tuple(
            digit * 10.0**exponent
            for exponent in exponents
            for digit in digits
            if low <= math.log10(digit) + exponent <= high
        )
        ticks = ticks[:: len(ticks) // 8 + 1] or (10 ** ((low + high) / 2),)
        return cls(10**low, 10**high, ticks, logarithmic=True)

    def place(self, value: float) -> float:
        """Returns where a value lies, 0 to 1; values beyond an end lie on it."""
        low, high = self.low, self.high
        if self.logarithmic:
            low, high, value = (math.log(each) for each in (low, high, value))
        return min(max((value - low) / (high - low), 0.0), 1.0)


def _step(span: float, count: int) -> float:
    """Returns the round step that divides a span into about `count` parts."""
    power: float = 10.0 ** math.floor(math.log10(span / count))
    return power * min(_ROUND, key=lambda digit: abs(math.log(digit * power * count / span)))


@dataclass
class Plot:
    """Axes with marks in them. x runs to the right, y upwards.

    Attributes:
        x: The horizontal axis.
        y: The vertical axis.
        label: What the plot shows, for those who cannot see it.
        x_label: What the horizontal axis counts.
    """

    x: Axis
    y: Axis
    label: str
    x_label: str
    _marks: list[Element] = field(default_factory=list)

    def line(self, x1: float, y1: float, x2: float, y2: float, kind: str) -> None:
        """Draws a line between two points; `kind` is its class of style."""
        ends = {"x1": self._x(x1), "y1": self._y(y1), "x2": self._x(x2), "y2": self._y(y2)}
        self._marks.append(tag("line", **ends, class_=kind))

    def steps(self, xs: Sequence[float], ys: Sequence[float], kind: str) -> None:
        """Draws a line that goes to the right first, then up or down."""
        for i in range(len(xs) - 1):
            self.line(xs[i], ys[i], xs[i + 1], ys[i], kind)
            if ys[i] != ys[i + 1]:
                self.line(xs[i + 1], ys[i], xs[i + 1], ys[i + 1], kind)

    def dot(self, x: float, y: float, kind: str, title: str, radius: float = 4.0) -> None:
        """Draws a dot; the pointer shows its title."""
        place = {"cx": self._x(x), "cy": self._y(y), "class_": kind}
        self._marks.append(tag("circle", tag("title", title), r=radius, **place))

    def cross(self, x: float, y: float, kind: str, title: str) -> None:
        """Draws a small cross, of what has no value."""
        place = {"x": self._x(x), "y": self._y(y), "dy": "0.32em", "text-anchor": "middle"}
        self._marks.append(tag("text", "×", tag("title", title), **place, class_=kind))

    def bar(self, x: float, width: float, low: float, high: float, kind: str, title: str) -> None:
        """Draws a bar around x, from low to high."""
        left, right = self.x.place(x - width / 2), self.x.place(x + width / 2)
        top, bottom = self.y.place(high), self.y.place(low)
        box = {
            "x": _percent(left),
            "width": _percent(right - left),
            "y": _percent(1 - top),
            "height": _percent(top - bottom),
        }
        self._marks.append(tag("rect", tag("title", title), **box, class_=kind))

    def element(self) -> Element:
        """Returns the plot."""
        marks = [*self._grid(), *self._marks]
        return tag("svg", marks, role="img", aria_label=self.label, class_="chart")

    def _grid(self) -> list[Element]:
        parts = [tag("line", x1="0", x2="100%", y1="100%", y2="100%", class_="axis")]
        for tick in self.y.ticks:
            y = self._y(tick)
            text = {"x": "-8", "y": y, "dy": "0.32em", "text-anchor": "end"}
            parts.append(tag("line", x1="0", x2="100%", y1=y, y2=y, class_="grid"))
            parts.append(tag("text", _named(tick), **text))
        for tick in self.x.ticks:
            text = {"x": self._x(tick), "y": "100%", "dy": "18", "text-anchor": "middle"}
            parts.append(tag("text", _named(tick), **text))
        text = {"x": "100%", "y": "100%", "dy": "36", "text-anchor": "end"}
        parts.append(tag("text", self.x_label, **text, class_="name"))
        return parts

    def _x(self, value: float) -> str:
        return _percent(self.x.place(value))

    def _y(self, value: float) -> str:
        return _percent(1 - self.y.place(value))


def _percent(share: float) -> str:
    return f"{100 * share:.2f}%"


def _named(tick: float) -> str:
    """Returns a tick in few characters: 0.5, 1500, 20k, 3M."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if 10_000 <= abs(tick) < 1e13 and abs(tick) >= size:
            return f"{tick / size:.4g}{unit}"
    return f"{0.0 if abs(tick) < 1e-12 else tick:.4g}"

"""The charts of a run: its values, its predictions, its cost."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

from meta_nni.cli.explanation import Explanation
from meta_nni.report.markup import Element
from meta_nni.report.plot import Axis, Plot
from meta_nni.trial import History, Trial

__all__ = ["best_so_far", "cost", "num_off", "pareto", "pareto_front", "predicted_and_measured"]

_REACH = 6.0  # how much farther than the best from the median a value is still drawn in place
_MANY = 10  # values, of which a far one tells less than the differences of the others
_OVERRUN = 3.0  # of the longest trial, up to which expected seconds are drawn in place
_MARGIN = 0.6  # of the measured values' span, within which predictions are drawn in place


def best_so_far(history: History) -> Element:
    """Draws each trial's value, and the best value up to each trial."""
    axis = Axis.numbers(len(history.trials))
    plot = Plot(axis, _values_axis(history), "Measured values and the best so far", "trial")
    sign, best = history.run.task.sign, -float("inf")
    xs: list[float] = []
    ys: list[float] = []
    for position, trial in enumerate(history.trials):
        if trial.value is not None and sign * trial.value > best:
            best = sign * trial.value
            xs, ys = [*xs, float(position)], [*ys, trial.value]
    plot.steps([*xs, axis.high], [*ys, *ys[-1:]], "best")
    for position, trial in enumerate(history.trials):
        if trial.value is not None:
            kind = "measured" if position in xs else "measured faint"
            kind += _off(plot, trial.value)
            plot.dot(position, trial.value, kind, f"trial {trial.number}: {trial.value:.6g}")
        elif trial.state == "failed":
            plot.cross(position, plot.y.low, "bad", _failure(trial))
    return plot.element()


def num_off(history: History) -> int:
    """Returns how many values lie so far off that they are drawn hollow, on their axis's end."""
    axis = _values_axis(history)
    return sum(not axis.low <= (trial.value or 0.0) <= axis.high for trial in history.completed)


def predicted_and_measured(history: History, trials: Sequence[Explanation]) -> Element | None:
    """Draws predicted intervals with the measured values; None without a prediction."""
    predicted = [each.predicted for each in trials if each.predicted is not None]
    if not predicted:
        return None
    plot = Plot(
        Axis.numbers(len(trials)),
        _values_axis(history, predicted),
        "Predicted intervals and measured values",
        "trial",
    )
    for position, each in enumerate(trials):
        said = f"trial {each.number}: predicted {_number(each.predicted)}"
        if each.interval is not None:
            plot.line(position, each.interval[0], position, each.interval[1], "interval")
            said += f" ({each.interval[0]:.4g} to {each.interval[1]:.4g})"
        said += f", measured {_number(each.measured)}"
        if each.predicted is not None:
            plot.dot(position, each.predicted, "predicted", said, 5.0)
        if each.measured is not None:
            kind = "measured miss" if each.inside is False else "measured"
            kind += _off(plot, each.measured)
            plot.dot(position, each.measured, kind, said)
    return plot.element()


def cost(history: History) -> Element | None:
    """Draws how long each trial took and was expected to; None where nothing was timed."""
    timed = {i: t.result.seconds for i, t in enumerate(history.trials) if t.result}
    known = {i: seconds for i, seconds in timed.items() if seconds is not None and seconds >= 0}
    if not known:
        return None
    expected = [t.suggestion.seconds for t in history.trials]
    longest = max(known.values())
    drawn = [longest, *(s for s in expected if s is not None and s <= _OVERRUN * longest)]
    plot = Plot(
        Axis.numbers(len(history.trials)), Axis.linear(drawn, start=0.0), "Seconds", "trial"
    )
    for position, trial in enumerate(history.trials):
        said = f"trial {trial.number}: expected {_number(expected[position])} s"
        if position in known:
            kind = "failed" if trial.state == "failed" else "spent"
            said += f", took {known[position]:.3g} s"
            plot.bar(position, 0.6, 0.0, known[position], kind, said)
        seconds = expected[position]
        if seconds is not None:
            plot.dot(position, seconds, "predicted", said, 5.0)
    return plot.element()


def pareto(history: History, points: Sequence[tuple[Trial, float]], name: str) -> Element:
    """Draws values against a number of which less is better, and the Pareto front.

    Args:
        history: The run.
        points: Completed trials with that number, above 0; at least one.
        name: What the number counts.
    """
    axis = Axis.powers([number for _, number in points])
    y = _values_axis(history)
    plot = Plot(axis, y, f"Value against {name}, with the Pareto front", f"{name} (log)")
    front = pareto_front(points, history.run.task.sign)
    xs, ys = [n for _, n in front], [t.value or 0.0 for t, _ in front]
    plot.steps([*xs, axis.high], [*ys, *ys[-1:]], "best")
    chosen = {trial.number for trial, _ in front}
    for trial, number in points:
        kind = "measured" if trial.number in chosen else "measured faint"
        said = f"trial {trial.number}: {trial.value:.6g} at {number:.4g} {name}"
        plot.dot(number, trial.value or 0.0, kind, said)
    return plot.element()


def pareto_front(points: Iterable[tuple[Trial, float]], sign: float) -> list[tuple[Trial, float]]:
    """Returns the points to which no other is better in one number and as good in the other.

    Args:
        points: Completed trials, each with a number of which less is better.
        sign: +1.0 if larger values are better, else -1.0.

    Returns:
        The front, cheapest first; of equal points the first.
    """
    front: list[tuple[Trial, float]] = []
    best = -float("inf")
    for trial, number in sorted(points, key=lambda p: (p[1], -sign * (p[0].value or 0.0))):
        if trial.value is not None and sign * trial.value > best:
            best = sign * trial.value
            front.append((trial, number))
    return front


def _values_axis(history: History, predicted: Sequence[float] = ()) -> Axis:
    """The axis of a run's values. Far worse values lie on its end: they would flatten the rest."""
    values, sign = [trial.value or 0.0 for trial in history.completed], history.run.task.sign
    if not values:
        return Axis.linear(predicted or [0.0, 1.0])
    best, middle = max(values, key=lambda v: sign * v), statistics.median(values)
    reach = abs(best - middle) or abs(best - min(values, key=lambda v: sign * v))
    far = _REACH * reach if len(values) >= _MANY else float("inf")
    near = [v for v in values if sign * (middle - v) <= far]
    span = _MARGIN * ((max(near) - min(near)) or abs(best) or 1.0)
    fitting = [p for p in predicted if min(near) - span <= p <= max(near) + span]
    return Axis.linear([*near, *fitting])


def _off(plot: Plot, value: float) -> str:
    """The style of a value that lies on the end of its axis, since it is beyond it."""
    return "" if plot.y.low <= value <= plot.y.high else " off"


def _failure(trial: Trial) -> str:
    reason = trial.result.reason if trial.result else None
    return f"trial {trial.number} failed: {reason or 'no reason'}"


def _number(value: float | None) -> str:
    return "nothing" if value is None else f"{value:.4g}"

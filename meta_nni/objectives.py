"""Several objectives at once, and the trials that are best in them: the Pareto front.

Objectives are part of a run (`Run.extra`), as limits are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from meta_nni.limits import keeps, limits_of, measured
from meta_nni.metrics import find_metric
from meta_nni.trial import History, Objective, Result, Run, Trial

__all__ = [
    "COSTS",
    "OBJECTIVES",
    "Goal",
    "ObjectiveError",
    "front",
    "non_dominated",
    "objectives_of",
    "read_objectives",
]

Floats = npt.NDArray[np.float64]

OBJECTIVES = "objectives"
"""Key of `Run.extra` under which a run's objectives are kept, as `read_objectives` takes them."""

COSTS = ("parameters", "latency_ms", "model_mb", "seconds")
"""Numbers of which less is better, whatever the task."""

_EXPECTED = (
    "expected a list of two or more, such as [value, {latency_ms: minimize}]; the direction may "
    f"be left out for value, {', '.join(COSTS)} and the metrics of meta_nni.metrics"
)


class ObjectiveError(ValueError):
    """Objectives are malformed."""


@dataclass(frozen=True, slots=True)
class Goal:
    """One objective.

    Attributes:
        name: A number of a result, see `meta_nni.limits.measured`; "value" is the task's own.
        objective: Whether more or less of it is better.
    """

    name: str
    objective: Objective

    @property
    def sign(self) -> float:
        """+1.0 if larger numbers are better, else -1.0."""
        return 1.0 if self.objective == "maximize" else -1.0


def read_objectives(spec: Any, of_value: Objective) -> tuple[Goal, ...]:
    """Reads objectives as users write them.

    Args:
        spec: None, or a list of names and of mappings from one name to its direction.
        of_value: Direction of the task's own value.

    Raises:
        ObjectiveError: naming what came, what was expected.
    """
    if spec is None:
        return ()
    if not isinstance(spec, Sequence) or isinstance(spec, str) or len(spec) == 1:
        raise ObjectiveError(f"objectives is {spec!r}, {_EXPECTED}")
    goals = tuple(_goal(each, of_value) for each in spec)
    names = [goal.name for goal in goals]
    if len(set(names)) < len(names):
        raise ObjectiveError(f"objectives {names} name one twice; {_EXPECTED}")
    return goals


def _goal(given: Any, of_value: Objective) -> Goal:
    if isinstance(given, Mapping) and len(given) == 1:
        ((name, objective),) = given.items()
        if isinstance(name, str) and objective in get_args(Objective):
            return Goal(name, objective)
    if not isinstance(given, str):
        raise ObjectiveError(f"objectives holds {given!r}, {_EXPECTED}")
    if given == "value":
        return Goal(given, of_value)
    if given in COSTS:
        return Goal(given, "minimize")
    try:
        metric = find_metric(given)
    except ValueError:
        raise ObjectiveError(
            f"the direction of the objective {given!r} is not known; write "
            f"{{{given}: minimize}} or {{{given}: maximize}}"
        ) from None
    return Goal(metric.name, metric.objective)


def objectives_of(run: Run) -> tuple[Goal, ...]:
    """Returns a run's objectives; none where what is stored cannot be read."""
    if OBJECTIVES not in run.extra:
        return ()
    try:
        return read_objectives(run.extra[OBJECTIVES], run.task.objective)
    except ObjectiveError:
        return ()


def front(history: History, goals: Sequence[Goal] | None = None) -> tuple[Trial, ...]:
    """Returns the trials to which no other is better in one goal and as good in all others.

    Args:
        history: A run. Trials that break its limits, or lack a goal's number, do not count.
        goals: What is to be good; None takes the run's own objectives.

    Returns:
        The Pareto front, best in the first goal first; of equal trials the first. Without
        goals the best trial alone.
    """
    chosen = objectives_of(history.run) if goals is None else tuple(goals)
    chosen = chosen or (Goal("value", history.run.task.objective),)
    limits = limits_of(history.run)
    trials = [t for t in history.completed if keeps(limits, t.result)]
    rows = [_row(t.result, chosen) for t in trials]
    known = [i for i, row in enumerate(rows) if None not in row]
    points = np.array([rows[i] for i in known], float).reshape(len(known), len(chosen))
    best = [known[i] for i in np.flatnonzero(non_dominated(points))]
    return tuple(trials[i] for i in sorted(best, key=lambda i: -(rows[i][0] or 0.0)))


def _row(result: Result | None, goals: Sequence[Goal]) -> list[float | None]:
    numbers = [measured(result, goal.name) for goal in goals]
    return [None if n is None else g.sign * n for n, g in zip(numbers, goals, strict=True)]


def non_dominated(points: Floats) -> npt.NDArray[np.bool_]:
    """Marks the points (N, M) that no other dominates; higher is better, of equals the first."""
    kept = np.ones(len(points), bool)
    for i, point in enumerate(points):
        no_worse = (points >= point).all(axis=1)
        better = no_worse & (points > point).any(axis=1)
        kept[i] = not better.any() and not no_worse[:i].any()
    return kept

"""Limits and objectives as an experiment's classArgs, and counting parameters by building."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from meta_nni.cli.spaces import shipped_spaces
from meta_nni.limits import LIMITS, LimitError, limits_of, measured, read_limits
from meta_nni.objectives import OBJECTIVES, ObjectiveError, objectives_of, read_objectives
from meta_nni.space import SearchSpace
from meta_nni.trial import Config, Objective, Result, Run

if TYPE_CHECKING:
    from meta_nni.models import KerasEvaluator

__all__ = ["AimError", "counter", "missing", "read_aims", "read_space_name"]

_HEEDING = "meta"  # the controller that heeds them
# Which rows trials fit on: vocabularies and categories, hence parameters, depend on them.
_OF_ROWS = ("samples", "validation_fraction")
_EXPECTED = (
    "expected the name of a shipped search space, such as cnn_small, or {name: {setting: value}} "
    "with what the trials' KerasEvaluator takes as `model`, samples and validation_fraction"
)


class AimError(ValueError):
    """Limits, objectives or the name of the space are malformed, or nothing heeds them."""


def read_aims(given: Mapping[str, Any], objective: Objective) -> dict[str, Any]:
    """Checks the classArgs `limits` and `objectives`; returns the `extra` of a run.

    Raises:
        AimError: One is malformed, or the controller is not the one that heeds them.
    """
    aims = {name: given[name] for name in (LIMITS, OBJECTIVES) if given[name]}
    try:
        read_limits(given[LIMITS])
        read_objectives(given[OBJECTIVES], objective)
    except (LimitError, ObjectiveError) as error:
        raise AimError(str(error)) from None
    if aims and given["controller"] != _HEEDING:
        raise AimError(
            f"{' and '.join(aims)} are heeded by the controller {_HEEDING!r} alone, and controller "
            f"is {given['controller']!r}; leave one of them out"
        )
    return aims


def missing(run: Run, result: Result) -> list[str]:
    """Returns the numbers that a run's limits and objectives need and a result lacks."""
    needed = [limit.name for limit in limits_of(run)]
    needed += [goal.name for goal in objectives_of(run)]
    return [name for name in dict.fromkeys(needed) if measured(result, name) is None]


def read_space_name(value: Any) -> tuple[str, dict[str, Any]] | None:
    """Checks the classArg `space`; returns the name and the settings.

    Raises:
        AimError: It is neither a shipped space's name nor a mapping of one to settings.
    """
    if value is None:
        return None
    name: Any = value
    settings: Any = {}
    if isinstance(value, Mapping) and len(value) == 1:
        ((name, settings),) = value.items()
    known = isinstance(name, str) and name in shipped_spaces()
    if not known or not isinstance(settings, Mapping):
        raise AimError(f"space is {value!r}, {_EXPECTED}; shipped are {list(shipped_spaces())}")
    return name, dict(settings)


def counter(
    named: tuple[str, dict[str, Any]] | None,
    space: SearchSpace,
    data: Mapping[str, Any] | None,
    aims: Mapping[str, Any],
) -> Callable[[Config], float] | None:
    """Returns what counts a config's parameters by building its model on the data.

    Nothing is built, and TensorFlow not loaded, before it is first called.

    Args:
        named: The space's name, and settings of the trials' evaluator: `samples`,
            `validation_fraction`, and those of its model. None takes the shipped space that is
            equal.
        space: The run's space.
        data: Where the training rows are.
        aims: As of `read_aims`.

    Returns:
        None where no limit is on parameters, there is no data or no space is known: then they
        are learned from what trials measure.
    """
    if data is None or "parameters" not in aims.get(LIMITS, {}):
        return None
    equal = [name for name, each in shipped_spaces().items() if each == space]
    name, settings = named or (equal[0] if equal else None, {})
    if name is None:
        return None
    made: list[KerasEvaluator] = []

    def count(config: Config) -> float:
        if not made:
            from meta_nni.models import KerasEvaluator

            rows = {each: settings[each] for each in _OF_ROWS if each in settings}
            model = {each: settings[each] for each in settings if each not in _OF_ROWS}
            made.append(KerasEvaluator(name, data, model=model, **rows))
        return made[0].count_parameters(config)

    return count

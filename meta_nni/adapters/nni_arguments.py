"""The classArgs of MetaTuner, checked one by one before anything is started."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meta_nni.adapters.nni_aims import AimError, read_aims, read_space_name
from meta_nni.controllers import CONTROLLERS
from meta_nni.data import DataError, check_spec
from meta_nni.metrics import Metric, find_metric
from meta_nni.search import KNOWLEDGE
from meta_nni.store import ExperienceStore
from meta_nni.task import Task

__all__ = ["ArgumentError", "TunerArguments"]


_OPTIONAL = ("metric", "limits", "objectives", "space")


class ArgumentError(ValueError):
    """A classArg of MetaTuner is unknown or has a wrong value."""


@dataclass(frozen=True)
class TunerArguments:
    """What MetaTuner was given, checked.

    Attributes:
        store: The opened store.
        knowledge: "shipped" or "none".
        task: Name, direction and given metafeatures.
        data: Where the training rows are; None without data.
        controller: Who decides, by name.
        metric: What is searched for, where the user named it.
        seed: An int, or None.
        recipe: Name of how trials are trained, or None.
        aims: Limits and objectives as given, see `nni_aims.read_aims`.
        space: Name of the space and settings of its models, or None.
    """

    store: ExperienceStore
    knowledge: str
    task: Task
    data: Mapping[str, Any] | None
    controller: str
    metric: Metric | None
    seed: int | None
    recipe: str | None
    aims: Mapping[str, Any]
    space: tuple[str, dict[str, Any]] | None

    @classmethod
    def check(cls, given: Mapping[str, Any], default_task: str) -> TunerArguments:
        """Checks all classArgs and opens the store.

        Args:
            given: Every argument by name, defaults filled in; what a host does not have, of
                metric, limits, objectives and space, may be missing.
            default_task: Name of the task if none is given.

        Raises:
            ArgumentError: naming the argument, what came, what was expected.
            ValueError, TypeError: as raised by the task or the store, likewise.
        """
        given = {**dict.fromkeys(_OPTIONAL), **given}
        task = default_task if given["task"] is None else given["task"]
        metric = _metric(given["metric"])
        objective = _objective(given["optimize_mode"], metric)
        aims, space = _aims(given, objective)
        return cls(
            task=Task.from_spec(task, objective),  # type: ignore[arg-type]
            knowledge=_one_of("knowledge", given["knowledge"], KNOWLEDGE),
            data=_data(given["data"]),
            controller=_one_of("controller", given["controller"], tuple(CONTROLLERS)),
            metric=metric,
            seed=_seed(given["seed"]),
            recipe=_recipe(given["recipe"]),
            aims=aims,
            space=space,
            store=ExperienceStore.open(_store(given["store"])),
        )


def refuse_unknown(unknown: Mapping[str, Any], known: Sequence[str]) -> None:
    """Raises ArgumentError if there is any unknown argument, naming the nearest known one."""
    for name in unknown:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ArgumentError(f"MetaTuner has no argument {name!r}, only {list(known)}{hint}")


def _one_of(name: str, value: Any, options: Sequence[str]) -> str:
    if value not in options:
        near = difflib.get_close_matches(str(value), options, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ArgumentError(f"{name} is {value!r}, expected one of {list(options)}{hint}")
    return str(value)


def _metric(value: Any) -> Metric | None:
    if value is None:
        return None
    try:
        return find_metric(value)
    except (ValueError, TypeError) as error:
        raise ArgumentError(str(error)) from None


def _objective(mode: Any, metric: Metric | None) -> str:
    """The direction: as given, else the metric's, else to maximise."""
    if mode is None:
        return "maximize" if metric is None else metric.objective
    given = _one_of("optimize_mode", mode, ("maximize", "minimize"))
    if metric is not None and given != metric.objective:
        raise ArgumentError(
            f"optimize_mode is {given!r}, but the metric {metric.name!r} is to "
            f"{metric.objective}; leave optimize_mode out"
        )
    return given


def _aims(
    given: Mapping[str, Any], objective: str
) -> tuple[Mapping[str, Any], tuple[str, dict[str, Any]] | None]:
    try:
        return read_aims(given, objective), read_space_name(given["space"])  # type: ignore[arg-type]
    except AimError as error:
        raise ArgumentError(str(error)) from None


def _seed(value: Any) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    raise ArgumentError(f"seed is {value!r}, expected an integer from 0 on, or null to draw one")


def _recipe(value: Any) -> str | None:
    if value is None or (isinstance(value, str) and value):
        return value
    raise ArgumentError(f"recipe is {value!r}, expected a name such as 'image-v1', or null")


def _store(value: Any) -> str | Path | None:
    if value is None or (isinstance(value, str | Path) and str(value)):
        return value
    raise ArgumentError(
        f"store is {value!r}, expected a path, a URL such as sqlite:////data/experience.db, "
        "or null for the default store"
    )


def _data(value: Any) -> Mapping[str, Any] | None:
    if value is None:
        return None
    try:
        check_spec(value)
    except DataError as error:
        raise ArgumentError(str(error)) from None
    checked: Mapping[str, Any] = value
    return checked

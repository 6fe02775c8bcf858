"""The classArgs of MetaTuner, checked one by one before anything is started."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meta_nni.controllers import CONTROLLERS
from meta_nni.data import LOADERS
from meta_nni.search import KNOWLEDGE
from meta_nni.store import ExperienceStore
from meta_nni.task import Task

__all__ = ["ArgumentError", "TunerArguments"]


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
        seed: An int, or None.
        recipe: Name of how trials are trained, or None.
    """

    store: ExperienceStore
    knowledge: str
    task: Task
    data: Mapping[str, Any] | None
    controller: str
    seed: int | None
    recipe: str | None

    @classmethod
    def check(cls, given: Mapping[str, Any], default_task: str) -> TunerArguments:
        """Checks all classArgs and opens the store.

        Args:
            given: Every argument by name, defaults filled in; the store comes last.
            default_task: Name of the task if none is given.

        Raises:
            ArgumentError: naming the argument, what came, what was expected.
            ValueError, TypeError: as raised by the task or the store, likewise.
        """
        task = default_task if given["task"] is None else given["task"]
        objective = _one_of("optimize_mode", given["optimize_mode"], ("maximize", "minimize"))
        return cls(
            task=Task.from_spec(task, objective),  # type: ignore[arg-type]
            knowledge=_one_of("knowledge", given["knowledge"], KNOWLEDGE),
            data=_data(given["data"]),
            controller=_one_of("controller", given["controller"], tuple(CONTROLLERS)),
            seed=_seed(given["seed"]),
            recipe=_recipe(given["recipe"]),
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
    if not isinstance(value, Mapping) or not value:
        raise ArgumentError(f"data is {value!r}, expected a mapping such as {{npz: digits.npz}}")
    for kind, file in value.items():
        if kind not in LOADERS:
            raise ArgumentError(f"data is of the kind {kind!r}, expected one of {list(LOADERS)}")
        if not isinstance(file, str | Path):
            raise ArgumentError(f"data {kind} is {file!r}, expected the path of a file")
        if not Path(file).expanduser().exists():
            raise ArgumentError(f"data {kind} is {str(Path(file).absolute())!r}: no such file")
    return value

"""KerasTuner's hyperparameters as a search space in NNI's format, and values back and forth.

KerasTuner has a flat list of hyperparameters with conditions; NNI's format nests choices.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import keras_tuner

from meta_nni.models.hyperparameters import (
    branch_name,
    from_hyperparameters,
    to_hyperparameters,
)
from meta_nni.space import SearchSpace
from meta_nni.trial import Config

__all__ = ["Entry", "KerasTunerSpace", "complete", "integers", "nest", "read_entry"]

_MAX_OPTIONS = 64  # more integers than that are a range
_MAX_STEPS = 1_000  # so are more steps than that


@dataclass(frozen=True)
class KerasTunerSpace:
    """A search space, and how its configs are written as KerasTuner's values.

    Attributes:
        space: In NNI's format.
        integers: Names of the hyperparameters that KerasTuner wants as integers.
    """

    space: SearchSpace
    integers: Collection[str] = ()

    @classmethod
    def of_all(cls, hyperparameters: keras_tuner.HyperParameters) -> Self:
        """Reads hyperparameters with their conditions; parents come first.

        What hangs on a range, which has no branches, is no part of the space.

        Raises:
            SpaceError: There is nothing to search.
        """
        entries = [
            read_entry(each, {c.name: tuple(c.values) for c in each.conditions})
            for each in hyperparameters.space
        ]
        spec = nest(entries, {}, frozenset())
        return cls(SearchSpace.from_nni(spec), integers(hyperparameters))

    @property
    def known(self) -> frozenset[str]:
        """Names of all hyperparameters that are searched, as KerasTuner has them."""
        return frozenset(parameter.path[-1] for parameter in self.space.parameters)

    def to_values(self, config: Config) -> dict[str, Any]:
        """Returns KerasTuner's values of a config, by its names."""
        return {
            name: int(value) if name in self.integers else value
            for name, value in to_hyperparameters(config).items()
        }

    def to_config(self, values: Mapping[str, Any]) -> Config:
        """Returns the config of KerasTuner's values.

        Raises:
            ValueError: They are not of this space.
        """
        config = from_hyperparameters(values, self.space.to_nni())
        self.space.validate(config)
        return config


def integers(hyperparameters: keras_tuner.HyperParameters) -> set[str]:
    """Returns the names of the hyperparameters that are integers."""
    kind = keras_tuner.engine.hyperparameters.Int
    return {each.name for each in hyperparameters.space if isinstance(each, kind)}


def complete(values: Mapping[str, Any], known: keras_tuner.HyperParameters) -> dict[str, Any]:
    """Returns `values` with the default of every active hyperparameter that they lack.

    Defect: KerasTuner fills the gaps of what an oracle proposes at random, unseeded.
    Cause: `HyperParameters.ensure_active_values` calls `random_sample()` without a seed; and
    `merge`, by which oracles fill them, resets known values unless `overwrite=False`.

    Args:
        values: Values by KerasTuner's names.
        known: All hyperparameters, parents first.
    """
    filled = keras_tuner.HyperParameters()
    filled.values = dict(values)
    for hyperparameter in known.space:
        filled.merge([hyperparameter], overwrite=False)
    return dict(filled.values)


@dataclass(frozen=True)
class Entry:
    """A hyperparameter that is searched, and the values of others that it hangs on.

    Attributes:
        name: Its full name.
        options: Of a choice; empty for a range.
        range: Its entry in NNI's format; None for a choice.
        conditions: By the name of another one, the values with which this one is active.
    """

    name: str
    options: tuple[Any, ...]
    range: dict[str, Any] | None
    conditions: Mapping[str, tuple[Any, ...]]


def read_entry(hyperparameter: Any, conditions: Mapping[str, tuple[Any, ...]]) -> Entry:
    """Reads a hyperparameter of KerasTuner; its conditions are given."""
    kinds = keras_tuner.engine.hyperparameters
    options: Sequence[Any]
    if isinstance(hyperparameter, kinds.Boolean):
        options = (True, False)
    elif isinstance(hyperparameter, kinds.Choice):
        options = tuple(dict.fromkeys(hyperparameter.values))
    elif isinstance(hyperparameter, kinds.Fixed):
        options = (hyperparameter.value,)
    else:
        options = _numbers(hyperparameter)
    numbers = None if options else _range(hyperparameter)
    return Entry(hyperparameter.name, tuple(options), numbers, dict(conditions))


def _numbers(number: Any) -> list[Any]:
    """The options of a number that has a step, or few integers; none where it is a range."""
    is_integer = isinstance(number, keras_tuner.engine.hyperparameters.Int)
    low, high, step = number.min_value, number.max_value, number.step
    if low == high:
        return [low]
    if is_integer and step in (None, 1) and (step is None or number.sampling == "linear"):
        return list(range(low, high + 1)) if high - low < _MAX_OPTIONS else []
    if step is None:
        return []
    is_linear = number.sampling == "linear"
    options = [low]
    while (following := low + len(options) * step if is_linear else options[-1] * step) <= high:
        options.append(following)
        if len(options) > _MAX_STEPS:
            return []
    return options


def _range(number: Any) -> dict[str, Any]:
    low, high, is_log = number.min_value, number.max_value, number.sampling == "log"
    if isinstance(number, keras_tuner.engine.hyperparameters.Int):
        if is_log:
            return {"_type": "qloguniform", "_value": [low, high, 1]}
        return {"_type": "randint", "_value": [low, high + 1]}
    return {"_type": "loguniform" if is_log else "uniform", "_value": [low, high]}


def nest(
    entries: Sequence[Entry], scope: Mapping[str, Any], placed: frozenset[str]
) -> dict[str, Any]:
    """Returns a search space in NNI's format: a hyperparameter that others hang on is nested.

    Places the entries that `scope`, values of parents, makes active and that are not placed.

    Of two parents that something hangs on together, the later one goes into the branches of
    the earlier one, and with it what hangs on both.
    """
    ready = {
        entry.name: entry
        for entry in entries
        if entry.name not in placed
        and all(parent in scope and scope[parent] in v for parent, v in entry.conditions.items())
    }
    parents = [name for name in ready if any(name in each.conditions for each in entries)]
    moved: dict[str, str] = {}
    for position, later in enumerate(parents):
        meeting = (p for p in parents[:position] if p not in moved and _meet(p, later, entries))
        if (earlier := next(meeting, None)) is not None:
            moved[later] = earlier
    seen = placed | ready.keys()
    nested = {
        p: seen - {later for later, earlier in moved.items() if earlier == p} for p in parents
    }
    return {
        name: _written(entry, entries, scope, nested.get(name))
        for name, entry in ready.items()
        if name not in moved
    }


def _meet(one: str, other: str, entries: Sequence[Entry]) -> bool:
    return any(one in entry.conditions and other in entry.conditions for entry in entries)


def _written(
    entry: Entry,
    entries: Sequence[Entry],
    scope: Mapping[str, Any],
    placed: frozenset[str] | None,
) -> dict[str, Any]:
    """The entry in NNI's format; nested, unless `placed` is None."""
    if entry.range is not None:
        return entry.range
    if placed is None:
        return {"_type": "choice", "_value": list(entry.options)}
    branches = [
        {"_name": branch_name(option), **nest(entries, {**scope, entry.name: option}, placed)}
        for option in entry.options
    ]
    return {"_type": "choice", "_value": branches}

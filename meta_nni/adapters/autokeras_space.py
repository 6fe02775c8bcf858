"""AutoKeras's hyperparameters as a search space in NNI's format, and values back and forth.

AutoKeras has a flat list of hyperparameters with conditions; NNI's format nests choices. The
names are AutoKeras's own, in full, with one exception: blocks that AutoKeras numbered on, as
it does when a process builds several models, are numbered from 1 again, so that what was
learned of `image_block_1` serves `image_block_3`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import keras_tuner

from meta_nni.models.hyperparameters import (
    branch_name,
    from_hyperparameters,
    to_hyperparameters,
)
from meta_nni.space import SearchSpace
from meta_nni.trial import Config

__all__ = ["LEFT_OUT", "AutoKerasSpace", "to_nni"]

LEFT_OUT = ("pretrained", "imagenet_size", "zoom_factor")
"""Hyperparameters that keep AutoKeras's default: weights to download, thirty times the cost
of the same network, and one that does nothing in AutoKeras 3.0.0."""

_MAX_OPTIONS = 64  # more integers than that are a range
_COUNTED = re.compile(r"(?P<block>.*/)(?:filters_(?P<i>\d+)_(?P<j>\d+)|units_(?P<layer>\d+))$")


@dataclass(frozen=True)
class _Entry:
    """A hyperparameter that is searched, and the values of others that it hangs on."""

    name: str
    options: tuple[Any, ...]  # of a choice; empty for a range
    range: dict[str, Any] | None
    conditions: Mapping[str, tuple[Any, ...]]


@dataclass(frozen=True)
class AutoKerasSpace:
    """A search space, and how its configs are written as AutoKeras's values.

    Attributes:
        space: In NNI's format, under canonical names.
        names: Canonical names of blocks by AutoKeras's, where they differ.
        integers: Canonical names of the hyperparameters that AutoKeras wants as integers.
    """

    space: SearchSpace
    names: Mapping[str, str]
    integers: Collection[str] = ()

    @classmethod
    def of(
        cls, hyperparameters: keras_tuner.HyperParameters, blocks: Iterable[Any]
    ) -> AutoKerasSpace:
        """Reads what AutoKeras revealed.

        Args:
            hyperparameters: All of them, with AutoKeras's names and conditions.
            blocks: The blocks of the graph, which the names begin with.

        Raises:
            SpaceError: There is nothing to search.
        """
        names = _canonical_names(blocks)
        space = SearchSpace.from_nni(_as_shipped(to_nni(hyperparameters.space, names)))
        integers = {
            _renamed(each.name, names)
            for each in hyperparameters.space
            if isinstance(each, keras_tuner.engine.hyperparameters.Int)
        }
        return cls(space, names, integers)

    def to_values(self, config: Config) -> dict[str, Any]:
        """Returns AutoKeras's values of a config, by AutoKeras's names."""
        own = {canonical: name for name, canonical in self.names.items()}
        return {
            _renamed(name, own): int(value) if name in self.integers else value
            for name, value in to_hyperparameters(config).items()
        }

    def to_config(self, values: Mapping[str, Any]) -> Config:
        """Returns the config of AutoKeras's values.

        Raises:
            ValueError: They are not of this space.
        """
        canonical = {_renamed(name, self.names): value for name, value in values.items()}
        config = from_hyperparameters(canonical, self.space.to_nni())
        self.space.validate(config)
        return config


def to_nni(
    hyperparameters: Sequence[Any], names: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Returns hyperparameters as a search space in NNI's format.

    A hyperparameter that others hang on becomes a nested choice. Besides AutoKeras's own
    conditions, `filters_i_j` hang on `num_blocks` and `num_layers` of their block, and
    `units_i` on `num_layers`: else configs that build the same model would differ.

    Args:
        hyperparameters: In AutoKeras's order: parents come first.
        names: Canonical names of blocks, see `AutoKerasSpace`.
    """
    numbers = {
        each.name: tuple(each.values)
        for each in hyperparameters
        if each.name.endswith(("/num_blocks", "/num_layers")) and _leaf(each.name) not in LEFT_OUT
    }
    defaults = {each.name: each.default for each in hyperparameters if _is_left_out(each.name)}
    entries = []
    for each in hyperparameters:
        if _is_left_out(each.name):
            continue
        conditions = {c.name: tuple(c.values) for c in each.conditions}
        fixed = {parent: conditions.pop(parent) for parent in [*conditions] if parent in defaults}
        if any(defaults[parent] not in values for parent, values in fixed.items()):
            continue  # hangs on what is never chosen
        conditions |= _counted(each.name, numbers)
        entries.append(_entry(each, conditions))
    return _renamed_spec(_nest(entries, {}, frozenset()), names or {})


def _is_left_out(name: str) -> bool:
    return _leaf(name) in LEFT_OUT


def _leaf(name: str) -> str:
    return name.rsplit("/", 1)[-1]


def _counted(name: str, numbers: Mapping[str, tuple[Any, ...]]) -> dict[str, tuple[Any, ...]]:
    """The further conditions of the i-th layer: that there are so many."""
    found = _COUNTED.match(name)
    if found is None:
        return {}
    block, i, j, layer = found.group("block", "i", "j", "layer")
    wanted = {"num_blocks": i, "num_layers": j if layer is None else layer}
    return {
        f"{block}{leaf}": tuple(v for v in numbers[f"{block}{leaf}"] if v > int(index))
        for leaf, index in wanted.items()
        if index is not None and int(index) > 0 and f"{block}{leaf}" in numbers
    }


def _entry(hyperparameter: Any, conditions: Mapping[str, tuple[Any, ...]]) -> _Entry:
    kinds = keras_tuner.engine.hyperparameters
    options: Sequence[Any]
    if isinstance(hyperparameter, kinds.Boolean):
        options = (True, False)
    elif isinstance(hyperparameter, kinds.Choice):
        options = hyperparameter.values
    elif isinstance(hyperparameter, kinds.Fixed):
        options = (hyperparameter.value,)
    else:
        options = _numbers(hyperparameter)
    numbers = None if options else _range(hyperparameter)
    return _Entry(hyperparameter.name, tuple(options), numbers, dict(conditions))


def _numbers(number: Any) -> list[Any]:
    """The options of a number that has a step, or few integers; none where it is a range."""
    is_integer = isinstance(number, keras_tuner.engine.hyperparameters.Int)
    low, high, step = number.min_value, number.max_value, number.step
    if is_integer and step in (None, 1) and (step is None or number.sampling == "linear"):
        return list(range(low, high + 1)) if high - low < _MAX_OPTIONS else []
    if step is None:
        return []
    is_linear = number.sampling == "linear"
    options = [low]
    while (following := low + len(options) * step if is_linear else options[-1] * step) <= high:
        options.append(following)
    return options


def _range(number: Any) -> dict[str, Any]:
    low, high, is_log = number.min_value, number.max_value, number.sampling == "log"
    if isinstance(number, keras_tuner.engine.hyperparameters.Int):
        if is_log:
            return {"_type": "qloguniform", "_value": [low, high, 1]}
        return {"_type": "randint", "_value": [low, high + 1]}
    return {"_type": "loguniform" if is_log else "uniform", "_value": [low, high]}


def _nest(
    entries: Sequence[_Entry], scope: Mapping[str, Any], placed: frozenset[str]
) -> dict[str, Any]:
    """Places the entries that `scope`, values of parents, makes active and that are not placed.

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


def _meet(one: str, other: str, entries: Sequence[_Entry]) -> bool:
    return any(one in entry.conditions and other in entry.conditions for entry in entries)


def _written(
    entry: _Entry,
    entries: Sequence[_Entry],
    scope: Mapping[str, Any],
    placed: frozenset[str] | None,
) -> dict[str, Any]:
    """The entry in NNI's format; nested, unless `placed` is None."""
    if entry.range is not None:
        return entry.range
    if placed is None:
        return {"_type": "choice", "_value": list(entry.options)}
    branches = [
        {"_name": branch_name(option), **_nest(entries, {**scope, entry.name: option}, placed)}
        for option in entry.options
    ]
    return {"_type": "choice", "_value": branches}


def _canonical_names(blocks: Iterable[Any]) -> dict[str, str]:
    """Numbers the blocks that AutoKeras named, such as `image_block_3`, from 1 on."""
    numbered: dict[str, list[int]] = {}
    for block in blocks:
        prefix, _, number = block.name.rpartition("_")
        if number.isdigit() and prefix.replace("_", "") == type(block).__name__.lower():
            numbered.setdefault(prefix, []).append(int(number))
    return {
        f"{prefix}_{number}": f"{prefix}_{position}"
        for prefix, numbers in numbered.items()
        for position, number in enumerate(sorted(numbers), start=1)
        if number != position
    }


def _renamed(name: str, names: Mapping[str, str]) -> str:
    block, slash, rest = name.partition("/")
    return names.get(block, block) + slash + rest


def _renamed_spec(spec: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    def renamed(value: Any) -> Any:
        return _renamed_spec(value, names) if isinstance(value, Mapping) else value

    return {
        _renamed(key, names): [renamed(v) for v in value]
        if isinstance(value, list)
        else renamed(value)
        for key, value in spec.items()
    }


def _as_shipped(spec: dict[str, Any]) -> dict[str, Any]:
    """The shipped space with the same configs, or else `spec`.

    The order of options is part of a space's fingerprint, by which networks are kept.
    """
    return _shipped().get(_sorted_text(spec), spec)


@cache
def _shipped() -> dict[str, dict[str, Any]]:
    folder = resources.files("meta_nni.search_spaces")
    files = [file for file in folder.iterdir() if file.name.startswith("autokeras_")]
    specs = [json.loads(file.read_text("utf-8")) for file in files if file.name.endswith(".json")]
    return {_sorted_text(spec): spec for spec in specs}


def _sorted_text(value: Any) -> str:
    if isinstance(value, Mapping):
        return str(sorted((key, _sorted_text(each)) for key, each in value.items()))
    if isinstance(value, list):
        return str(sorted(map(_sorted_text, value)))
    return json.dumps(value)

"""AutoKeras's hyperparameters as a search space in NNI's format, and values back and forth.

AutoKeras has a flat list of hyperparameters with conditions; NNI's format nests choices. The
names are AutoKeras's own, in full, with one exception: blocks that AutoKeras numbered on, as
it does when a process builds several models, are numbered from 1 again, so that what was
learned of `image_block_1` serves `image_block_3`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

import keras_tuner

from meta_nni.adapters.kerastuner_space import KerasTunerSpace, integers, nest, read_entry
from meta_nni.space import SearchSpace
from meta_nni.trial import Config

__all__ = ["LEFT_OUT", "AutoKerasSpace", "to_nni"]

_WITHOUT_EFFECT = "zoom_factor"

LEFT_OUT = ("pretrained", "imagenet_size", _WITHOUT_EFFECT)
"""Hyperparameters that keep AutoKeras's default: weights to download, thirty times the cost
of the same network, and one that does nothing in AutoKeras 3.0.0."""

_COUNTED = re.compile(r"(?P<block>.*/)(?:filters_(?P<i>\d+)_(?P<j>\d+)|units_(?P<layer>\d+))$")


@dataclass(frozen=True)
class AutoKerasSpace(KerasTunerSpace):
    """A search space under canonical names, and how its configs are AutoKeras's values.

    Attributes:
        names: Canonical names of blocks by AutoKeras's, where they differ.
        left_out: What every config has of hyperparameters that are not searched, by
            AutoKeras's names.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, Any] = field(default_factory=dict)

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
        whole = {_renamed(name, names) for name in integers(hyperparameters)}
        return cls(space, whole, names, _left_out(hyperparameters.space))

    def to_values(self, config: Config) -> dict[str, Any]:
        """Returns AutoKeras's values of a config, by AutoKeras's names."""
        own = {canonical: name for name, canonical in self.names.items()}
        return {_renamed(name, own): value for name, value in super().to_values(config).items()}

    def to_config(self, values: Mapping[str, Any]) -> Config:
        """Returns the config of AutoKeras's values.

        Raises:
            ValueError: They are not of this space, such as those of weights to download.
        """
        for name, value in self.left_out.items():
            if values.get(name, value) != value and _leaf(name) != _WITHOUT_EFFECT:
                raise ValueError(f'"{name}" is {values[name]!r}, which is not searched')
        return super().to_config({_renamed(name, self.names): v for name, v in values.items()})


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
    defaults = _left_out(hyperparameters)
    entries = []
    for each in hyperparameters:
        if _is_left_out(each.name):
            continue
        conditions = {c.name: tuple(c.values) for c in each.conditions}
        fixed = {parent: conditions.pop(parent) for parent in [*conditions] if parent in defaults}
        if any(defaults[parent] not in values for parent, values in fixed.items()):
            continue  # hangs on what is never chosen
        conditions |= _counted(each.name, numbers)
        entries.append(read_entry(each, conditions))
    return _renamed_spec(nest(entries, {}, frozenset()), names or {})


def _left_out(hyperparameters: Sequence[Any]) -> dict[str, Any]:
    return {each.name: each.default for each in hyperparameters if _is_left_out(each.name)}


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

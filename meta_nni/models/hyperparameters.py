"""Between nested configs and the flat hyperparameters of AutoKeras.

In `search_spaces/autokeras_*.json` a condition of AutoKeras is a nested choice whose
`_name` is the JSON text of AutoKeras's value: "true" stands for True, "3" for 3, and
"vanilla", which is no JSON, for itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from meta_nni.trial import Config

__all__ = ["branch_name", "from_hyperparameters", "to_hyperparameters"]


def to_hyperparameters(config: Config) -> dict[str, Any]:
    """Flattens a config into AutoKeras's full names and values.

    Args:
        config: A config whose parameter names are unique over all nesting levels, as the
            full names of AutoKeras are.

    Returns:
        Every active parameter by name; a nested choice gives the value of its branch.

    Raises:
        ValueError: if a name occurs twice.
    """
    values: dict[str, Any] = {}
    _collect(config, values)
    return values


def _collect(config: Config, into: dict[str, Any]) -> None:
    for name, value in config.items():
        if name == "_name":
            continue
        if name in into:
            raise ValueError(f'parameter "{name}" occurs twice in the config; keep one of them')
        if isinstance(value, dict):
            into[name] = _branch_value(value["_name"])
            _collect(value, into)
        else:
            into[name] = value


def from_hyperparameters(values: Mapping[str, Any], spec: Mapping[str, Any]) -> Config:
    """Nests AutoKeras's values as a config, the inverse of `to_hyperparameters`.

    Args:
        values: Values by AutoKeras's full names; those that `spec` does not have are left out.
        spec: The search space in NNI's format.

    Returns:
        A config of that space.

    Raises:
        ValueError: if an active parameter has no value, or one that is no option.
    """
    config: Config = {}
    for name, entry in spec.items():
        if name == "_name":
            continue
        if name not in values:
            raise ValueError(f'"{name}" has no value; expected one of {entry["_value"]}')
        branches = {o["_name"]: o for o in entry["_value"] if isinstance(o, Mapping)}
        value = values[name]
        if not branches:
            config[name] = value
        elif branch_name(value) in branches:
            branch = branch_name(value)
            config[name] = {"_name": branch, **from_hyperparameters(values, branches[branch])}
        else:
            raise ValueError(f'"{name}" is {value!r}, expected one of {list(branches)}')
    return config


def branch_name(value: Any) -> str:
    """The `_name` of the branch that stands for a value of AutoKeras."""
    if isinstance(value, str) and _branch_value(value) == value:
        return value
    return json.dumps(value)


def _branch_value(name: str) -> Any:
    try:
        return json.loads(name)
    except json.JSONDecodeError:
        return name

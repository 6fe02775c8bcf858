"""From a nested config to the flat hyperparameters of AutoKeras.

In `search_spaces/autokeras_*.json` a condition of AutoKeras is a nested choice whose
`_name` is the JSON text of AutoKeras's value: "true" stands for True, "3" for 3, and
"vanilla", which is no JSON, for itself.
"""

from __future__ import annotations

import json
from typing import Any

from meta_nni.trial import Config

__all__ = ["to_hyperparameters"]


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


def _branch_value(name: str) -> Any:
    try:
        return json.loads(name)
    except json.JSONDecodeError:
        return name

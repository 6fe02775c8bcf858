"""The final result of an NNI trial: what a trial sends and what a tuner makes of it.

NNI passes values on unfiltered, so that reading is tolerant: whatever a trial reports
becomes a result, at worst a failure whose reason says what to report instead. Writing is
strict: a NaN in the JSON or a null as `default` breaks NNI's web page (measured).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile
from numbers import Real
from typing import Any

from meta_nni.trial import Config, Result

__all__ = ["from_final", "to_final"]

_RESERVED = ("default", "curve", "seconds", "budget", "config", "parameter_id", "reason")
"""Keys of a final dict that are no further metrics."""

_MAX_SHOWN = 200  # characters of a wrong value that a reason quotes


def to_final(result: Result, config: Config, parameter_id: int | None) -> dict[str, Any]:
    """Returns the dict for `nni.report_final_result`.

    Args:
        result: The outcome. Numbers that are not finite are left out; the curve ends
            before its first one.
        config: The config that really ran. NNI may have given this trial another one
            than its page shows.
        parameter_id: NNI's id of that config.

    Returns:
        `default` (the value) or, on failure, `reason`; `curve`, `seconds`, `budget`,
        `config`, `parameter_id`, and each further metric under its own name.
    """
    outcome = {"reason": result.reason} if result.value is None else {"default": result.value}
    return {
        **outcome,
        **_metrics(result.metrics),
        "seconds": _number(result.seconds),
        "parameter_id": parameter_id,
        # Every key is an axis of the page's plot of trials, whose lines end where a value is
        # neither a number nor a text: these come last.
        "budget": _finite(result.budget),
        "config": config,
        "curve": _curve(result.curve),
    }


def from_final(value: Any) -> tuple[Result, Config | None]:
    """Reads what a trial reported: a number, or a dict as `to_final` makes it.

    Returns:
        The result, and the config that the trial says it ran, or None if it does not.
    """
    if isinstance(value, Mapping):
        config = value.get("config")
        return _from_mapping(value), dict(config) if isinstance(config, Mapping) else None
    number = _real(value)
    if number is None:
        return Result.failed(f"the trial reported {_shown(value)}, {_EXPECTED}"), None
    return Result(number), None


_EXPECTED = 'expected a number or {"default": number, …}; report one with nni.report_final_result'


def _from_mapping(value: Mapping[str, Any]) -> Result:
    default, reason = _real(value.get("default")), value.get("reason")
    if "default" not in value:
        shown = f'a dict without "default" (keys {list(value)})'
        reason = reason or f"the trial reported {shown}, {_EXPECTED}"
    elif default is None:
        reason = f'the trial reported "default" as {_shown(value["default"])}, {_EXPECTED}'
    curve = value.get("curve")
    return Result(
        value=default,
        reason=None if reason is None else str(reason),
        seconds=_number(value.get("seconds")),
        curve=_curve(curve) if isinstance(curve, Sequence) and not isinstance(curve, str) else (),
        metrics=_metrics(value),
        budget=_finite(value.get("budget")),
    )


def _real(value: Any) -> float | None:
    """Returns `value` as a float if it is a number; true and false are none."""
    if not isinstance(value, Real) or isinstance(value, bool):
        return None
    try:
        return float(value)
    except OverflowError:  # JSON has integers of any size
        return math.inf


def _number(value: Any) -> float | None:
    """Returns `value` as a float if it is a finite number."""
    number = _real(value)
    return number if number is not None and math.isfinite(number) else None


def _curve(values: Iterable[Any]) -> list[float]:
    numbers = takewhile(lambda number: number is not None, map(_number, values))
    return [number for number in numbers if number is not None]


def _finite(values: Any) -> dict[str, float]:
    if not isinstance(values, Mapping):
        return {}
    numbers = {str(name): _number(value) for name, value in values.items()}
    return {name: number for name, number in numbers.items() if number is not None}


def _metrics(values: Mapping[str, Any]) -> dict[str, float]:
    return {name: n for name, n in _finite(values).items() if name not in _RESERVED}


def _shown(value: Any) -> str:
    text = repr(value)
    short = text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 1] + "…"
    return f"{short} ({type(value).__name__})"

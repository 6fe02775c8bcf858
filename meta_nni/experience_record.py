"""One line of an experience file: a run and its trials, to and from a JSON object.

`meta_nni.experience` documents the format. Everything read here may be hostile: each
field is taken by name with what it must be, and what is left is kept as unknown.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, get_args

from meta_nni.space import SearchSpace
from meta_nni.task import Task
from meta_nni.trial import History, Objective, Result, Run, State, Suggestion, Trial

__all__ = [
    "FORMAT",
    "MAX_DEPTH",
    "RefusedError",
    "finite_or_none",
    "finite_tree",
    "from_document",
    "to_document",
]

FORMAT = "meta-nni-experience/1"
"""The format's name and version, the first field of every line."""

MAX_DEPTH = 64
"""Deepest nesting of objects and lists in a line."""

IMPORTED = "imported"
"""Source of a trial whose file says nothing about its proposal."""

_MISSING = object()
_OBJECTIVES = get_args(Objective)
_STATES = get_args(State)
_OUTCOME = ("reason", "seconds", "curve", "metrics", "budget")
_EMPTY: tuple[Any, ...] = (None, "", [], {})

# What SearchSpace and Task raise on a malformed argument; numbers of a file can be huge.
_MALFORMED = (ValueError, TypeError, ArithmeticError)


class RefusedError(ValueError):
    """A field does not fit the format: names it, what came and what was expected."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(_short(f"{field}: {problem}" if field else problem, 400))


def from_document(value: Any) -> History:
    """Reads one parsed line.

    Args:
        value: What `json` made of the line.

    Returns:
        The run and its trials, numbered by position.

    Raises:
        RefusedError: The value does not fit the format.
    """
    fields = _Fields(value, "")
    _check_tree(value, "")
    return _parse_run(fields)


def to_document(history: History) -> dict[str, Any]:
    """Returns the JSON object of a run, unknown fields where they were found."""
    run = history.run
    extra = dict(run.extra)
    return {
        "format": FORMAT,
        "run_id": run.run_id,
        "task": {
            "name": run.task.name,
            "objective": run.task.objective,
            **_filled(metafeatures=dict(run.task.metafeatures)),
            **extra.pop("task", {}),
        },
        **_filled(metric=run.metric, recipe=run.recipe, environment=dict(run.environment)),
        **extra,
        "space": run.space.to_nni(),
        "trials": [_trial_document(trial) for trial in history.trials],
    }


def finite_or_none(number: float | None) -> float | None:
    """Returns the number as a float, or None where it is not finite and JSON has no word."""
    return None if number is None or not math.isfinite(number) else float(number)


def finite_tree(value: Any) -> Any:
    """Returns nested JSON values with null for each number that is not finite."""
    if isinstance(value, Mapping):
        return {key: finite_tree(child) for key, child in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite_tree(child) for child in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


# Reading


def _check_tree(value: Any, path: str, depth: int = 1) -> None:
    """Refuses what JSON has no word for (`json` reads NaN and 1e999) and deep nesting."""
    if depth > MAX_DEPTH:
        raise RefusedError(path, f"nested deeper than {MAX_DEPTH} levels")
    for key, child in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(child, float):
            if not math.isfinite(child):
                raise _wrong(_join(path, key), child, "a finite number")
        elif isinstance(child, (dict, list)):
            _check_tree(child, _join(path, key), depth + 1)


def _parse_run(fields: _Fields) -> History:
    fields.take("format", f'"{FORMAT}"', lambda value: value == FORMAT, required=True)
    run_id = fields.text("run_id", required=True)
    task_fields = fields.object("task")
    task = _parse_task(task_fields)
    space = _parse_space(fields.mapping("space", required=True))
    metric, recipe = fields.text("metric"), fields.text("recipe")
    environment = fields.mapping("environment")
    trials: list[Trial] = []
    positions: dict[str, int] = {}
    for position, value in enumerate(fields.items("trials")):
        path = f"trials[{position}]"
        trial = _parse_trial(_Fields(value, path), position, space)
        if trial.trial_id in positions:
            where = f"trials[{positions[trial.trial_id]}]"
            raise RefusedError(f"{path}.trial_id", f"{trial.trial_id!r} is also that of {where}")
        positions[trial.trial_id] = position
        trials.append(trial)
    extra = fields.rest(task=task_fields)
    run = Run(str(run_id), task, space, metric, recipe, environment, extra)
    return History(run, tuple(trials))


def _parse_task(fields: _Fields) -> Task:
    name = str(fields.text("name", required=True))
    objective = fields.option("objective", _OBJECTIVES)
    metafeatures = fields.mapping("metafeatures", numbers=True)
    try:
        return Task(name, objective, metafeatures)
    except _MALFORMED as error:
        raise RefusedError("task", str(error)) from None


def _parse_space(spec: dict[str, Any]) -> SearchSpace:
    try:
        return SearchSpace.from_nni(spec)
    except _MALFORMED as error:
        raise RefusedError("space", str(error)) from None


def _parse_trial(fields: _Fields, position: int, space: SearchSpace) -> Trial:
    trial_id = fields.text("trial_id") or str(position)
    config = fields.mapping("config", required=True)
    try:
        space.validate(config)
    except _MALFORMED as error:
        raise RefusedError(fields.join("config"), str(error)) from None
    state = fields.option("state", _STATES)
    proposal = fields.object("proposal")
    suggestion = Suggestion(
        config,
        proposal.text("source") or IMPORTED,
        proposal.number("mean"),
        proposal.number("std"),
        proposal.number("seconds"),
        proposal.text("why") or "",
        proposal.mapping("evidence"),
    )
    result, kept = _parse_outcome(fields, state)
    extra = {**kept, **fields.rest(proposal=proposal)}
    return Trial(trial_id, position, suggestion, state, result, extra)


def _parse_outcome(fields: _Fields, state: State) -> tuple[Result | None, dict[str, Any]]:
    """Returns the result, and for a trial that has none the given fields of one."""
    done = state == "completed"
    value = fields.take(
        "value",
        f"{'a finite number' if done else 'null'}, as the state is {state}",
        lambda value: _is_number(value) if done else value is None,
        required=True,
    )
    reason = fields.text("reason")
    if done and reason is not None:
        raise _wrong(fields.join("reason"), reason, "null, as the state is completed")
    seconds = fields.number("seconds")
    curve = fields.items("curve", numbers=True)
    tables = [fields.mapping("metrics", numbers=True), fields.mapping("budget", numbers=True)]
    if state not in ("completed", "failed"):
        given = zip(_OUTCOME, (reason, seconds, curve, *tables), strict=True)
        return None, {key: item for key, item in given if item not in _EMPTY}
    metrics, budget = ({key: _number(v) for key, v in table.items()} for table in tables)
    return Result(value, reason, seconds, tuple(map(_number, curve)), metrics, budget), {}


class _Fields:
    """The fields of one JSON object; those not taken by name are the unknown rest."""

    def __init__(self, value: Any, path: str) -> None:
        if not isinstance(value, dict):
            raise _wrong(path, value, "an object {...}")
        self._left = dict(value)
        self._path = path

    def join(self, name: str) -> str:
        return _join(self._path, name)

    def take(
        self, name: str, expected: str, fits: Callable[[Any], bool], required: bool = False
    ) -> Any:
        """Removes and returns a field; None for an optional one that is null or absent."""
        value = self._left.pop(name, _MISSING)
        if not required and (value is _MISSING or value is None):
            return None
        if value is _MISSING or not fits(value):
            raise _wrong(self.join(name), value, expected)
        return value

    def text(self, name: str, required: bool = False) -> str | None:
        value = self.take(name, "a text that is not empty", _is_text, required)
        return None if value is None else str(value)

    def option(self, name: str, options: tuple[str, ...]) -> Any:
        return self.take(name, f"one of {list(options)}", lambda v: v in options, required=True)

    def number(self, name: str) -> float | None:
        value = self.take(name, "a finite number", _is_number)
        return None if value is None else float(value)

    def mapping(self, name: str, required: bool = False, numbers: bool = False) -> dict[str, Any]:
        value = self.take(name, "an object {...}", lambda v: isinstance(v, dict), required) or {}
        if numbers:
            _check_numbers(self.join(name), value.items())
        return dict(value)

    def items(self, name: str, numbers: bool = False) -> list[Any]:
        value = self.take(name, "a list [...]", lambda v: isinstance(v, list)) or []
        if numbers:
            _check_numbers(self.join(name), enumerate(value))
        return list(value)

    def object(self, name: str) -> _Fields:
        return _Fields(self.mapping(name), self.join(name))

    def rest(self, **objects: _Fields) -> dict[str, Any]:
        """Returns the unknown fields, with those of the known objects under their names."""
        inner = {name: fields.rest() for name, fields in objects.items()}
        return {**self._left, **{name: rest for name, rest in inner.items() if rest}}


def _join(path: str, key: str | int) -> str:
    if isinstance(key, int):
        return f"{path}[{key}]"
    return f"{path}.{key}" if path else key


def _check_numbers(path: str, items: Iterable[tuple[str | int, Any]]) -> None:
    for key, value in items:
        if value is not None and not _is_number(value):
            raise _wrong(_join(path, key), value, "a finite number or null")


def _is_text(value: Any) -> bool:
    """Whether databases can hold it: not empty, no NUL, no half of a surrogate pair."""
    if not isinstance(value, str) or not value or "\0" in value:
        return False
    return value.isascii() or not any("\ud800" <= char <= "\udfff" for char in value)


def _is_number(value: Any) -> bool:
    # The comparison also refuses integers that no float can hold.
    return type(value) in (int, float) and abs(value) <= sys.float_info.max


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _wrong(field: str, value: Any, expected: str) -> RefusedError:
    came = "nothing" if value is _MISSING else _short(json.dumps(value), 100)
    return RefusedError(field, f"got {came}, expected {expected}")


def _short(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}..."


# Writing


def _trial_document(trial: Trial) -> dict[str, Any]:
    extra = dict(trial.extra)
    if trial.result is not None:
        outcome: Mapping[str, Any] = _outcome(trial.result)
    else:
        outcome = {name: extra[name] for name in _OUTCOME if name in extra}
    for name in _OUTCOME:
        extra.pop(name, None)
    proposal = {**_proposal(trial.suggestion), **extra.pop("proposal", {})}
    return {
        "trial_id": trial.trial_id,
        "config": trial.config,
        "value": trial.value,
        "state": trial.state,
        **_filled(**outcome),
        **({} if proposal == {"source": IMPORTED} else {"proposal": proposal}),
        **extra,
    }


def _outcome(result: Result) -> dict[str, Any]:
    return {
        "reason": result.reason,
        "seconds": finite_or_none(result.seconds),
        "curve": [finite_or_none(value) for value in result.curve],
        "metrics": {name: finite_or_none(value) for name, value in result.metrics.items()},
        "budget": {name: finite_or_none(value) for name, value in result.budget.items()},
    }


def _proposal(suggestion: Suggestion) -> dict[str, Any]:
    return {
        "source": suggestion.source,
        **_filled(
            mean=finite_or_none(suggestion.mean),
            std=finite_or_none(suggestion.std),
            seconds=finite_or_none(suggestion.seconds),
            why=suggestion.why,
            evidence=finite_tree(suggestion.evidence),
        ),
    }


def _filled(**fields: Any) -> dict[str, Any]:
    """Returns the fields that hold something; zero is something."""
    return {name: value for name, value in fields.items() if value not in _EMPTY}

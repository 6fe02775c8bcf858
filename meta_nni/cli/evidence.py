"""A proposal's evidence, read from a mapping that may come from anywhere.

`meta_nni.trial.Suggestion` documents the mapping. An experience file may hold any object
there, so what does not fit is left out and nothing is refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["DecisionEvidence", "Evidence", "TaskEvidence", "TrialEvidence"]


@dataclass(frozen=True, slots=True)
class TrialEvidence:
    """What one trial adds to a prediction.

    Attributes:
        number: Its number in its run.
        value: Its measured value; None for a failure.
        weight: Signed contribution, on the controller's own scale.
    """

    number: int
    value: float | None
    weight: float


@dataclass(frozen=True, slots=True)
class TaskEvidence:
    """What one earlier run adds: its share of the prediction, 0 to 1, and its trials."""

    task: str
    run_id: str
    weight: float
    trials: tuple[TrialEvidence, ...]


@dataclass(frozen=True, slots=True)
class DecisionEvidence:
    """How much better a prediction is for one parameter's value than for its alternatives."""

    parameter: str
    value: Any
    effect: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that speaks for a proposal; every list begins with what matters most.

    Attributes:
        tasks: Earlier runs.
        own: The run's own trials.
        decisions: Parameters of the proposed config.
        no_transfer: Probability that earlier runs do not bear on this one, or None.
    """

    tasks: tuple[TaskEvidence, ...] = ()
    own: tuple[TrialEvidence, ...] = ()
    decisions: tuple[DecisionEvidence, ...] = ()
    no_transfer: float | None = None

    @classmethod
    def read(cls, mapping: Mapping[str, Any]) -> Evidence:
        """Reads a suggestion's evidence; entries that do not fit are left out."""
        tasks = [
            TaskEvidence(
                str(entry["task"]),
                str(entry.get("run_id", "")),
                weight,
                tuple(_trials(entry.get("trials"))),
            )
            for entry in _objects(mapping.get("tasks"))
            if "task" in entry and (weight := _number(entry.get("weight"))) is not None
        ]
        decisions = [
            DecisionEvidence(str(entry["parameter"]), entry.get("value"), effect)
            for entry in _objects(mapping.get("decisions"))
            if "parameter" in entry and (effect := _number(entry.get("effect"))) is not None
        ]
        own = tuple(_trials(mapping.get("own")))
        return cls(tuple(tasks), own, tuple(decisions), _number(mapping.get("no_transfer")))

    def __bool__(self) -> bool:
        return self != Evidence()


def _trials(value: Any) -> Iterator[TrialEvidence]:
    for entry in _objects(value):
        number, weight = entry.get("number"), _number(entry.get("weight"))
        if type(number) is int and weight is not None:
            yield TrialEvidence(number, _number(entry.get("value")), weight)


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:
    for entry in value if isinstance(value, (list, tuple)) else ():
        if isinstance(entry, Mapping):
            yield entry


def _number(value: Any) -> float | None:
    if type(value) not in (int, float):
        return None
    try:
        number = float(value)
    except OverflowError:  # an integer that no float can hold
        return None
    return number if math.isfinite(number) else None

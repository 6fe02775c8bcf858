"""The values that pass through a search: suggestions, results, trials and their history.

All of them are frozen. A `History` is everything a controller may decide upon, so the
same history and the same generator give the same proposals, and resuming a run is
nothing but reading its history again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from meta_nni.limits import keeps, limits_of

if TYPE_CHECKING:
    from meta_nni.space import SearchSpace
    from meta_nni.task import Task

__all__ = ["Config", "History", "Objective", "Result", "Run", "State", "Suggestion", "Trial"]

Config = dict[str, Any]
"""One point of a search space, exactly as NNI's `generate_parameters` returns it."""

Objective = Literal["maximize", "minimize"]

State = Literal["proposed", "running", "completed", "failed", "lost"]
"""proposed: handed to the host; running: the host says it started; completed: a finite
value; failed: no value, with a reason; lost: the search ended before its result came."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A config that a controller proposes, and what it expects of it.

    Attributes:
        config: The proposed config.
        source: Where it comes from: "random", "evolution", "portfolio", "zero-shot"
            (from other tasks alone), "adapted" (other tasks and this run's results) or
            "exploration" (drawn without regard to other tasks).
        mean: Predicted value in the units of the task's metric, or None.
        std: Standard deviation of that prediction, same units, or None.
        seconds: Predicted duration of the trial in seconds, or None.
        why: One line for people: what speaks for this config.
        evidence: The same for programs, JSON values alone; `meta-nni explain` prints it.
            Each key may be absent, others are kept, and lists begin with what matters most:

            - "tasks": what earlier runs say, `{"task": name, "run_id": id, "weight": w,
              "trials": [...]}` each; w is what they add to the prediction, as a signed
              share, -1 to 1, of all that is added. "trials" are those without which the
              task's part would change most, `{"number": n, "value": v or null, "weight":
              w}` each; w divides the task's share among them by these changes, signed.
            - "own": this run's trials, likewise; w is what each adds.
            - "decisions": `{"parameter": name, "value": any, "effect": e}` each; e says how
              much better the prediction is with this value than the mean over its
              alternatives, in the units of the metric; above 0 is better in either direction.
            - "no_transfer": probability, 0 to 1, that earlier runs do not bear on this one.
    """

    config: Config
    source: str
    mean: float | None = None
    std: float | None = None
    seconds: float | None = None
    why: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Result:
    """What the evaluation of one config gave.

    A value that is NaN or infinite is a failure whose reason says so, and a missing
    value without a reason gets one: after construction exactly one of `value` and
    `reason` is set.

    Attributes:
        value: The task's metric, finite, in its own direction; None on failure.
        reason: Why there is no value.
        seconds: Duration of the evaluation.
        curve: The metric after each epoch, shape (epochs,).
        metrics: Further measured numbers by name, such as precision or parameters.
        budget: What was spent on purpose, such as epochs and samples.
    """

    value: float | None
    reason: str | None = None
    seconds: float | None = None
    curve: Sequence[float] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    budget: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        value, reason = self.value, self.reason
        if value is not None and not math.isfinite(value):
            reason = reason or f"the value is {value}, expected a finite number"
            value = None
        elif value is not None and reason is not None:
            value = None
        elif value is None and not reason:
            reason = "no value was reported"
        object.__setattr__(self, "value", None if value is None else float(value))
        object.__setattr__(self, "reason", reason)
        object.__setattr__(self, "curve", tuple(map(float, self.curve)))

    @classmethod
    def failed(cls, reason: str, seconds: float | None = None) -> Result:
        """Returns a result without a value; `reason` says why, for people."""
        return cls(None, reason=reason or "unknown reason", seconds=seconds)


@dataclass(frozen=True, slots=True)
class Trial:
    """One config tried in a run.

    Attributes:
        trial_id: The host's own id, unique within the run.
        number: Order of proposal within the run, from 0.
        suggestion: The config with what was predicted of it.
        state: See `State`.
        result: The outcome; None until the trial is completed or failed.
        extra: Fields of an experience file that this version does not know, kept.
    """

    trial_id: str
    number: int
    suggestion: Suggestion
    state: State = "proposed"
    result: Result | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def config(self) -> Config:
        """The config that was tried."""
        return self.suggestion.config

    @property
    def value(self) -> float | None:
        """The measured value, or None."""
        return self.result.value if self.result else None

    def with_result(self, result: Result) -> Trial:
        """Returns this trial, ended with `result`."""
        state: State = "completed" if result.value is not None else "failed"
        return replace(self, result=result, state=state)


@dataclass(frozen=True, slots=True)
class Run:
    """One search on one task: what all of its trials have in common.

    Attributes:
        run_id: Unique name of the run.
        task: The task searched for.
        space: The space searched in.
        metric: Name of the value, such as "val_accuracy".
        recipe: Name of the training recipe; values of different recipes do not compare.
        environment: The machine and software that measured, such as device and cores.
        extra: Further fields of an experience file, kept: "limits" and "objectives", see
            `meta_nni.limits` and `meta_nni.objectives`, and such as this version does not know.
    """

    run_id: str
    task: Task
    space: SearchSpace
    metric: str | None = None
    recipe: str | None = None
    environment: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class History:
    """A run and its trials so far, ordered by number: all that a controller decides upon."""

    run: Run
    trials: tuple[Trial, ...] = ()

    @property
    def completed(self) -> tuple[Trial, ...]:
        """The trials with a finite value."""
        return tuple(trial for trial in self.trials if trial.state == "completed")

    @property
    def failed(self) -> tuple[Trial, ...]:
        """The trials that ended without a value."""
        return tuple(trial for trial in self.trials if trial.state == "failed")

    @property
    def pending(self) -> tuple[Trial, ...]:
        """The trials whose result is still awaited."""
        return tuple(trial for trial in self.trials if trial.state in ("proposed", "running"))

    @property
    def shares_weights(self) -> bool:
        """Whether its configs were measured with weights that they share.

        Such values compare with each other only, and say little of what a config is worth.
        """
        return any(t.result and t.result.budget.get("shared_weights") for t in self.trials)

    @property
    def ranked(self) -> tuple[Trial, ...]:
        """The completed trials, best first in the task's direction, earlier of equals first."""
        sign = self.run.task.sign
        return tuple(sorted(self.completed, key=lambda trial: -sign * (trial.value or 0.0)))

    @property
    def best(self) -> Trial | None:
        """The first of `ranked` that keeps the run's limits; None if none does."""
        limits = limits_of(self.run)
        return next((trial for trial in self.ranked if keeps(limits, trial.result)), None)

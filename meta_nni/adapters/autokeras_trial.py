"""One trial of AutoKeras: its limits, and what is known of it besides its score.

KerasTuner hands an oracle the metrics of a trial's best epoch only, and drops the reason of
a failure on the way from a worker to the chief. What else belongs to a result lies in the
trial's folder, which chief and workers share.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any

import keras
import keras_tuner

from meta_nni.models.memory import out_of_memory
from meta_nni.trial import Result

__all__ = ["DeadlineCallback", "TrialCallback", "TrialRecord", "failure_reason"]

_FILE = "meta_nni.json"
_PACE_BATCHES = 8  # batches after which the length of an epoch can be foretold
_PACE_SLACK = 1.25  # how much too slow the pace must be before a trial is given up
_MAX_REASON = 500  # characters


@dataclass
class TrialRecord:
    """What a trial adds to its score.

    Attributes:
        seconds: From the start of the build, all executions.
        curve: The objective after each epoch of the last execution.
        metrics: Measured numbers by name, of the best epoch; the mean over executions.
        budget: What the trial was allowed to spend.
        reason: Why it failed; None if it did not.
        deaths: How often the process died in it, before which nothing could be recorded.
        cut: Whether it failed as no more was left of the whole search's time, which says
            nothing of its config.
    """

    seconds: float = 0.0
    curve: list[float] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)
    budget: dict[str, float] = field(default_factory=dict)
    reason: str | None = None
    deaths: int = 0
    cut: bool = False

    def write(self, folder: str) -> None:
        """Writes the record into a trial's folder."""
        (Path(folder) / _FILE).write_text(json.dumps(vars(self)), encoding="utf-8")

    @classmethod
    def read(cls, folder: str) -> TrialRecord:
        """Reads a trial's record; an empty one if it has none, as a killed worker's."""
        try:
            return cls(**json.loads((Path(folder) / _FILE).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):  # such as a file of another version
            return cls()

    def result(self, value: float | None) -> Result:
        """Returns the trial's result.

        Args:
            value: Its score; None if KerasTuner says that it failed.
        """
        reason = self.reason if value is None else None
        return Result(
            value,
            reason=reason or (None if value is not None else "the trial failed, no reason known"),
            seconds=self.seconds or None,
            curve=list(takewhile(math.isfinite, self.curve)),
            metrics={name: v for name, v in self.metrics.items() if math.isfinite(v)},
            budget=self.budget,
        )


def failure_reason(error: Exception) -> str:
    """Returns one line that says why a trial failed."""
    name = type(error).__name__
    lines = str(error).strip().splitlines() or ["no details"]
    if (memory := out_of_memory(error)) is not None:
        return memory[:_MAX_REASON]
    if isinstance(error, keras_tuner.errors.FailedTrialError):
        return lines[0][:_MAX_REASON]
    return f"{name}: {lines[0]}"[:_MAX_REASON]


class TrialCallback(keras.callbacks.Callback):  # type: ignore[misc] # keras has no types
    """Keeps the curve of a trial, and ends it when its time is up or it diverges.

    When time is up the best epoch so far counts; a trial without one fails, and fails as
    soon as its pace says that it must.

    Args:
        objective: KerasTuner's objective.
        elapsed: Returns the seconds since the trial began.
        limit: Seconds that it may take; None is no limit.

    Attributes:
        curve: The objective after each epoch.
        late: Whether the trial failed for want of time.
    """

    def __init__(
        self, objective: Any, elapsed: Callable[[], float], limit: float | None = None
    ) -> None:
        super().__init__()
        self.curve: list[float] = []
        self.late = False
        self._objective, self._elapsed, self._limit = objective, elapsed, limit
        self._first_batch_ended = 0.0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Ends the trial when time is up, or is bound to be before the first epoch's end."""
        self._check_time()
        if self._limit is None or self.curve:
            return
        now = self._elapsed()
        if batch == 0:
            self._first_batch_ended = now
        elif batch >= _PACE_BATCHES and self.params.get("steps"):
            pace = (now - self._first_batch_ended) / batch
            needed = now + pace * (self.params["steps"] - 1 - batch)
            if needed > _PACE_SLACK * self._limit:
                self.late = True
                raise keras_tuner.errors.FailedTrialError(
                    f"one epoch would take about {needed:.0f} s, the limit is {self._limit:g} s"
                )

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        """Ends the trial when time is up."""
        self._check_time()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Keeps the epoch's value; one that is not finite ends the trial."""
        if not self._objective.has_value(logs or {}):
            return
        value = float(self._objective.get_value(logs))
        if math.isfinite(value):
            self.curve.append(value)
        elif self.curve:
            self.model.stop_training = True
        else:
            raise keras_tuner.errors.FailedTrialError(
                f"{self._objective.name} is {value} after the first epoch: training diverged"
            )

    def is_late(self) -> bool:
        """Whether the trial's time is up."""
        return self._limit is not None and self._elapsed() > self._limit

    def _check_time(self) -> None:
        if not self.is_late():
            return
        if not self.curve:
            self.late = True
            raise keras_tuner.errors.FailedTrialError(
                f"no epoch ended within the limit of {self._limit:g} s"
            )
        self.model.stop_training = True


class DeadlineCallback(keras.callbacks.Callback):  # type: ignore[misc] # keras has no types
    """Ends a training after the batch that reaches a deadline.

    Args:
        remaining: Returns the seconds that are left.
    """

    def __init__(self, remaining: Callable[[], float]) -> None:
        super().__init__()
        self._remaining = remaining

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Stops when no time is left."""
        if self._remaining() <= 0:
            self.model.stop_training = True

"""The arms: who decides in an AutoKeras project, everything else being equal."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import autokeras

from experiments.autokeras_benchmark.opponents import BayesianTuner, GreedyTuner
from experiments.autokeras_benchmark.portfolio import MeanRankController
from meta_nni.adapters.autokeras_tuner import MetaAutoTuner
from meta_nni.controllers import CONTROLLERS

__all__ = ["ARMS", "MAX_PARAMETERS", "Arm", "OutOfTime", "limited", "make_project"]

MAX_PARAMETERS = 5_000_000
"""Of a candidate, in every arm; the shipped knowledge was measured with the same limit."""

CONTROLLERS["mean_rank"] = MeanRankController  # of this process only

_MODELS = {
    "image": autokeras.ImageClassifier,
    "text": autokeras.TextClassifier,
    "tabular": autokeras.StructuredDataClassifier,
}


class _Ours(MetaAutoTuner):
    """MetaAutoTuner with seconds of the processor: the machine has other work, too."""

    _clock = staticmethod(time.process_time)


@dataclass(frozen=True)
class Arm:
    """What an arm is.

    Attributes:
        controller: Of MetaAutoTuner, by name; None is AutoKeras's own tuner.
        warm: Whether it has the knowledge of other tasks.
        tuner: AutoKeras's, for the others; None is the stock tuner as shipped.
    """

    controller: str | None = None
    warm: bool = False
    tuner: Callable[..., Any] | None = None


ARMS = {
    "meta": Arm("meta", warm=True),
    "portfolio": Arm("mean_rank", warm=True),
    "greedy": Arm(tuner=GreedyTuner),
    "bayesian": Arm(tuner=BayesianTuner),
    "meta_cold": Arm("meta"),
    "stock": Arm(),
}
"""Every arm by its name."""


class OutOfTime(BaseException):
    """The processor seconds of the stock arm are up; no `Exception`, which AutoKeras catches."""


def make_project(
    arm: Arm, kind: str, task: str, store: Path, folder: Path, seed: int, trials: int, limit: float
) -> Any:
    """Makes AutoKeras's model of a task with an arm's tuner.

    Args:
        arm: Who decides.
        kind: Kind of data.
        task: Name of the task.
        store: Path of the store, which holds what is known of other tasks if the arm is warm.
        folder: Where the project's files go.
        seed: Of the search, not negative.
        trials: Most trials.
        limit: Processor seconds per trial.
    """
    extra: dict[str, Any] = {}
    if arm.controller is not None:
        extra = {"tuner": _Ours, "controller": arm.controller, "store": store, "task": task}
        extra |= {"knowledge": "none"}  # what is known lies in the store
    elif arm.tuner is not None:
        extra = {"tuner": arm.tuner, "kind": kind}
    if extra:
        extra |= {"seconds_per_trial": limit, "max_model_size": MAX_PARAMETERS}
    return _MODELS[kind](
        objective="val_accuracy",
        max_trials=trials,
        directory=folder,
        project_name=task,
        seed=seed + 1,  # KerasTuner takes 0 for none
        **extra,
    )


@contextmanager
def limited(seconds: float | None) -> Iterator[None]:
    """Raises OutOfTime in the block when the process has spent so many seconds in it."""
    if seconds is None:
        yield
        return

    def end(number: int, frame: Any) -> None:
        raise OutOfTime

    before = signal.signal(signal.SIGPROF, end)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)

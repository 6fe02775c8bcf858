"""AshaAssessor: short trainings for most configs, long ones for those that look promising."""

from __future__ import annotations

import bisect
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any, TypeGuard

from nni.assessor import Assessor, AssessResult
from nni.common.serializer import dump
from nni.runtime import msg_dispatcher
from nni.runtime.tuner_command_channel import CommandType
from nni.utils import MetricType

from meta_nni.adapters.nni_process import tuner_arguments
from meta_nni.metrics import Metric, find_metric, metric_of

__all__ = ["AshaAssessor"]

_ARGUMENTS = ["min_epochs", "reduction_factor", "optimize_mode", "max_epochs", "metric"]

_MODES = ("maximize", "minimize")

_log = logging.getLogger(__name__)


class AshaAssessor(Assessor):  # type: ignore[misc]
    """Stops trials by asynchronous successive halving (Li et al. 2020, section 3.2).

    In an experiment's config, beside any tuner::

        assessor:
          className: meta_nni.AshaAssessor
          codeDirectory: .
          classArgs: {min_epochs: 1, reduction_factor: 3, max_epochs: 20}

    Rungs are at `min_epochs`, times the reduction factor each, in intermediate results. A
    trial that reaches a rung goes on if its best result so far is among the best
    `1 / reduction_factor` of all that have reached the rung, and is stopped otherwise: the
    paper's algorithm in the form without waiting for promotion, since NNI cannot go on with a
    trial that has ended. The first `reduction_factor` trials at a rung go on. Of equal ones
    those that went on count as better, so that no more than the share goes on of many at
    chance level.

    The tuner is told what a stopped trial has reached, with its curve and its number of epochs
    as its budget, where NNI alone would call it failed: `MetaTuner` stores it as a short
    training. Where the tuner has a `metric` and the assessor not the same, it is a failure that
    says so, since what was reached is no value of that metric. NNI's page shows it as
    USER_CANCELED, with its curve. A resumed experiment begins with empty rungs.

    Args:
        min_epochs: Intermediate results before the first rung, at least 1.
        reduction_factor: What share survives, one in so many; above 1.
        optimize_mode: "maximize" or "minimize"; None: the metric's, else the tuner's, else
            "maximize".
        max_epochs: Intermediate results of a whole training. No rung is there or beyond, so that
            a training that has come to its end reports all that it measured. None: rungs
            without end.
        metric: What the intermediate results of the trials are, such as "f1" (see
            `meta_nni.metrics.METRICS`).

    Raises:
        ValueError: naming the argument, what came and what was expected.
    """

    def __init__(
        self,
        min_epochs: Any = 1,
        reduction_factor: Any = 3,
        optimize_mode: Any = None,
        max_epochs: Any = None,
        metric: Any = None,
        **unknown: Any,
    ) -> None:
        super().__init__()
        if unknown:
            raise ValueError(f"AshaAssessor has no arguments {list(unknown)}, only {_ARGUMENTS}")
        if not _is_number(reduction_factor) or not 1 < reduction_factor < math.inf:
            raise ValueError(f"reduction_factor is {reduction_factor!r}, expected a number above 1")
        self._min_epochs = _epochs("min_epochs", min_epochs, 1)
        self._max_epochs = math.inf
        if max_epochs is not None:
            self._max_epochs = _epochs("max_epochs", max_epochs, self._min_epochs + 1)
        self._factor = float(reduction_factor)
        self._metric = None if metric is None else find_metric(metric)
        self._tuners_metric = _tuners_metric()
        mode = _objective(optimize_mode, self._metric, self._tuners_metric)
        self._sign = 1.0 if mode == "maximize" else -1.0
        # Per rung what trials had reached there and whether they went on, sorted.
        self._rungs: list[list[tuple[float, bool]]] = []
        self._passed: dict[str, int] = {}  # rungs of each trial
        self._stopped: set[str] = set()
        _tell_tuners(self._partial)

    def assess_trial(self, trial_job_id: str, trial_history: Sequence[Any]) -> AssessResult:
        """Decides on a trial whenever it has a new intermediate result.

        Args:
            trial_job_id: NNI's id of the trial.
            trial_history: All of its results, numbers or `{"default": number, …}`.
        """
        if trial_job_id in self._stopped:  # NNI is about to end it
            return AssessResult.Good
        for rung in range(self._passed.get(trial_job_id, 0), self._reached(len(trial_history))):
            self._passed[trial_job_id] = rung + 1
            best = max(self._score(value) for value in trial_history[: self._epochs(rung)])
            if not self._survives(rung, best):
                self._stopped.add(trial_job_id)
                _log.info(
                    "trial %s is stopped after %d epochs with %g",
                    trial_job_id,
                    len(trial_history),
                    self._sign * best,
                )
                return AssessResult.Bad
        return AssessResult.Good

    def _epochs(self, rung: int) -> int:
        return math.ceil(self._min_epochs * self._factor**rung - 1e-9)

    def _reached(self, epochs: int) -> int:
        """How many rungs a trial of so many epochs has reached."""
        rungs = 0
        while self._epochs(rungs) <= epochs and self._epochs(rungs) < self._max_epochs:
            rungs += 1
        return rungs

    def _survives(self, rung: int, best: float) -> bool:
        """Whether a result is among the best at a rung, itself included."""
        while len(self._rungs) <= rung:
            self._rungs.append([])
        reached = self._rungs[rung]
        count = len(reached) + 1
        better = len(reached) - bisect.bisect_left(reached, (best, True))
        survives = count <= self._factor or better < int(count / self._factor)
        bisect.insort(reached, (best, survives))
        return survives

    def _score(self, value: Any) -> float:
        """The value, higher is better; what is no number is worst."""
        number = value.get("default") if isinstance(value, Mapping) else value
        if not _is_number(number) or not math.isfinite(number):
            return -math.inf
        return self._sign * float(number)

    def _partial(self, curve: Sequence[Any]) -> dict[str, Any]:
        """The final result of a stopped trial, see `nni_result.from_final`."""
        scores = [self._score(value) for value in curve]
        finite = [self._sign * score for score in scores if math.isfinite(score)]
        budget = {"epochs": float(len(curve))}
        if not finite:
            return {"reason": "stopped early; no result was a finite number", "budget": budget}
        theirs = self._tuners_metric
        if theirs is not None and theirs != self._metric:
            own = None if self._metric is None else self._metric.name
            reason = (
                f"stopped early; what it reached is no {theirs.name}, the tuner's metric: "
                f"AshaAssessor's, which intermediate results are, is {own!r}"
            )
            return {"reason": reason, "budget": budget}
        return {"default": self._sign * max(scores), "curve": finite, "budget": budget}

    def trial_end(self, trial_job_id: str, success: bool) -> None:
        """Forgets a trial; what it reached at the rungs stays."""
        self._passed.pop(trial_job_id, None)


def _tell_tuners(partial: Callable[[Sequence[Any]], dict[str, Any]]) -> None:
    """Makes NNI tell its tuner what a stopped trial has reached.

    NNI 3.0 can tell the last intermediate result, as if it were a final one, but its manager
    never switches that on; this switches it on, and tells that it is the result of a part.
    """

    def tell(dispatcher: msg_dispatcher.MsgDispatcher, data: Mapping[str, Any]) -> None:
        curve = msg_dispatcher._sort_history(msg_dispatcher._trial_history[data["trial_job_id"]])
        final = {**data, "type": MetricType.FINAL, "value": dump(partial(curve))}
        dispatcher.enqueue_command(CommandType.ReportMetricData, final)

    settings = msg_dispatcher.dispatcher_env_vars
    msg_dispatcher.dispatcher_env_vars = settings._replace(NNI_INCLUDE_INTERMEDIATE_RESULTS="true")
    msg_dispatcher.MsgDispatcher._earlystop_notify_tuner = tell


def _tuners_metric() -> Metric | None:
    name = tuner_arguments().get("metric")
    return metric_of(name) if isinstance(name, str) else None


def _objective(mode: Any, metric: Metric | None, tuners_metric: Metric | None) -> str:
    """The direction: as given, else that of the metric, else the tuner's."""
    theirs = tuner_arguments().get("optimize_mode")
    if tuners_metric is not None:
        theirs = tuners_metric.objective
    elif theirs not in _MODES:
        theirs = None
    if mode is None:
        mode = metric.objective if metric is not None else theirs or "maximize"
    if mode not in _MODES:
        raise ValueError(f"optimize_mode is {mode!r}, expected 'maximize' or 'minimize'")
    if metric is not None and mode != metric.objective:
        raise ValueError(
            f"optimize_mode is {mode!r}, but the metric {metric.name!r} is to "
            f"{metric.objective}; leave optimize_mode out"
        )
    # Beside a metric that the tuner names trials may be judged by another.
    if tuners_metric is None and theirs not in (None, mode):
        raise ValueError(f"AshaAssessor is to {mode}, but the tuner's optimize_mode is {theirs!r}")
    return str(mode)


def _epochs(name: str, value: Any, least: int) -> int:
    if not _is_number(value) or value < least or value != value // 1:
        raise ValueError(f"{name} is {value!r}, expected a whole number from {least} on")
    return int(value)


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, Real) and not isinstance(value, bool)

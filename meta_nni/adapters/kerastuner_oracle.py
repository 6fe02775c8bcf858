"""MetaOracle: an oracle for plain KerasTuner projects that remembers."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from meta_nni.adapters.environment import environment
from meta_nni.adapters.kerastuner_count import HypermodelCounter
from meta_nni.adapters.kerastuner_search import SearchOracle
from meta_nni.adapters.kerastuner_space import KerasTunerSpace, complete
from meta_nni.adapters.nni_arguments import TunerArguments
from meta_nni.controllers import make
from meta_nni.data import Dataset, load_data
from meta_nni.limits import LIMITS, read_limits
from meta_nni.metafeatures import compute_metafeatures
from meta_nni.search import Search
from meta_nni.store_checkpoints import first_checkpoint
from meta_nni.task import Task
from meta_nni.trial import Result, Run

__all__ = ["MetaOracle"]

_METAFEATURE_SECONDS = 30.0  # generous: a guard that cuts in makes runs differ
_MAX_REASON = 500  # characters
_LATE = "hyperparameter "  # what the name of a late one begins with among the metrics

_log = logging.getLogger(__name__)


class MetaOracle(SearchOracle):
    """An oracle for any tuner of KerasTuner that remembers earlier searches.

    One argument of an existing project changes, the oracle::

        tuner = keras_tuner.Tuner(
            oracle=meta_nni.MetaOracle(objective="val_accuracy", max_trials=20, task="digits"),
            hypermodel=build,
        )

    The search space is what KerasTuner finds by building the hypermodel before the first
    trial, with all conditional scopes that the build enters. A hyperparameter that only a
    later trial reveals, as one inside `if hp.Boolean(…):` without such a scope, keeps its
    default in this project, which the log and the trial's metrics say; name it beforehand
    in `hyperparameters` to have it searched.

    The end of a search leaves a report of the run beside the store, as `meta-nni report`
    writes it; a search that is interrupted leaves none.

    Args:
        objective: As `keras_tuner.Oracle` takes it; it says the direction.
        max_trials: Most trials; None is no limit.
        seed: Of all proposals; None draws one and logs it.
        store: Path or URL of the store; None: `$META_NNI_STORE`, else the user's own.
        knowledge: "shipped" to use the package's own experience too, or "none".
        controller: "meta", "portfolio", "evolution", "reinforce" or "random".
        task: A name, or `{"name": …, "metafeatures": {…}}`; None: the project's name.
        data: Training rows to compute metafeatures from: arrays `(x, y)`, or
            `{"npz": file}`. None does without.
        recipe: Name of how trials train and measure, recorded with the run.
        limits: The most that a trial may measure, such as `{"seconds": 60, "parameters":
            100_000}`, or `{"val_recall": {"min": 0.8}}`. A trial that breaks one is kept, but
            is none of the best. What a limit needs is among the metrics that the model or
            `run_trial` reports, or "seconds", or "parameters" with `hypermodel`.
        objectives: Two or more, such as `["value", {"seconds": "minimize"}]`: the search is for
            the Pareto front, see `meta-nni best --front`.
        hypermodel: What the tuner builds, a function or a `keras_tuner.HyperModel`: then
            parameters are counted by building, before a config is proposed where they are
            limited. The models begin with `keras.Input`.
        kwargs: As `keras_tuner.Oracle` takes them.

    Raises:
        ValueError, TypeError: naming the argument, what came and what was expected.
    """

    def __init__(
        self,
        objective: Any = None,
        max_trials: int | None = None,
        seed: int | None = None,
        *,
        store: Any = None,
        knowledge: Any = "shipped",
        controller: Any = "meta",
        task: Any = None,
        data: Any = None,
        recipe: Any = None,
        limits: Any = None,
        objectives: Any = None,
        hypermodel: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            "kerastuner", objective=objective, max_trials=max_trials, seed=seed, **kwargs
        )
        is_max, is_arrays = self.objective.direction == "max", isinstance(data, tuple)
        given = {"store": store, "knowledge": knowledge, "task": task, "controller": controller}
        given |= {"seed": seed, "recipe": recipe, "limits": limits, "objectives": objectives}
        given |= {"data": None if is_arrays else data}
        given |= {"optimize_mode": "maximize" if is_max else "minimize"}
        self._arguments = TunerArguments.check(given, default_task="keras-tuner")
        self.limits = read_limits(limits)
        self._counter = None if hypermodel is None else HypermodelCounter(hypermodel)
        self._named = task is not None
        self._rows = Dataset.from_arrays(*data, name=" of data") if is_arrays else None
        self._opening = threading.Lock()  # a chief serves each worker in a thread of its own
        self._began: dict[str, float] = {}
        self._late: set[str] = set()
        self._is_ending = False

    def create_trial(self, tuner_id: str) -> Any:
        """Creates a trial; the first call opens the run, the one that gets none reports on it."""
        with self._opening:
            if self._search is None:
                self._open()
        trial = super().create_trial(tuner_id)
        self._began[trial.trial_id] = time.monotonic()
        if trial.status == "STOPPED":
            self._is_ending = True
            self._leave_report()
        return trial

    def end_trial(self, trial: Any) -> None:
        """Records a trial that is over; the last one, and one too many that failed, ends all."""
        ends = True  # KerasTuner raises an error at the end of too many failures in a row
        try:
            super().end_trial(trial)
            ends = self._is_ending
        finally:
            if ends:
                self._leave_report()

    def _leave_report(self) -> None:
        """Writes the run's report; again after each trial that other workers still had."""
        from meta_nni.report import leave_report

        leave_report(self._arguments.store, self.run_id)

    def _open(self) -> None:
        given, space = self._arguments, KerasTunerSpace.of_all(self.hyperparameters)
        if any(known.run_id == self.run_id for known in given.store.runs()):
            run = given.store.history(self.run_id).run
            space = replace(space, space=run.space)  # trials may have revealed more since
        else:
            run = Run(
                self.run_id,
                self._task(),
                space.space,
                metric=self.objective.name,
                recipe=given.recipe,
                environment=environment(),
                extra=given.aims,
            )
        is_counted = self._counter is not None and "parameters" in run.extra.get(LIMITS, {})
        count = (lambda config: self._parameters(space.to_values(config))) if is_counted else None
        network = first_checkpoint(given.store.name, run.space, given.knowledge)
        controller = make(given.controller, network, count)
        self.begin(
            Search.open(given.store, run, controller, seed=given.seed, knowledge=given.knowledge),
            space,
        )

    def _task(self) -> Task:
        given = self._arguments
        task = given.task if self._named else replace(given.task, name=self.project_name)
        rows = load_data(given.data) if given.data is not None else self._rows
        if rows is None:
            return task
        rng = np.random.default_rng(0)
        computed = compute_metafeatures(rows, rng, seconds=_METAFEATURE_SECONDS)
        return replace(task, metafeatures={**computed, **task.metafeatures})

    def _result(self, trial: Any) -> Result:
        began = self._began.get(trial.trial_id)
        seconds = None if began is None else time.monotonic() - began
        if trial.status != "COMPLETED":
            lines = (trial.message or "").strip().splitlines() or ["the trial failed"]
            return Result.failed(lines[-1][:_MAX_REASON], seconds)
        measured = {name: trial.metrics.get_best_value(name) for name in trial.metrics.metrics}
        metrics = {name: float(v) for name, v in measured.items() if _is_finite(v)}
        metrics |= self._defaults(trial)
        if self._counter is not None:
            number = self._parameters(trial.hyperparameters.values)
            metrics |= {"parameters": number} if math.isfinite(number) else {}
        return Result(trial.score, seconds=seconds, metrics=metrics)

    def _parameters(self, values: Mapping[str, Any]) -> float:
        assert self._counter is not None
        return self._counter(complete(values, self.hyperparameters))

    def _known_result(self, trial: Any) -> Result | None:
        """What the store has of a trial: KerasTuner does not keep all of a result."""
        store = self._arguments.store
        if not any(known.run_id == self.run_id for known in store.runs()):
            return None
        history, space = store.history(self.run_id), KerasTunerSpace.of_all(self.hyperparameters)
        try:
            config = replace(space, space=history.run.space).to_config(trial.hyperparameters.values)
        except ValueError:
            return None  # another tuner's, of another space
        key = history.run.space.key
        return next((t.result for t in history.trials if key(t.config) == key(config)), None)

    def _defaults(self, trial: Any) -> dict[str, float]:
        """The numbers among the hyperparameters that were revealed too late to be searched."""
        values = trial.hyperparameters.values
        late = {name: value for name, value in values.items() if name not in self._space.known}
        for name in late.keys() - self._late:
            _log.warning(
                "hyperparameter %r was revealed after the search began: it keeps %r, its default, "
                "in this project",
                name,
                late[name],
            )
        self._late |= late.keys()
        return {f"{_LATE}{name}": float(v) for name, v in late.items() if _is_finite(v)}


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and math.isfinite(value)

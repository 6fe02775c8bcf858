"""MetaAutoTuner: AutoKeras's tuner that remembers."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import keras_tuner
import tree
from keras_tuner.src.engine import tuner_utils

from meta_nni.adapters.autokeras_affordable import AffordableController
from meta_nni.adapters.autokeras_explore import explore
from meta_nni.adapters.autokeras_last_fit import better_of
from meta_nni.adapters.autokeras_latency import check_latency_batch, latency
from meta_nni.adapters.autokeras_mend import MendedAutoTuner
from meta_nni.adapters.autokeras_oracle import MetaOracle
from meta_nni.adapters.autokeras_space import AutoKerasSpace
from meta_nni.adapters.autokeras_task import describe, task_name
from meta_nni.adapters.autokeras_trial import (
    DeadlineCallback,
    TrialCallback,
    TrialRecord,
    failure_reason,
)
from meta_nni.adapters.environment import environment
from meta_nni.adapters.nni_arguments import ArgumentError, TunerArguments
from meta_nni.controllers import make
from meta_nni.limits import LIMITS, read_limits
from meta_nni.models.outline import Sizes
from meta_nni.search import Search
from meta_nni.store_checkpoints import first_checkpoint
from meta_nni.task import Task
from meta_nni.trial import Config, Run, Suggestion

__all__ = ["MetaAutoTuner"]

_RECIPE = "autokeras-fit"
_NOT_GIVEN = {"data": None, "recipe": _RECIPE}
_ORACLE_ARGUMENTS = (
    "hyperparameters",
    "tune_new_entries",
    "allow_new_entries",
    "max_retries_per_trial",
    "max_consecutive_failed_trials",
)
_MIN_PARAMETERS = 5_000_000  # affordable anywhere
_PARAMETERS_PER_ROW = 1_000
_MAX_OVERTIME = 2.0  # of the limit: a training cut short still counts
_MAX_DEATHS = 2  # of the process in one trial, which KerasTuner begins again on reload


class MetaAutoTuner(MendedAutoTuner):
    """A tuner for AutoKeras that remembers earlier searches and proposes from them.

    One argument changes in an existing project::

        ak.ImageClassifier(tuner=meta_nni.MetaAutoTuner, max_trials=10)

    So for AutoKeras's other tasks and for `ak.AutoModel`, with every argument they have.
    Those below are further keywords of theirs. Training rows are read once before the first
    trial, to describe the task; the whole conditional space is known from then on. A trial
    that fails, is too large, or takes too long is remembered as such, and the search goes on.

    Args:
        hypermodel: AutoKeras's graph.
        objective: The name of a metric, or a `keras_tuner.Objective`.
        max_trials: Most trials; None is no limit.
        seed: Of all proposals; None draws one and logs it.
        store: Path or URL of the store; None: `$META_NNI_STORE`, else the user's own.
        knowledge: "shipped" to use the package's own experience too, or "none".
        controller: "meta", "portfolio", "evolution", "reinforce" or "random".
        task: A name, or `{"name": …, "metafeatures": {…}}`; None: the project's name with a
            mark of its data.
        limits: The most that a trial may measure, such as `{"parameters": 100_000, "latency_ms":
            5}`, or `{"val_accuracy": {"min": 0.8}}`. Parameters, trainable or not, are counted
            before a candidate is proposed; other limits are learned. A trial that breaks one
            is kept, but is never the best, nor its model what `fit` leaves.
        objectives: Two or more, such as `["value", {"parameters": "minimize"}]`: the search is
            for the Pareto front, see `meta-nni best --front`; `fit` leaves the best in value.
        latency_batch: Rows predicted together to measure `latency_ms`; None does not measure.
        seconds_per_trial: When they are up the trial's best epoch counts; a trial without
            one fails. None is no limit. The last fit has no such limit.
        max_total_seconds: Of `fit` as a whole. No trial begins that would leave the last
            fit without time; both are cut short at the end. None is no limit.
        kwargs: As KerasTuner's tuners and oracles take them. A search goes on however many
            trials fail in a row unless `max_consecutive_failed_trials` says otherwise.
            Without `max_model_size` candidates of more than 1,000 parameters per training
            row, and of more than 5 million, are not proposed as long as there are others.

    Raises:
        ValueError, TypeError: naming the argument, what came and what was expected.
    """

    _clock = staticmethod(time.monotonic)  # seconds of trials; those of `fit` are always these

    def __init__(
        self,
        hypermodel: Any,
        objective: Any = "val_loss",
        max_trials: int | None = 10,
        seed: int | None = None,
        *,
        store: Any = None,
        knowledge: Any = "shipped",
        controller: Any = "meta",
        task: Any = None,
        limits: Any = None,
        objectives: Any = None,
        latency_batch: Any = None,
        seconds_per_trial: Any = None,
        max_total_seconds: Any = None,
        **kwargs: Any,
    ) -> None:
        decides = {name: kwargs.pop(name) for name in _ORACLE_ARGUMENTS if name in kwargs}
        decides = {"max_consecutive_failed_trials": sys.maxsize, **decides}
        oracle = MetaOracle(objective=objective, max_trials=max_trials, seed=seed, **decides)
        given = {"store": store, "knowledge": knowledge, "task": task, "controller": controller}
        given |= {"seed": seed, "limits": limits, "objectives": objectives}
        is_max = oracle.objective.direction == "max"
        given |= {"optimize_mode": f"{'max' if is_max else 'min'}imize", **_NOT_GIVEN}
        self._trial_seconds = _seconds("seconds_per_trial", seconds_per_trial)
        self._total_seconds = _seconds("max_total_seconds", max_total_seconds)
        self._names_task = task is None
        self._arguments = TunerArguments.check(given, kwargs.get("project_name") or "autokeras")
        self._latency_batch = check_latency_batch(latency_batch, self._arguments.aims)
        oracle.limits = read_limits(limits)
        self._epochs: int | None = None
        self._rows: dict[str, Any] = {}
        self._started = time.monotonic()
        super().__init__(oracle, hypermodel, **kwargs)

    def search(
        self,
        epochs: int | None = None,
        callbacks: Any = None,
        validation_split: float = 0,
        **fit_kwargs: Any,
    ) -> Any:
        """Searches, and fits the best candidate again; see AutoKeras.

        Raises:
            RuntimeError: No trial gave a value; says why.
        """
        self._started, self._epochs = time.monotonic(), epochs
        self._rows = fit_kwargs
        search = None
        if not self._finished and not self._is_worker():
            search = self._open(epochs, validation_split, fit_kwargs)
        try:
            return super().search(
                epochs=epochs,
                callbacks=callbacks,
                validation_split=validation_split,
                **fit_kwargs,
            )
        finally:
            self._rows = {}
            if search is not None:
                from meta_nni.report import leave_report

                search.close()
                leave_report(self._arguments.store, search.run.run_id)

    # Opening the run

    def _open(self, epochs: int | None, split: float, fit_kwargs: dict[str, Any]) -> Search:
        x, y = fit_kwargs["x"], fit_kwargs["y"]
        space = self._explore(epochs, split, x, y)
        given = self._arguments
        run = self._run(space, x, y)
        space = replace(space, space=run.space)  # trials may have revealed more since it began
        network = first_checkpoint(given.store.name, run.space, given.knowledge)
        sizes = Sizes(self.hypermodel)
        count = _counter(space, sizes) if "parameters" in run.extra.get(LIMITS, {}) else None
        controller = AffordableController(
            make(given.controller, network, count),
            lambda suggestion: self._objection(space, sizes, suggestion, len(tree.flatten(x)[0])),
        )
        search = Search.open(
            given.store, run, controller, seed=given.seed, knowledge=given.knowledge
        )
        self.oracle.begin(search, space, self._is_over)
        return search

    def _explore(self, epochs: int | None, split: float, x: Any, y: Any) -> AutoKerasSpace:
        """Finds the whole space, and tells the oracle of it before its first trial."""
        hyperparameters = self.oracle.get_space()
        self._prepare_model_build(hyperparameters, x=x, y=y)  # sets the graph's shapes
        self.hypermodel.set_fit_args(split, epochs=epochs)
        self.oracle.update_space(explore(self.hypermodel, hyperparameters))
        return AutoKerasSpace.of(self.oracle.hyperparameters, self.hypermodel.blocks)

    def _run(self, space: AutoKerasSpace, x: Any, y: Any) -> Run:
        """The run of this project, which the store knows if it goes on."""
        store, task, run_id = self._arguments.store, self._arguments.task, self.oracle.run_id
        if any(known.run_id == run_id for known in store.runs()):
            return store.history(run_id).run
        name = task_name(task.name, x, y) if self._names_task else task.name
        metafeatures = {**describe(self.hypermodel, x, y), **task.metafeatures}
        return Run(
            run_id,
            Task(name, task.objective, metafeatures),
            space.space,
            metric=self.oracle.objective.name,
            recipe=_RECIPE,
            environment=environment(),
            extra=self._arguments.aims,
        )

    # What is affordable

    def _objection(
        self, space: AutoKerasSpace, sizes: Sizes, suggestion: Suggestion, rows: int
    ) -> str | None:
        limit = self._trial_limit()
        if limit is not None and (suggestion.seconds or 0.0) > _MAX_OVERTIME * limit:
            return f"predicted to take {suggestion.seconds:.0f} s, the limit is {limit:.0f} s"
        most = self.max_model_size or max(_MIN_PARAMETERS, _PARAMETERS_PER_ROW * rows)
        try:
            number = sizes(space.to_values(suggestion.config)).trainable
        except Exception as error:  # AutoKeras may fail in any way
            return failure_reason(error)
        return f"{number} parameters, the limit is {most}" if number > most else None

    def _remaining(self) -> float:
        """Seconds that are left of `fit`."""
        total = self._total_seconds
        return sys.float_info.max if total is None else total - (time.monotonic() - self._started)

    def _is_over(self) -> bool:
        if self._total_seconds is None:
            return False
        done = [each for each in self.oracle.trials.values() if each.status == "COMPLETED"]
        # With less time than the shortest trial took a further one would be begun in vain.
        shortest = min((self._record(trial).seconds for trial in done), default=0.0)
        return self._remaining() - self._last_fit_seconds() <= shortest

    def _trial_limit(self) -> float | None:
        """Seconds that a trial may take if it began now."""
        limits = [] if self._trial_seconds is None else [self._trial_seconds]
        if self._total_seconds is not None:
            limits.append(max(self._remaining() - self._last_fit_seconds(), 0.0))
        return min(limits, default=None)

    def _last_fit_seconds(self) -> float:
        """How long the last fit would take: as many epochs as it has, of the best trial's."""
        best = next(iter(self.oracle.get_best_trials(1)), None)
        record = TrialRecord() if best is None else self._record(best)
        if best is None or best.score is None or not record.curve:
            return 0.0
        return record.seconds / len(record.curve) * (self._epochs or best.best_step + 1)

    def _record(self, trial: Any) -> TrialRecord:
        return TrialRecord.read(self.get_trial_dir(trial.trial_id))

    # Trials

    def _run_and_update_trial(self, trial: Any, *fit_args: Any, **fit_kwargs: Any) -> None:
        """Runs a trial, and records what it gave before KerasTuner judges it."""
        began, limit = self._clock(), self._trial_limit()
        deaths = self._record(trial).deaths
        self._trial = TrialRecord(budget=self._budget(limit, fit_kwargs))
        self._histories: list[Any] = []  # of the trial's executions
        self._watch = TrialCallback(self.oracle.objective, lambda: self._clock() - began, limit)
        folder = self.get_trial_dir(trial.trial_id)
        TrialRecord(deaths=deaths + 1).write(folder)  # stands if the process dies
        try:
            if deaths >= _MAX_DEATHS:
                raise keras_tuner.errors.FailedTrialError(
                    f"the process died {deaths} times in this trial, as when memory runs out"
                )
            super()._run_and_update_trial(trial, *fit_args, **fit_kwargs)
        except Exception as error:
            self._trial.reason = failure_reason(error)
            own = self._trial_seconds
            self._trial.cut = self._watch.late and (own is None or (limit or 0.0) < own)
            raise
        finally:
            self._trial.seconds = self._clock() - began
            self._trial.curve = self._watch.curve
            self._trial.write(folder)

    def _build_and_fit_model(self, trial: Any, *args: Any, **kwargs: Any) -> Any:
        if self._histories and self._watch.is_late():
            return self._histories[-1]  # no time for another execution
        self._watch.curve.clear()
        kwargs["callbacks"] = [*kwargs["callbacks"], self._watch]
        try:
            history = super()._build_and_fit_model(trial, *args, **kwargs)
        except keras_tuner.errors.FailedTrialError:
            if self._histories and self._watch.late:
                return self._histories[-1]
            raise
        self._histories.append(history)
        best = tuner_utils.convert_to_metrics_dict(self._histories, self.oracle.objective)
        self._trial.metrics = {name: float(value) for name, value in best.items()}
        self._trial.metrics["parameters"] = float(history.model.count_params())
        if self._latency_batch is not None:
            rows = kwargs.get("validation_data") or (kwargs["x"], kwargs["y"])
            self._trial.metrics["latency_ms"] = latency(
                history.model, self._pipeline_path(trial.trial_id), rows, self._latency_batch
            )
        return history

    def _budget(self, limit: float | None, fit_kwargs: dict[str, Any]) -> dict[str, float]:
        validation = fit_kwargs.get("validation_data")
        rows = [fit_kwargs["x"], *([] if validation is None else [validation[0]])]
        spent = {
            "epochs": fit_kwargs["epochs"],
            "samples": sum(len(tree.flatten(each)[0]) for each in rows),
            "batch_size": fit_kwargs.get("batch_size"),
            "seconds": limit,
            "parameters": self.max_model_size,
        }
        return {name: float(value) for name, value in spent.items() if value is not None}

    def final_fit(self, **kwargs: Any) -> Any:
        """Fits the best candidate again, as AutoKeras does, until no time is left.

        Where that fit is worse on the validation rows than the best trial was, the trial's
        weights are kept, see `autokeras_last_fit`.

        Raises:
            RuntimeError: No trial gave a value; says why.
        """
        self._require_a_value()
        if self._total_seconds is not None:
            kwargs["callbacks"] = [*kwargs["callbacks"], DeadlineCallback(self._remaining)]
        pipeline, model, history = super().final_fit(**kwargs)
        return (*better_of(self, (pipeline, model), self._rows), history)

    def get_best_model(self) -> Any:
        """Returns the model of the last fit; before it, the best trial's.

        Raises:
            RuntimeError: No trial gave a value; says why.
        """
        self._require_a_value()
        return super().get_best_model()

    def _require_a_value(self) -> None:
        trials = self.oracle.get_best_trials(1)
        if trials and trials[0].status == "COMPLETED":
            return
        reason = f": {self._record(trials[0]).reason}" if trials else ""
        limits = self._arguments.aims.get(LIMITS)
        kept = f" within the limits {dict(limits)}" if limits else ""
        raise RuntimeError(
            f"there is no best model, since no trial gave a value{kept}{reason}; "
            "allow more seconds, parameters or trials"
        )


def _counter(space: AutoKerasSpace, sizes: Sizes) -> Callable[[Config], float]:
    def count(config: Config) -> float:
        try:
            return float(sizes(space.to_values(config)).total)
        except Exception:  # AutoKeras may fail in any way
            return math.inf

    return count


def _seconds(name: str, value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if value is None or (is_number and 0 < value < sys.float_info.max):
        return None if value is None else float(value)
    raise ArgumentError(f"{name} is {value!r}, expected seconds above 0, or None for no limit")

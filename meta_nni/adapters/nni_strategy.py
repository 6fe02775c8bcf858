"""MetaStrategy: the search that remembers, as an exploration strategy of NNI's NAS."""

from __future__ import annotations

import meta_nni.adapters.nni_nas_framework  # noqa: F401  before nni.nas

# isort: split
import itertools
import time
import uuid
from collections.abc import Iterator
from typing import Any

import nni
from nni.nas.execution import ExecutionEngine, SequentialExecutionEngine
from nni.nas.execution.event import (
    FinalMetricEvent,
    IntermediateMetricEvent,
    ModelEventType,
    TrainingEndEvent,
)
from nni.nas.space import ExecutableModelSpace, ModelStatus
from nni.nas.strategy.base import Strategy

from meta_nni.adapters.nni_nas_space import Samples
from meta_nni.adapters.nni_process import experiment_id
from meta_nni.adapters.nni_strategy_engine import FailedEvent, MeasuredEvent
from meta_nni.adapters.nni_tuner import MetaTuner
from meta_nni.trial import History

__all__ = ["MetaStrategy"]


class MetaStrategy(Strategy):  # type: ignore[misc]
    """Explores a model space by what was learned on earlier tasks.

    Works in a `NasExperiment` with the engines "sequential" and "ts" (without torch:
    `meta_nni.adapters.nni_nas.PlainNasExperiment`), and under `nnictl create` with
    `meta_nni.StrategyTuner`. All results go to the store as they come.

    The model space may be a `JsonModelSpace`, or any whose mutables are `Categorical` and
    `Numerical`. A failed model is a bad result and does not end the search; the engine
    "sequential" needs `continue_on_failure` for that, which `nas_config` sets.

    Args:
        arguments: Those of `MetaTuner`: store, knowledge, task, data, controller,
            optimize_mode, seed, recipe. Without a `task` it is called like the run.

    Raises:
        ValueError, TypeError: naming the argument, what came and what was expected.
    """

    def __init__(self, **arguments: Any) -> None:
        super().__init__()
        self._given = arguments
        self._name(f"nni-{experiment_id() or uuid.uuid4().hex}")
        self._samples: Samples | None = None
        # The engine itself holds models weakly.
        self._awaited: dict[ExecutableModelSpace, _Awaited] = {}

    def _name(self, run_id: str) -> None:
        """Names the run, before it is opened."""
        arguments = {**self._given}
        if arguments.get("task") is None:
            arguments["task"] = run_id.removeprefix("nni-")
        self._tuner = _NamedTuner(run_id, arguments)

    @property
    def run_id(self) -> str:
        """Name of the run in the store."""
        return self._tuner.run_id

    @property
    def history(self) -> History:
        """The run so far, with that of earlier sessions; once the strategy runs."""
        return self._tuner.history

    def _initialize(
        self, model_space: ExecutableModelSpace, engine: ExecutionEngine
    ) -> ExecutableModelSpace:
        self._samples = Samples.of(model_space)
        for kind, callback in self._callbacks():
            engine.register_model_event_callback(kind, callback)
        return model_space

    def _cleanup(self) -> None:
        for kind, callback in self._callbacks():
            self.engine.unregister_model_event_callback(kind, callback)
        self._tuner.close()

    def _callbacks(self) -> list[tuple[ModelEventType, Any]]:
        return [
            (ModelEventType.IntermediateMetric, self._on_intermediate),
            (ModelEventType.FinalMetric, self._on_final),
            (ModelEventType.TrainingEnd, self._on_end),
        ]

    def _run(self) -> None:
        assert self._samples is not None
        self._tuner.update_search_space(self._samples.space.to_nni())
        for number in itertools.count():
            if not self.wait_for_resource():
                break
            try:
                config = self._tuner.generate_parameters(number)
            except nni.NoMoreTrialError:
                break
            model = self.model_space.freeze(self._samples.to_sample(config))
            self._awaited[model] = _Awaited(
                number, in_process=isinstance(self.engine, SequentialExecutionEngine)
            )
            self.engine.submit_models(model)
        self.engine.wait_models()

    # Called by the engine, in a thread of its own with the engine "ts".

    def _on_intermediate(self, event: IntermediateMetricEvent) -> None:
        if event.model in self._awaited:
            self._awaited[event.model].curve.append(event.metric)

    def _on_final(self, event: FinalMetricEvent) -> None:
        if event.model in self._awaited:
            awaited = self._awaited[event.model]
            self._tuner.receive_trial_result(awaited.number, None, awaited.completed(event))

    def _on_end(self, event: TrainingEndEvent) -> None:
        awaited = self._awaited.get(event.model)
        if awaited is None or event.status == ModelStatus.Interrupted:
            return  # by Ctrl-C: lost, not failed, so that it runs again when the run is resumed
        if isinstance(event, FailedEvent):
            self._tuner.receive_trial_result(awaited.number, None, event.reported)
        self._tuner.trial_end(awaited.number, event.status == ModelStatus.Trained)
        if event.model.metric is not None:  # a result may still come after the end
            del self._awaited[event.model]

    def list_models(
        self, sort: bool = True, limit: int | None = None
    ) -> Iterator[ExecutableModelSpace]:
        """Lists the models that were measured, from the history.

        NNI's own mixes up the results of concurrent trials and forgets those of earlier
        sessions, and takes larger values for better ones whatever the direction.

        Args:
            sort: Best first, in the task's direction; else in the order of proposal.
            limit: How many at most.

        Yields:
            Frozen models with their metric.
        """
        assert self._samples is not None, "the strategy has not been initialized"
        history = self.history
        for trial in itertools.islice(history.ranked if sort else history.completed, limit):
            model = self.model_space.freeze(self._samples.to_sample(trial.config))
            model.status = ModelStatus.Trained
            model.metrics.final = trial.value
            yield model

    def state_dict(self) -> dict[str, Any]:
        """Returns what names the run; everything else is in the store."""
        return {"run_id": self.run_id}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on with a run; to be called before `run`, with the arguments it began with."""
        self._name(str(state_dict["run_id"]))


class _Awaited:
    """A model whose result is awaited.

    Attributes:
        number: What the tuner calls it.
        curve: Its intermediate results.
    """

    def __init__(self, number: int, in_process: bool) -> None:
        self.number = number
        self.curve: list[Any] = []
        self._start = time.perf_counter() if in_process else None

    def completed(self, event: FinalMetricEvent) -> Any:
        """The final result in the form of `nni_result.to_final`, with what was seen of it."""
        reported = event.reported if isinstance(event, MeasuredEvent) else event.metric
        final = dict(reported) if isinstance(reported, dict) else {"default": reported}
        final.setdefault("curve", self.curve)
        if self._start is not None:
            final.setdefault("seconds", time.perf_counter() - self._start)
        return final


class _NamedTuner(MetaTuner):
    """MetaTuner for a run of a given name."""

    def __init__(self, run_id: str, arguments: dict[str, Any]) -> None:
        super().__init__(**arguments)
        self._run_id = run_id

    @property
    def run_id(self) -> str:
        return self._run_id

    @property
    def history(self) -> History:
        return self._opened.history

    def close(self) -> None:
        """Ends the run; what is still awaited is lost, until it is resumed."""
        self._on_exit()

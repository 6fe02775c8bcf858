"""An execution engine for strategies that run inside a tuner, under `nnictl create`.

It starts trials with plain parameters, which NNI's page can show, where NNI's own engine
sends a serialized model.
"""

from __future__ import annotations

import meta_nni.adapters.nni_nas_framework  # noqa: F401  before nni.nas

# isort: split
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from nni.nas.execution import ExecutionEngine
from nni.nas.execution.event import FinalMetricEvent, ModelEvent, TrainingEndEvent
from nni.nas.space import ExecutableModelSpace, ModelStatus

from meta_nni.adapters.nni_nas_space import Samples
from meta_nni.adapters.nni_result import from_final
from meta_nni.trial import Config

__all__ = ["FailedEvent", "MeasuredEvent", "TunerEngine"]

_log = logging.getLogger(__name__)


@dataclass
class MeasuredEvent(FinalMetricEvent):  # type: ignore[misc]
    """A final metric, a number, with all else that the trial reported.

    Attributes:
        reported: See `nni_result.from_final`.
    """

    reported: Any


@dataclass
class FailedEvent(TrainingEndEvent):  # type: ignore[misc]
    """The end of a trial that reported no number.

    Attributes:
        reported: What it reported, such as a reason; see `nni_result.from_final`.
    """

    reported: Any


class TunerEngine(ExecutionEngine):  # type: ignore[misc]
    """Trades models for the parameter ids that NNI's manager asks a tuner for.

    After a resume a strategy begins anew: with a seed it proposes what it proposed before.
    What was measured then is answered at once, without a trial, and what NNI is running
    again by itself is waited for.

    Args:
        samples: Turns models into configs.
    """

    def __init__(self, samples: Samples) -> None:
        super().__init__()
        self._samples = samples
        self._free: deque[int] = deque()
        self._send: Callable[[int, Config], None] | None = None
        self._models: dict[int, ExecutableModelSpace] = {}
        self._history: list[ExecutableModelSpace] = []
        self._known: dict[str, Any] = {}
        self._rerun: dict[str, list[ExecutableModelSpace]] = {}
        self._closed = False
        self._changed = threading.Condition()  # of free ids, models, what is known and the end

    # The strategy's side.

    def submit_models(self, *models: ExecutableModelSpace) -> None:
        """Starts a trial for each model, as soon as NNI has asked for one."""
        for model in models:
            config = self._samples.to_config(model.sample)
            key = self._samples.space.key(config)
            with self._changed:
                model.status = ModelStatus.Training
                self._history.append(model)
                is_known = key in self._known
                is_awaited = not is_known and key in self._rerun
                if is_awaited:
                    self._rerun[key].append(model)
            if is_known:
                self._answer(model, self._known[key])
            elif not is_awaited:
                self._start(model, config)

    def _start(self, model: ExecutableModelSpace, config: Config) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._free or self._closed)
            if self._closed or self._send is None:
                return
            parameter_id = self._free.popleft()
        self._models[parameter_id] = model
        self._send(parameter_id, config)

    def list_models(self, status: ModelStatus | None = None) -> list[ExecutableModelSpace]:
        """Lists the models that were submitted in this session."""
        return [model for model in self._history if status in (None, model.status)]

    def idle_worker_available(self) -> bool:
        """Waits until NNI asks for a trial; returns whether it does, or the end has come."""
        with self._changed:
            self._changed.wait_for(lambda: self._free or self._closed)
            return not self._closed

    def budget_available(self) -> bool:
        """Whether the experiment goes on; NNI itself counts trials and time."""
        return not self._closed

    def wait_models(self, *models: ExecutableModelSpace) -> None:
        """Waits for the end of these models, of all if none is named, or of the experiment."""
        waiting = models or tuple(self._history)
        with self._changed:
            self._changed.wait_for(
                lambda: self._closed or all(model.status.completed() for model in waiting)
            )

    def default_callback(self, event: ModelEvent) -> None:
        """Takes note of an event, after the strategy."""
        super().default_callback(event)
        with self._changed:
            self._changed.notify_all()

    def shutdown(self) -> None:
        """Makes strategies end."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def state_dict(self) -> dict[str, Any]:
        """Returns nothing: NNI keeps what was measured, and tells it after a resume."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes nothing back."""

    # The tuner's side.

    def offer(self, parameter_ids: Sequence[int], send: Callable[[int, Config], None]) -> None:
        """Takes note of trials that NNI asked for; `send` starts one."""
        with self._changed:
            self._send = send
            self._free.extend(parameter_ids)
            self._changed.notify_all()

    def unused(self) -> int | None:
        """Takes back one of the ids that no strategy has used; None if there is none."""
        with self._changed:
            return self._free.popleft() if self._free else None

    def report(self, parameter_id: int, reported: Any) -> None:
        """Passes on the final result of a trial."""
        if parameter_id in self._models:
            self._conclude(self._models[parameter_id], reported)

    def config(self, parameter_id: int) -> Config | None:
        """Returns what was proposed by this id; None if it is not of this session."""
        model = self._models.get(parameter_id)
        return None if model is None else self._samples.to_config(model.sample)

    def end(self, parameter_id: int, success: bool) -> None:
        """Passes on that a trial is over, in case it reported nothing itself."""
        if parameter_id in self._models:
            status = ModelStatus.Trained if success else ModelStatus.Failed
            self._end(self._models[parameter_id], status)

    def _end(self, model: ExecutableModelSpace, status: ModelStatus) -> None:
        if not model.status.completed():
            self.dispatch_model_event(TrainingEndEvent(model, status))

    def expect(self, configs: Sequence[Config]) -> None:
        """Takes note of configs that NNI itself runs again after a resume."""
        for config in configs:
            self._rerun.setdefault(self._samples.space.key(config), [])

    def know(self, config: Config, reported: Any) -> None:
        """Takes note of a result of an earlier session, or of a trial that was run again."""
        key = self._samples.space.key(config)
        with self._changed:
            self._known[key] = reported
            waiting = self._rerun.pop(key, [])
        for model in waiting:
            self._answer(model, reported)

    def _answer(self, model: ExecutableModelSpace, reported: Any) -> None:
        """Concludes a model that has no trial of this session, of whose end NNI would tell."""
        self._conclude(model, reported)
        self._end(model, ModelStatus.Trained)

    def _conclude(self, model: ExecutableModelSpace, reported: Any) -> None:
        value = from_final(reported)[0].value
        if value is not None:
            self.dispatch_model_event(MeasuredEvent(model, value, reported))
        elif not model.status.completed():
            _log.warning("the trial of %s failed: %s", model.sample, reported)
            self.dispatch_model_event(FailedEvent(model, ModelStatus.Failed, reported))

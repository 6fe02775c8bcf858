"""NNI's NAS experiments without torch, in process or as trials, that can be resumed.

Such as::

    model_space = JsonModelSpace(json.loads(Path("search_space.json").read_text()))
    evaluator = FunctionalEvaluator(evaluate)  # a function that trains model.config
    config = nas_config("sequential", max_trials=20)
    PlainNasExperiment(model_space, evaluator, MetaStrategy(task="mine"), config).run()

All of NNI that is needed is here, since `nni.nas` can only be imported after this.
"""

from __future__ import annotations

from meta_nni.adapters.nni_nas_framework import HAS_TORCH

# isort: split
import logging
from typing import Any, Literal

from nni.nas.evaluator import FunctionalEvaluator
from nni.nas.experiment import NasExperiment, NasExperimentConfig
from nni.nas.space import ExecutableModelSpace, SimplifiedModelSpace
from nni.nas.utils.serializer import JsonSerializer, set_default_serializer
from nni.runtime.tuner_command_channel import TunerCommandChannel

from meta_nni.adapters.nni_nas_space import JsonModelSpace

__all__ = ["FunctionalEvaluator", "JsonModelSpace", "PlainNasExperiment", "nas_config"]

_log = logging.getLogger(__name__)

if not HAS_TORCH:  # NNI's default serializer is torch's
    set_default_serializer(JsonSerializer())


class PlainNasExperiment(NasExperiment):  # type: ignore[misc]
    """NNI's `NasExperiment` for model spaces of any framework, or of none.

    The config has to be given, and its `model_format` has to be "simplified"; see
    `nas_config`. Two defects of NNI 3.0 are mended: model spaces that are not torch's are
    refused, and a resumed experiment waits for ever.
    """

    def executable_model_factory(self, config: Any) -> ExecutableModelSpace:
        """Returns what strategies explore; NNI's own demands a torch module here."""
        return SimplifiedModelSpace.from_model(self.model_space, self.evaluator)

    def execution_engine_factory(self, config: Any) -> Any:
        """Returns NNI's engine, which listens to its manager from its constructor on."""
        TunerCommandChannel.receive = _receive
        return super().execution_engine_factory(config)


def nas_config(
    engine: Literal["sequential", "ts"], max_trials: int | None = None, concurrency: int = 1
) -> NasExperimentConfig:
    """Returns a config whose defaults need no torch, and with which a failed model ends nothing.

    Args:
        engine: "sequential" evaluates in this process, "ts" starts NNI's manager and trials.
        max_trials: Models to evaluate, or no limit.
        concurrency: Trials at once, with "ts".
    """
    config = NasExperimentConfig(
        execution_engine=engine, model_format="simplified", training_service_platform="local"
    )
    if engine == "sequential":
        config.execution_engine.continue_on_failure = True
    config.max_trial_number = max_trials
    config.trial_concurrency = concurrency
    return config


_receive_known = TunerCommandChannel.receive


def _receive(channel: TunerCommandChannel) -> Any:
    """As NNI's own, but what it does not know does not end the thread that listens.

    When an experiment is resumed the manager sends earlier results (ImportData) first.
    """
    while True:
        try:
            return _receive_known(channel)
        except ValueError as error:
            if "Unknown command type" not in str(error):
                raise
            _log.debug("ignored a command of NNI's manager: %s", error)

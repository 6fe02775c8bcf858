"""Counting the parameters of a KerasTuner project's models before they are proposed."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

import keras
import keras_tuner

from meta_nni.adapters.nni_arguments import ArgumentError

__all__ = ["HypermodelCounter"]

_log = logging.getLogger(__name__)


class HypermodelCounter:
    """Counts by building the model; of the same values only once.

    Args:
        hypermodel: A function, or a `keras_tuner.HyperModel`, as tuners take it.

    Raises:
        ArgumentError: It is neither.
    """

    def __init__(self, hypermodel: Any) -> None:
        is_hypermodel = isinstance(hypermodel, keras_tuner.HyperModel)
        self._build = hypermodel.build if is_hypermodel else hypermodel
        if not callable(self._build):
            raise ArgumentError(
                f"hypermodel is {hypermodel!r}, expected what the tuner gets: a function that "
                "builds a model, or a keras_tuner.HyperModel"
            )
        self._known: dict[str, float] = {}

    def __call__(self, values: Mapping[str, Any]) -> float:
        """Returns the parameters, trainable or not; inf where the model cannot be built.

        Args:
            values: KerasTuner's values by name; what is missing has its default.

        Raises:
            ArgumentError: The model does not say the shape of its input.
        """
        key = repr(sorted(values.items()))
        if key not in self._known:
            self._known[key] = self._count(values)
        return self._known[key]

    def _count(self, values: Mapping[str, Any]) -> float:
        hyperparameters = keras_tuner.HyperParameters()
        hyperparameters.values = dict(values)
        keras.backend.clear_session()
        try:
            model = self._build(hyperparameters)
        except Exception as error:  # a user's code may fail in any way
            _log.info("cannot build %s: %s", dict(values), error)
            return math.inf
        if not model.built:
            raise ArgumentError(
                "the hypermodel's parameters cannot be counted: its model has no weights before "
                "it sees data; begin it with keras.Input(shape), or leave hypermodel out"
            )
        return float(model.count_params())

"""The size of what AutoKeras would build, without building it.

Models are outlined only: they have layers and shapes, but no weights, so that the largest
network takes about a second and no memory.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import keras
import keras_tuner

__all__ = ["Size", "Sizes", "outline"]

_OF_TRAINING = ("optimizer", "learning_rate")
_WEIGHTLESS = ("dropout", "augment")  # the last part of a name; a random layer has no weights
_AUGMENTATION = "/image_augmentation_"


class Size(NamedTuple):
    """Numbers of parameters.

    Attributes:
        trainable: Those that training changes, which `max_model_size` of KerasTuner limits.
        total: All, which `Model.count_params` counts.
    """

    trainable: int
    total: int


def outline(graph: Any, hyperparameters: keras_tuner.HyperParameters) -> Size:
    """Outlines a candidate, which adds to `hyperparameters` what it has.

    Args:
        graph: AutoKeras's graph, its input and output shapes set.
        hyperparameters: The values; what is missing has its default.

    Raises:
        Exception: whatever AutoKeras raises if it cannot build the candidate.
    """
    # Else blocks are named conv_block_2, and values miss them. Collecting garbage takes longer.
    keras.backend.clear_session(free_memory=False)
    compile_model = graph._compile_keras_model
    graph._compile_keras_model = lambda hyperparameters, model: model
    try:
        # Layers get their weights on leaving the scope; these never do.
        with keras.StatelessScope(initialize_variables=False):
            model = graph.build(hyperparameters)
        compile_model(hyperparameters, model)  # an optimizer cannot do without weights
        return Size(_number(model.trainable_weights), _number(model.weights))
    finally:
        del graph._compile_keras_model
        # Forgets the weights that wait for their values.
        keras.backend.clear_session(free_memory=False)


class Sizes:
    """The sizes of a graph's candidates; those that differ in no weight are outlined once.

    Args:
        graph: AutoKeras's graph, its input and output shapes set for good.
    """

    def __init__(self, graph: Any) -> None:
        self._graph = graph
        self._known: dict[str, Size] = {}

    def __call__(self, values: Mapping[str, Any]) -> Size:
        """Returns the size of a candidate.

        Args:
            values: AutoKeras's values, by AutoKeras's names; what is missing has its default.

        Raises:
            Exception: whatever AutoKeras raises if it cannot build the candidate.
        """
        key = repr(sorted((name, v) for name, v in values.items() if _has_weights(name)))
        if key not in self._known:
            hyperparameters = keras_tuner.HyperParameters()
            hyperparameters.values = dict(values)
            self._known[key] = outline(self._graph, hyperparameters)
        return self._known[key]


def _number(weights: Any) -> int:
    return sum(math.prod(weight.shape) for weight in weights)


def _has_weights(name: str) -> bool:
    """Whether a hyperparameter may change how many weights there are."""
    if name in _OF_TRAINING or _AUGMENTATION in name:
        return False
    return name.rsplit("/", 1)[-1] not in _WEIGHTLESS

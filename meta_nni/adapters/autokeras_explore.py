"""What AutoKeras would build: all hyperparameters of a graph, and the size of a candidate."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

import keras_tuner

from meta_nni.adapters.autokeras_mend import complete
from meta_nni.adapters.autokeras_space import LEFT_OUT
from meta_nni.models.outline import Sizes, outline

__all__ = ["explore", "num_parameters"]

_log = logging.getLogger(__name__)

# Of AutoKeras's own blocks; no other hyperparameter hangs on their values.
_LEAVES = (
    "version",
    "optimizer",
    "separable",
    "max_pooling",
    "use_batchnorm",
    "horizontal_flip",
    "vertical_flip",
    "reduction_type",
    "kernel_size",
    "embedding_dim",
    "max_tokens",
    "bidirectional",
    "layer_type",
)


def explore(graph: Any, start: keras_tuner.HyperParameters) -> keras_tuner.HyperParameters:
    """Finds the hyperparameters of a graph, those of branches not taken by default included.

    AutoKeras itself learns of a branch when a trial takes it. Here every other option of
    each choice that may open a branch is outlined once, and the highest of integers, which
    are numbers of layers: so everything is found that depends on one choice at a time.

    Args:
        graph: AutoKeras's graph, its input and output shapes set.
        start: What is known already; it is left as it is.

    Returns:
        All hyperparameters, in the order of AutoKeras's conditions: parents first.
    """
    known, tried = start.copy(), set[str]()
    deepest: dict[str, Any] = {}
    _reveal(graph, known, {})
    while (probe := next(_untried(known, tried), None)) is not None:
        hyperparameter, option = probe
        above = {each.name: each.values[0] for each in hyperparameter.conditions}
        found = _reveal(graph, known, {**deepest, **above, hyperparameter.name: option})
        if found and isinstance(option, int) and not isinstance(option, bool):
            deepest[hyperparameter.name] = option
    return known


def num_parameters(graph: Any, values: Mapping[str, Any]) -> int:
    """Returns the number of trainable parameters that a candidate would have.

    Args:
        graph: AutoKeras's graph, its input and output shapes set.
        values: AutoKeras's values, by AutoKeras's names; what is missing has its default.

    Raises:
        Exception: whatever AutoKeras raises if it cannot build the candidate.
    """
    return Sizes(graph)(values).trainable


def _reveal(graph: Any, known: keras_tuner.HyperParameters, values: Mapping[str, Any]) -> int:
    """Outlines a candidate, adds what it has to `known`, and returns how much that was."""
    hyperparameters = known.copy()
    hyperparameters.values = complete(values, known)
    try:
        outline(graph, hyperparameters)
    except Exception as error:  # a candidate that cannot be built reveals less
        _log.info("cannot build %s: %s", values, error)
    before = len(known.space)
    known.merge(hyperparameters, overwrite=False)
    return len(known.space) - before


def _untried(known: keras_tuner.HyperParameters, tried: set[str]) -> Iterator[tuple[Any, Any]]:
    for hyperparameter in known.space:
        for option in _probes(hyperparameter):
            key = repr((hyperparameter.get_config(), option))
            if key not in tried:
                tried.add(key)
                yield hyperparameter, option


def _probes(hyperparameter: Any) -> list[Any]:
    """The options that may reveal something; the default has been built."""
    name = hyperparameter.name.rsplit("/", 1)[-1]
    if name in (*LEFT_OUT, *_LEAVES) or name.startswith(("filters_", "units_")):
        return []
    options = list(getattr(hyperparameter, "values", [True, False]))
    if isinstance(options[0], float):
        return []
    if isinstance(options[0], int) and not isinstance(options[0], bool):
        options = [getattr(hyperparameter, "max_value", max(options))]
    return [option for option in options if option != hyperparameter.default]

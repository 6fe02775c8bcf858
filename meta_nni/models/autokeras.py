"""One AutoKeras candidate, built as AutoKeras 3.0.0 builds it but outside its search loop.

The graph of AutoKeras's task (input node, block, head) is analysed, preprocessed and built
by AutoKeras's own code. Two of its defects are kept out: its analyser takes the number of
rows for the batch size, so that `adam_weight_decay` decays to nothing within a few steps;
and it ignores hyperparameters whose names it does not use.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import autokeras as ak
import keras
import keras_tuner
import numpy as np
from autokeras.engine.tuner import AutoTuner
from autokeras.graph import Graph
from autokeras.pipeline import HyperPipeline, Pipeline
from autokeras.utils import data_utils

from meta_nni.models.hyperparameters import to_hyperparameters
from meta_nni.models.outline import Sizes
from meta_nni.models.problem import Problem
from meta_nni.models.standalone import of_columns, of_texts
from meta_nni.models.training import Candidate
from meta_nni.trial import Config

__all__ = ["build", "counter"]

_INPUTS = {"image": ak.ImageInput, "text": ak.TextInput, "tabular": ak.StructuredDataInput}
_HEADS = {"classification": ak.ClassificationHead, "regression": ak.RegressionHead}


def build(config: Config, problem: Problem, epochs: int, batch_size: int) -> Candidate:
    """Builds the model that AutoKeras makes of `config` for this kind of data and target.

    Args:
        config: Values by AutoKeras's full names, such as a config of
            `search_spaces/autokeras_image.json`. Names that are left out take AutoKeras's
            defaults.
        problem: The rows; AutoKeras derives shapes, vocabulary and column types from them.
        epochs: Epochs of training, which the schedule of `adam_weight_decay` needs.
        batch_size: Rows per step, for the same reason.

    Returns:
        The compiled candidate, its normalisation adapted to the rows to fit.

    Raises:
        ValueError: A value of the config was not used by the build, or a name occurs twice.
    """
    keras.backend.clear_session()  # else blocks are named conv_block_2, and values miss them
    graph = _make_graph(problem)
    pipeline = _preprocess(graph, problem)
    x, y = pipeline.transform((problem.x, problem.y))
    graph.set_io_shapes(data_utils.dataset_shape((x, y)))
    graph.inputs[0].batch_size = batch_size
    graph.inputs[0].num_samples = len(x)
    graph.set_fit_args(0, epochs=epochs)
    model = _build_model(graph, to_hyperparameters(config))
    AutoTuner.adapt(model, x)
    x_val = pipeline.transform_x(problem.x_val)
    return Candidate(
        model,
        x,
        y,
        x_val,
        problem.y_val,
        pipeline.transform_x,
        batch_size,
        lambda: _standalone(model, pipeline, problem),
    )


def counter(problem: Problem) -> Callable[[Config], float]:
    """Returns what counts the parameters, trainable or not, of models that `build` would make.

    Their weights are never made, which takes a quarter of the time and no memory.

    Args:
        problem: See `build`.
    """
    keras.backend.clear_session()
    graph = _make_graph(problem)
    graph.set_io_shapes(
        data_utils.dataset_shape(_preprocess(graph, problem).transform((problem.x, problem.y)))
    )
    graph.set_fit_args(0, epochs=1)
    sizes = Sizes(graph)
    return lambda config: float(sizes(to_hyperparameters(config)).total)


def _standalone(model: keras.Model, pipeline: Pipeline, problem: Problem) -> keras.Model:
    """Puts layers before the model that do what the pipeline does with NumPy."""
    steps = pipeline.inputs[0]
    if problem.kind == "text":
        return of_texts(model, steps[-1].vocab, steps[-1].max_len)
    if problem.kind == "tabular":
        labels = [encoder and list(map(float, encoder.labels)) for encoder in steps[-1].encoders]
        return of_columns(model, labels)
    return model


def _make_graph(problem: Problem) -> Graph:
    node = _INPUTS[problem.kind]()
    head = _HEADS[problem.target]()
    graph = Graph(inputs=node, outputs=head(node.get_block()(node)))
    # Blocks inside blocks are created by the build and count from 1 again.
    keras.backend.clear_session()
    return graph


def _preprocess(graph: Graph, problem: Problem) -> Pipeline:
    """Lets AutoKeras analyse all rows, as it does, and fit preprocessing to the rows to fit."""
    node, head = graph.inputs[0], graph.outputs[0].in_blocks[0]
    for part, arrays in ((node, (problem.x, problem.x_val)), (head, (problem.y, problem.y_val))):
        analyser = part.get_analyser()
        analyser.update(part.get_adapter().adapt(np.concatenate(arrays)))
        analyser.finalize()
        part.config_from_analyser(analyser)
    steps = HyperPipeline(
        inputs=[node.get_hyper_preprocessors()], outputs=[head.get_hyper_preprocessors()]
    )
    return steps.build(keras_tuner.HyperParameters(), (problem.x, problem.y))


def _build_model(graph: Graph, values: dict[str, Any]) -> keras.Model:
    hyperparameters = keras_tuner.HyperParameters()
    hyperparameters.values = dict(values)
    model = graph.build(hyperparameters)
    unused = sorted(set(values) - {parameter.name for parameter in hyperparameters.space})
    if unused:
        known = sorted({parameter.name for parameter in hyperparameters.space})
        raise ValueError(
            f"AutoKeras did not use the values {unused}; remove them or mend their names. "
            f"This model has {known}"
        )
    return model

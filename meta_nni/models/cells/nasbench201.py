"""The networks of NAS-Bench-201: `search_spaces/nasbench201.json`.

A 3x3 convolution; three stages of equal cells with C, 2 C and 4 C channels, a residual block
of stride 2 between them; global average pooling (Dong, Yang 2020, figure 1). The published
table has C = 16 and 5 cells per stage. Axes: B batch, H height, W width, C channels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import layers

from meta_nni.models.cells.classifier import Recipe, add_nodes, to_candidate, to_inputs
from meta_nni.models.cells.operations import Zero, norm, operation, relu_conv_norm
from meta_nni.models.cells.topology import Edge, nasbench201_cell
from meta_nni.models.problem import Problem
from meta_nni.models.training import Candidate
from meta_nni.trial import Config

__all__ = ["build", "cell", "network"]

_NUM_STAGES = 3
_RECIPE = Recipe(learning_rate=0.1, weight_decay=5e-4)


def build(
    config: Config,
    problem: Problem,
    epochs: int,
    batch_size: int,
    *,
    width: int = 8,
    cells: int = 1,
) -> Candidate:
    """Builds the network of a config.

    Args:
        config: A config of `nasbench201`.
        problem: Labelled images of any size, grey or with channels.
        epochs: Epochs of training, over which the learning rate falls.
        batch_size: Rows per step.
        width: Channels C of the first stage.
        cells: Cells per stage.

    Raises:
        ValueError: The config is none of the space's, or `width` or `cells` is too small.
    """
    edges = nasbench201_cell(config)
    inputs = to_inputs(problem, width, cells)
    features = network(inputs, width, cells, lambda x, filters: cell(edges, x, filters))
    return to_candidate(inputs, features, problem, epochs, batch_size, _RECIPE)


def network(
    inputs: Any, width: int, cells: int, make_cell: Callable[[Any, int], Any]
) -> keras.KerasTensor:
    """The skeleton around the cells: [B, H, W, channels] -> features [B, 4 width].

    Args:
        inputs: Images.
        width: Channels of the first stage.
        cells: Cells per stage.
        make_cell: Applies a new cell with the given channels to its input, which has as many.
    """
    stem = layers.Conv2D(width, 3, padding="same", use_bias=False)
    output = norm()(stem(inputs))
    for stage in range(_NUM_STAGES):
        filters = width * 2**stage
        if stage > 0:
            output = _halve(output, filters)
        for _ in range(cells):
            output = make_cell(output, filters)
    return layers.GlobalAveragePooling2D()(layers.ReLU()(norm()(output)))


def cell(edges: Sequence[Edge], inputs: Any, filters: int) -> Any:
    """Applies a cell: [B, H, W, filters] -> the same shape.

    A cell without any path gives zeros.
    """
    nodes: dict[int, Any] = {0: inputs}
    add_nodes(nodes, (1, 2, 3), edges, lambda edge: operation(edge.operation, filters))
    return nodes[3] if 3 in nodes else Zero()(inputs)


def _halve(inputs: Any, filters: int) -> Any:
    """The residual block between stages: [B, H, W, C] -> [B, ceil(H / 2), ceil(W / 2), 2 C]."""
    inner = relu_conv_norm(filters, 3, 2)(inputs)
    inner = relu_conv_norm(filters, 3)(inner)
    outer = layers.AveragePooling2D(2, padding="same")(inputs)
    outer = layers.Conv2D(filters, 1, use_bias=False)(outer)
    return layers.Add()([inner, outer])

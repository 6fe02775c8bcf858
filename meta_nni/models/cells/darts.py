"""The networks of DARTS's and ENAS's micro cells: `search_spaces/darts_cell.json`.

A 3x3 convolution; three stages of equal normal cells, a reduction cell, which halves height
and width and doubles the channels, between them; global average pooling (Liu et al. 2019,
section 3.1 and appendix A.2; Pham et al. 2018, section 2.4). DARTS evaluates 36 channels and
6 normal cells per stage, 20 cells in all. Axes: B batch, H height, W width, C channels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import layers

from meta_nni.models.cells.classifier import Recipe, add_nodes, to_candidate, to_inputs
from meta_nni.models.cells.operations import (
    FactorizedReduce,
    Zero,
    norm,
    operation,
    relu_conv_norm,
)
from meta_nni.models.cells.topology import DARTS_NODES, Edge, darts_cells
from meta_nni.models.problem import Problem
from meta_nni.models.training import Candidate
from meta_nni.trial import Config

__all__ = ["aligned", "build", "cell", "network"]

_STEM_FACTOR = 3  # channels of the first convolution per channel of a cell
_RECIPE = Recipe(learning_rate=0.025, weight_decay=3e-4)


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
        config: A config of `darts_cell`.
        problem: Labelled images of any size, grey or with channels.
        epochs: Epochs of training, over which the learning rate falls.
        batch_size: Rows per step.
        width: Channels C of a node in the first stage.
        cells: Normal cells per stage; 3 `cells` + 2 in all.

    Raises:
        ValueError: The config is none of the space's, or `width` or `cells` is too small.
    """
    kinds = darts_cells(config)
    inputs = to_inputs(problem, width, cells)
    features = network(
        inputs, width, cells, lambda kind, pair, filters: cell(kinds[kind], kind, pair, filters)
    )
    return to_candidate(inputs, features, problem, epochs, batch_size, _RECIPE)


def network(
    inputs: Any,
    width: int,
    cells: int,
    make_cell: Callable[[str, tuple[Any, Any], int], Any],
    *,
    affine: bool = True,
) -> keras.KerasTensor:
    """The skeleton around the cells: [B, H, W, channels] -> features [B, 16 width].

    Args:
        inputs: Images.
        width: Channels of a node in the first stage.
        cells: Normal cells per stage.
        make_cell: Applies a new cell, "normal" or "reduction", to its two inputs, which both
            have the given channels, height and width; gives 4 times these channels.
        affine: Whether batch normalization before cells scales and shifts.
    """
    stem = layers.Conv2D(_STEM_FACTOR * width, 3, padding="same", use_bias=False)
    before = last = norm()(stem(inputs))
    filters = width
    for kind in _order(cells):
        filters *= 2 if kind == "reduction" else 1
        pair = aligned(before, last, filters, affine=affine)
        before, last = last, make_cell(kind, pair, filters)
    return layers.GlobalAveragePooling2D()(last)


def _order(cells: int) -> list[str]:
    stage = ["normal"] * cells
    return [*stage, "reduction", *stage, "reduction", *stage]


def aligned(before: Any, last: Any, filters: int, *, affine: bool = True) -> tuple[Any, Any]:
    """The inputs of a cell, [B, H, W, filters] each, from the outputs of the two cells before.

    Args:
        before: Output of the cell before last; of twice the height and width where the last
            one was a reduction.
        last: Output of the last cell, [B, H, W, C].
        filters: Channels to give.
        affine: Whether batch normalization scales and shifts.
    """
    halve = before.shape[1:3] != last.shape[1:3]  # a height of 1 stays 1
    first = (
        FactorizedReduce(filters, affine) if halve else relu_conv_norm(filters, 1, affine=affine)
    )
    return first(before), relu_conv_norm(filters, 1, affine=affine)(last)


def cell(edges: Sequence[Edge], kind: str, inputs: tuple[Any, Any], filters: int) -> Any:
    """Applies a cell: two of [B, H, W, filters] -> [B, H, W, 4 filters].

    A reduction halves height and width. A node without any path from an input is zero.
    """
    nodes: dict[int, Any] = dict(enumerate(inputs))
    stride = 2 if kind == "reduction" else 1
    add_nodes(
        nodes,
        DARTS_NODES,
        edges,
        lambda edge: operation(edge.operation, filters, stride if edge.source < 2 else 1),
    )
    zeros = Zero(stride)(inputs[1])
    return layers.Concatenate()([nodes.get(node, zeros) for node in DARTS_NODES])

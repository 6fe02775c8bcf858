"""What all networks of cells share: input, sums of edges, head, and how they are trained."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from meta_nni.models.cells.topology import Edge
from meta_nni.models.images import to_pixels
from meta_nni.models.problem import Problem
from meta_nni.models.training import Candidate

__all__ = ["Recipe", "add_nodes", "to_candidate", "to_inputs"]

_MOMENTUM = 0.9


@dataclass(frozen=True, slots=True)
class Recipe:
    """Stochastic gradient descent with Nesterov momentum; the rate falls to 0 by a cosine.

    Attributes:
        learning_rate: At the start.
        weight_decay: Times the learning rate: the share of a weight that a step takes away,
            which is what an L2 penalty of this factor does without momentum.
    """

    learning_rate: float
    weight_decay: float

    def optimizer(self, steps: int) -> keras.optimizers.Optimizer:
        """Returns the optimizer for this many steps."""
        schedule = keras.optimizers.schedules.CosineDecay(self.learning_rate, steps)
        return keras.optimizers.SGD(
            schedule, momentum=_MOMENTUM, nesterov=True, weight_decay=self.weight_decay
        )


def to_inputs(problem: Problem, width: int, cells: int) -> keras.KerasTensor:
    """The images of a problem as a network's input [B, H, W, C].

    Raises:
        ValueError: `width` or `cells`, which are checked here, is too small.
    """
    if width < 2:
        raise ValueError(f"width is {width}, expected 2 or more channels")
    if cells < 1:
        raise ValueError(f"cells is {cells}, expected 1 or more per stage")
    return keras.Input(to_pixels(problem.x[:1]).shape[1:])


def add_nodes(
    nodes: dict[int, Any],
    targets: Iterable[int],
    edges: Sequence[Edge],
    make: Callable[[Edge], keras.Layer],
) -> None:
    """Adds nodes, each the sum of the edges that end in it.

    Nothing is computed for "none", nor for edges from nodes that are not there; a node with
    no other edges is zero, and is left out.

    Args:
        nodes: Tensors by number; those of `targets` are added.
        targets: The nodes to add, ascending.
        edges: The cell.
        make: Creates the layer of an edge.
    """
    for target in targets:
        terms = [
            make(edge)(nodes[edge.source])
            for edge in edges
            if edge.target == target and edge.operation != "none" and edge.source in nodes
        ]
        if terms:
            nodes[target] = layers.Add()(terms) if len(terms) > 1 else terms[0]


def to_candidate(
    inputs: Any, features: Any, problem: Problem, epochs: int, batch_size: int, recipe: Recipe
) -> Candidate:
    """Ends a network with a softmax over the classes and compiles it.

    Args:
        inputs: Its input [B, H, W, C].
        features: Its output [B, F].
        problem: Labelled images.
        epochs: Epochs of training.
        batch_size: Rows per step.
        recipe: How to train.
    """
    outputs = layers.Dense(problem.num_outputs, activation="softmax")(features)
    model = keras.Model(inputs, outputs)
    steps = epochs * math.ceil(len(problem.x) / batch_size)
    model.compile(
        recipe.optimizer(steps),
        loss="sparse_categorical_crossentropy",
        jit_compile=False,  # XLA needs longer for such graphs than a short training does
    )
    x, x_val = to_pixels(problem.x), to_pixels(problem.x_val)
    return Candidate(model, x, problem.y, x_val, problem.y_val, to_pixels, batch_size)

"""A network that holds every config of a cell space: each edge has all operations, gated.

The skeletons around the cells, and the operations, are those of discrete networks. Batch
normalization has no scale in mixed edges, where it would take the place of an architecture
weight. Axes: B batch, H height, W width, C channels, E edges, K operations.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import layers

from meta_nni.models.cells import darts, nasbench201
from meta_nni.models.cells.classifier import to_inputs
from meta_nni.models.cells.operations import Zero, operation
from meta_nni.models.problem import Problem
from meta_nni.oneshot.space import CellSpace

__all__ = ["MixedOperation", "build", "classifier", "mixed_cell"]


def build(cells: CellSpace, problem: Problem, width: int, depth: int, sparse: bool) -> keras.Model:
    """Builds the supernet of a cell space: images [B, H, W, C], gates [E, K] -> [B, classes].

    Args:
        cells: The space.
        problem: Labelled images.
        width: Channels of the first stage.
        depth: Cells per stage.
        sparse: Whether operations whose gate is 0 are left out of the computation, which
            pays where few are above 0, or take part with factor 0.

    Raises:
        ValueError: `width` or `depth` is too small.
    """
    images = to_inputs(problem, width, depth)
    gates = keras.Input(batch_shape=(len(cells.places), len(cells.operations)))
    if cells.name == "nasbench201":
        features = nasbench201.network(
            images,
            width,
            depth,
            lambda x, filters: mixed_cell(cells, "normal", [x], gates, filters, sparse)[-1],
        )
    else:
        features = darts.network(
            images,
            width,
            depth,
            lambda kind, pair, filters: layers.Concatenate()(
                mixed_cell(cells, kind, pair, gates, filters, sparse)
            ),
            affine=False,
        )
    return classifier(images, gates, features, problem.num_outputs)


def classifier(images: Any, gates: Any, features: Any, classes: int) -> keras.Model:
    """Ends a supernet with a softmax over the classes."""
    return keras.Model([images, gates], layers.Dense(classes, activation="softmax")(features))


def mixed_cell(
    cells: CellSpace, kind: str, inputs: Sequence[Any], gates: Any, filters: int, sparse: bool
) -> list[Any]:
    """Applies a new cell that holds all cells of its kind.

    Args:
        cells: The space.
        kind: Which of its cells; edges from the inputs of "reduction" have stride 2.
        inputs: The nodes that the cell reads, [B, H, W, filters] each.
        gates: Of the whole space, (E, K).
        filters: Channels of each node.
        sparse: See `build`.

    Returns:
        The nodes that are not inputs, ascending.
    """
    nodes: dict[int, Any] = dict(enumerate(inputs))
    terms: dict[int, list[Any]] = {}
    for row, place in enumerate(cells.places):
        if place.cell != kind:
            continue
        if place.source not in nodes:  # all edges that end there came before
            nodes[place.source] = layers.Add()(terms[place.source])
        stride = 2 if kind == "reduction" and place.source < len(inputs) else 1
        # DARTS normalises what is pooled in its search, NAS-Bench-201 does not.
        edge = MixedOperation(
            cells.operations, filters, stride, sparse, pool_norm=cells.name == "darts_cell"
        )
        terms.setdefault(place.target, []).append(edge(nodes[place.source], gates[row]))
    return [nodes[node] if node in nodes else _sum(terms[node]) for node in sorted(terms)]


def _sum(terms: list[Any]) -> Any:
    return layers.Add()(terms) if len(terms) > 1 else terms[0]


class MixedOperation(keras.Layer):  # type: ignore[misc] # keras has no types
    """The sum of all operations on one edge, each times its gate.

    Args:
        names: The K operations; "none" adds nothing.
        filters: Channels of input and output.
        stride: 1, or 2 to halve height and width.
        sparse: Whether operations whose gate is 0 are not computed.
        pool_norm: Whether pooling is followed by batch normalization.
    """

    def __init__(
        self,
        names: Sequence[str],
        filters: int,
        stride: int = 1,
        sparse: bool = False,
        pool_norm: bool = False,
    ) -> None:
        super().__init__()
        self.sparse = sparse
        self.zero = Zero(stride)
        self.places = [place for place, name in enumerate(names) if name != "none"]
        self.operations = [
            operation(names[place], filters, stride, affine=False, pool_norm=pool_norm)
            for place in self.places
        ]

    def build(self, inputs_shape: tuple[int | None, ...], gates_shape: tuple[int, ...]) -> None:
        """Creates the weights for inputs of shape [B, H, W, C]."""
        for layer in self.operations:
            layer.build(inputs_shape)
        self.built = True

    def call(self, inputs: Any, gates: Any) -> Any:
        """Inputs [B, H, W, C] and gates (K,) -> [B, ceil(H / stride), ..., filters]."""
        zeros = self.zero(inputs)
        terms = [zeros]
        for place, layer in zip(self.places, self.operations, strict=True):
            terms.append(self._gated(layer, inputs, gates[place], zeros))
        return tf.add_n(terms)

    def _gated(self, layer: keras.Layer, inputs: Any, gate: Any, zeros: Any) -> Any:
        if not self.sparse:
            return gate * layer(inputs)
        return tf.cond(gate > 0, lambda: gate * layer(inputs), lambda: zeros)

"""Cells as edges: from a config of a cell space to the graph that it describes, and back.

A cell is a small directed graph. Nodes are tensors, numbered so that edges run from smaller
to larger numbers; an edge is an operation, and a node is the sum of the edges that end in it.

NAS-Bench-201 (Dong, Yang 2020): node 0 is the input and node 3 the output; all six edges
exist, and each decision `edge_<source>_<target>` names one's operation.

DARTS and ENAS (Liu et al. 2019; Pham et al. 2018, micro space): nodes 0 and 1 are the outputs
of the cell before last and of the last cell; nodes 2 to 5 have two edges each, from different
earlier nodes; all four are concatenated. A config has a normal and a reduction cell, and the
decisions `<cell>_node_<target>_inputs` (such as "0,2"; node 2 has no other inputs than 0 and
1) and `<cell>_node_<target>_op_1`, `..._op_2`, the operations on the first and second input.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from meta_nni.trial import Config

__all__ = [
    "DARTS_CELLS",
    "DARTS_NODES",
    "DARTS_OPERATIONS",
    "NASBENCH201_EDGES",
    "NASBENCH201_OPERATIONS",
    "Edge",
    "darts_cells",
    "darts_config",
    "nasbench201_cell",
    "nasbench201_config",
]

NASBENCH201_OPERATIONS = (
    "none",
    "skip_connect",
    "nor_conv_1x1",
    "nor_conv_3x3",
    "avg_pool_3x3",
)
"""The five operations of NAS-Bench-201, in its order."""

NASBENCH201_EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""Source and target of the six edges of NAS-Bench-201, in the order of its cell strings."""

DARTS_OPERATIONS = (
    "none",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
"""The eight operations of DARTS, in its order."""

DARTS_CELLS = ("normal", "reduction")
"""The two cells of a config; in the second, edges from nodes 0 and 1 have stride 2."""

DARTS_NODES = (2, 3, 4, 5)
"""The nodes with operations; 0 and 1 are the cell's inputs."""


class Edge(NamedTuple):
    """An operation between two nodes.

    Attributes:
        source: The node it reads.
        target: The node it is added to; larger than `source`.
        operation: Its name; "none" is no connection.
    """

    source: int
    target: int
    operation: str


def nasbench201_cell(config: Config) -> tuple[Edge, ...]:
    """Returns the six edges of a config of `search_spaces/nasbench201.json`.

    Raises:
        ValueError: A decision is missing or has an unknown operation.
    """
    return tuple(
        Edge(source, target, _operation(config, f"edge_{source}_{target}", NASBENCH201_OPERATIONS))
        for source, target in NASBENCH201_EDGES
    )


def nasbench201_config(edges: Iterable[Edge]) -> Config:
    """Returns the config with these edges; those that are left out become "none"."""
    given = {(edge.source, edge.target): edge.operation for edge in edges}
    return {f"edge_{s}_{t}": given.get((s, t), "none") for s, t in NASBENCH201_EDGES}


def darts_cells(config: Config) -> dict[str, tuple[Edge, ...]]:
    """Returns the eight edges of each cell of a config of `search_spaces/darts_cell.json`.

    Two edges per node, nodes ascending, and the smaller source first.

    Raises:
        ValueError: A decision is missing, or its value is none of the space's.
    """
    return {
        cell: tuple(edge for node in DARTS_NODES for edge in _node_edges(config, cell, node))
        for cell in DARTS_CELLS
    }


def darts_config(cells: Mapping[str, Iterable[Edge]]) -> Config:
    """Returns the config with these cells, such as what a one-shot search derived.

    Args:
        cells: For each of `DARTS_CELLS` two edges per node, from different sources, in any
            order.

    Raises:
        ValueError: A node has other than two edges, or both come from one source.
    """
    config: Config = {}
    for cell in DARTS_CELLS:
        edges = sorted(cells[cell])
        for node in DARTS_NODES:
            own = [edge for edge in edges if edge.target == node]
            sources = [edge.source for edge in own]
            if len(own) != 2 or sources not in _source_pairs(node):
                raise ValueError(
                    f"node {node} of the {cell} cell reads {sources}, expected two different "
                    f"nodes before it"
                )
            prefix = f"{cell}_node_{node}"
            if node > DARTS_NODES[0]:
                config[f"{prefix}_inputs"] = "{},{}".format(*sources)
            config |= {f"{prefix}_op_{i}": edge.operation for i, edge in enumerate(own, 1)}
    return config


def _node_edges(config: Config, cell: str, node: int) -> list[Edge]:
    prefix = f"{cell}_node_{node}"
    allowed = {"{},{}".format(*pair): pair for pair in _source_pairs(node)}
    inputs = config.get(f"{prefix}_inputs", "0,1" if node == DARTS_NODES[0] else None)
    if inputs not in allowed:
        raise ValueError(f'"{prefix}_inputs" is {inputs!r}, expected one of {list(allowed)}')
    return [
        Edge(source, node, _operation(config, f"{prefix}_op_{i}", DARTS_OPERATIONS))
        for i, source in enumerate(allowed[inputs], 1)
    ]


def _source_pairs(node: int) -> list[list[int]]:
    return [list(pair) for pair in itertools.combinations(range(node), 2)]


def _operation(config: Config, name: str, known: tuple[str, ...]) -> str:
    operation = config.get(name)
    if operation not in known:
        raise ValueError(f'"{name}" is {operation!r}, expected one of {list(known)}')
    return str(operation)

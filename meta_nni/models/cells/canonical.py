"""Which cells are the same candidate: identities and canonical forms, without Keras.

A cell of NAS-Bench-201 is written as a text that describes its output in terms of its input:
skip connections, missing operations and those that lead nowhere vanish, the terms of a sum are
sorted, and alike convolutions are numbered, since one that is used twice has other weights than
two. Cells with equal texts are the same network: 5,260 of 15,625 differ. The published
comparison (Dong, Yang 2020), `published_identity`, does not number convolutions and keeps zeros
as terms, so that a path over node 1 differs from the same path over node 2; by it 6,466 differ,
which are the rows of the published tables.

In cells of DARTS and ENAS the nodes may be numbered in any order that edges allow, since the
channels of their concatenation pass a 1x1 convolution next; and what a "none" edge reads does
not matter.
"""

from __future__ import annotations

import functools
import importlib.resources
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence

from meta_nni.models.cells.topology import (
    DARTS_NODES,
    DARTS_OPERATIONS,
    NASBENCH201_EDGES,
    NASBENCH201_OPERATIONS,
    Edge,
    darts_cells,
    darts_config,
    nasbench201_cell,
    nasbench201_config,
)
from meta_nni.space import SearchSpace
from meta_nni.trial import Config

__all__ = [
    "CANONICAL",
    "IDENTITY",
    "canonical_darts",
    "canonical_nasbench201",
    "darts_identity",
    "merge_isomorphic",
    "nasbench201_identity",
    "published_identity",
]

_COST = {"nor_conv_1x1": 1, "nor_conv_3x3": 9}  # weights per pair of channels


def nasbench201_identity(config: Config) -> str:
    """Returns a text that configs of NAS-Bench-201 share if they are the same network."""
    return _identity(nasbench201_cell(config))


def _identity(edges: Sequence[Edge]) -> str:
    """The smallest text of all ways to number convolutions that look alike."""
    edges, sums = _live_edges(edges)
    alike: dict[tuple[str, ...], list[Edge]] = {}
    for edge in edges:
        if edge.operation in _COST:
            alike.setdefault((*sums[edge.source], edge.operation), []).append(edge)
    texts = []
    for orders in itertools.product(*map(itertools.permutations, alike.values())):
        numbers = {edge: number for order in orders for number, edge in enumerate(order)}
        texts.append("+".join(_sums(edges, numbers)[3]))
    return min(texts) or "#"


def _live_edges(edges: Sequence[Edge]) -> tuple[list[Edge], dict[int, list[str]]]:
    """The edges on a path from the input to the output, and the sums of their nodes."""
    sums = _sums(edges, {})
    live, read = [], {3}
    for edge in reversed(edges):  # in the order of targets
        if edge.target in read and edge.operation != "none" and sums[edge.source]:
            live.append(edge)
            read.add(edge.source)
    return live[::-1], sums


def _sums(edges: Sequence[Edge], numbers: Mapping[Edge, int]) -> dict[int, list[str]]:
    """The sorted terms of each node; convolutions with a number other than 0 bear it."""
    nodes: dict[int, list[str]] = {node: [] for node in range(4)} | {0: ["0"]}
    for target, own in itertools.groupby(edges, key=lambda edge: edge.target):
        terms = (_terms(nodes[edge.source], edge, numbers.get(edge, 0)) for edge in own)
        nodes[target] = sorted(itertools.chain(*terms))
    return nodes


def _terms(source: list[str], edge: Edge, number: int) -> list[str]:
    """What an edge adds to a sum, for a source that is itself a sum of terms."""
    if edge.operation == "none" or not source:
        return []
    if edge.operation == "skip_connect":
        return source
    return [f"({'+'.join(source)})@{edge.operation}{f'.{number}' if number else ''}"]


def published_identity(config: Config) -> str:
    """Returns the text by which the published tables call cells of NAS-Bench-201 isomorphic.

    It is the reference implementation's `to_unique_str(consider_zero=True)`: zeros, "#", stay
    terms of sums, and a convolution that is used twice is written as two.
    """
    nodes = {0: "0"}
    for target, own in itertools.groupby(nasbench201_cell(config), key=lambda edge: edge.target):
        nodes[target] = "+".join(sorted(_published(nodes[e.source], e.operation) for e in own))
    return nodes[3]


def _published(source: str, operation: str) -> str:
    if operation == "none" or source == "#":
        return "#"
    return source if operation == "skip_connect" else f"({source})@{operation}"


def canonical_nasbench201(config: Config) -> Config:
    """Returns the cell that stands for all that are the same network.

    It has the fewest weights of them: operations on nothing and to nowhere are "none".

    Raises:
        ValueError: The config is none of the space's.
    """
    return nasbench201_config(_representatives()[nasbench201_identity(config)])


@functools.cache
def _representatives() -> dict[str, tuple[Edge, ...]]:
    """The cheapest cell of each identity, of equal ones the first in published order."""
    cells = [
        tuple(Edge(*ends, op) for ends, op in zip(NASBENCH201_EDGES, operations, strict=True))
        for operations in itertools.product(NASBENCH201_OPERATIONS, repeat=len(NASBENCH201_EDGES))
    ]
    cells.sort(key=lambda cell: sum(_COST.get(edge.operation, 0) for edge in cell))
    found: dict[str, tuple[Edge, ...]] = {}
    for cell in cells:
        found.setdefault(_identity(cell), cell)
    return found


_Edges = tuple[tuple[int, int], ...]  # source and position in DARTS_OPERATIONS, sorted


def darts_identity(config: Config) -> str:
    """Returns a text that isomorphic configs of the DARTS space share, and only they."""
    return str([_smallest(edges) for edges in darts_cells(config).values()])


def canonical_darts(config: Config) -> Config:
    """Returns the config that stands for all that are isomorphic to this one.

    Raises:
        ValueError: The config is none of the space's.
    """
    cells = {}
    for cell, edges in darts_cells(config).items():
        numbered = zip(DARTS_NODES, _smallest(edges), strict=True)
        cells[cell] = [edge for node, own in numbered for edge in _padded(node, own)]
    return darts_config(cells)


def _smallest(edges: Sequence[Edge]) -> tuple[_Edges, ...]:
    """The lexicographically smallest numbering of a cell's nodes, as each node's edges."""
    return min(_numberings(_live(edges), {0: 0, 1: 1}))


def _live(edges: Sequence[Edge]) -> dict[int, _Edges]:
    """Source and operation of the edges of each node that are not zero."""
    live: dict[int, _Edges] = {}
    zeros: set[int] = set()
    for node in DARTS_NODES:
        live[node] = tuple(
            (edge.source, DARTS_OPERATIONS.index(edge.operation))
            for edge in edges
            if edge.target == node and edge.operation != "none" and edge.source not in zeros
        )
        if not live[node]:
            zeros.add(node)
    return live


def _numberings(live: dict[int, _Edges], numbers: dict[int, int]) -> Iterator[tuple[_Edges, ...]]:
    """Numbers the nodes of `live` from the smallest on, in each way that may be the smallest."""
    if not live:
        yield ()
        return
    ready = {
        node: tuple(sorted((numbers[source], operation) for source, operation in own))
        for node, own in live.items()
        if all(source in numbers for source, _ in own)
    }
    first = min(ready.values())
    for node in (node for node, own in ready.items() if own == first):
        rest = {other: own for other, own in live.items() if other != node}
        for others in _numberings(rest, {**numbers, node: len(numbers)}):
            yield (first, *others)


def _padded(node: int, own: _Edges) -> list[Edge]:
    """The two edges of a node: those it has, and "none" from the first nodes it can have."""
    edges = [Edge(source, node, DARTS_OPERATIONS[operation]) for source, operation in own]
    unread = (s for s in range(node) if s not in {edge.source for edge in edges})
    return edges + [Edge(s, node, "none") for s in itertools.islice(unread, 2 - len(edges))]


CANONICAL: dict[str, Callable[[Config], Config]] = {
    "nasbench201": canonical_nasbench201,
    "darts_cell": canonical_darts,
}
"""By name of the space: turns a config into the one that stands for all isomorphic ones."""

IDENTITY: dict[str, Callable[[Config], str]] = {
    "nasbench201": nasbench201_identity,
    "darts_cell": darts_identity,
}
"""By name of the space: a text that isomorphic configs share, and only they."""


def merge_isomorphic(space: SearchSpace) -> SearchSpace:
    """Returns the space with isomorphic cells as one candidate, so that none is tried twice.

    Args:
        space: Any; one that is none of ours comes back as it is. Ours are known by their
            decisions, and may leave out operations and inputs.
    """
    for name, identity in IDENTITY.items():
        if _is_part(space, _shipped(name)):
            return space.with_identity(identity)
    return space


def _is_part(space: SearchSpace, whole: SearchSpace) -> bool:
    domains = {parameter.path: parameter for parameter in whole.parameters}
    return {parameter.path for parameter in space.parameters} == set(domains) and all(
        parameter.type == "choice" and all(map(domains[parameter.path].contains, parameter.args))
        for parameter in space.parameters
    )


@functools.cache
def _shipped(name: str) -> SearchSpace:
    file = importlib.resources.files("meta_nni.search_spaces") / f"{name}.json"
    return SearchSpace.from_nni(json.loads(file.read_text("utf-8")))

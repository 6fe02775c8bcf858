"""Cell spaces as one-shot searches see them: all edges with all operations at once.

A *gate* is the factor of one operation on one edge. Every config is a matrix of gates with
ones at its operations, so a supernet computes any config, and with the softmax of DARTS's
architecture weights as gates it computes the mixture of all (Liu et al. 2019, eq. 2). Axes:
E edges of all cells, K operations, P parameters of the search space.
"""

from __future__ import annotations

import importlib.resources
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from meta_nni.models.cells import topology
from meta_nni.models.cells.topology import Edge
from meta_nni.oneshot.ranges import Range
from meta_nni.parameter import Parameter
from meta_nni.space import SearchSpace
from meta_nni.trial import Config

__all__ = ["SPACES", "CellSpace", "Place", "Start", "softmax", "start_of"]

Floats = npt.NDArray[np.float32]

Start = Mapping[str, Sequence[float]]
"""Probabilities of the options of parameters, by the parameter's name."""

SPACES = ("nasbench201", "darts_cell")
"""The spaces that can be searched: names of files in `search_spaces/`."""

_FLOOR = 1e-3  # no option starts with less: what nobody tried before must stay reachable
_TEMPERATURES = Range(0, above=True)
_SKIP, _NONE = "skip_connect", "none"


class Place(NamedTuple):
    """An edge of a supernet: which cell it belongs to, and the nodes it joins."""

    cell: str
    source: int
    target: int


@dataclass(frozen=True)
class CellSpace:
    """One of `SPACES`, between configs, gates and architecture weights.

    Attributes:
        name: The space's name.
        space: Its parameters, all of them choices without conditions.
        operations: The K operations.
        places: The E edges.
    """

    name: str
    space: SearchSpace
    operations: tuple[str, ...]
    places: tuple[Place, ...]

    @classmethod
    def named(cls, name: str) -> CellSpace:
        """Returns the space of this name.

        Raises:
            ValueError: if it is none of `SPACES`.
        """
        if name not in SPACES:
            raise ValueError(f"space is {name!r}, expected a cell space: one of {list(SPACES)}")
        file = importlib.resources.files("meta_nni.search_spaces") / f"{name}.json"
        space = SearchSpace.from_nni(json.loads(file.read_text("utf-8")))
        if name == "nasbench201":
            places = tuple(Place("normal", *ends) for ends in topology.NASBENCH201_EDGES)
            return cls(name, space, topology.NASBENCH201_OPERATIONS, places)
        places = tuple(
            Place(cell, source, target)
            for cell in topology.DARTS_CELLS
            for target in topology.DARTS_NODES
            for source in range(target)
        )
        return cls(name, space, topology.DARTS_OPERATIONS, places)

    def cells(self, config: Config) -> dict[str, tuple[Edge, ...]]:
        """The edges of each cell of a config."""
        if self.name == "nasbench201":
            return {"normal": topology.nasbench201_cell(config)}
        return topology.darts_cells(config)

    def gates(self, config: Config) -> Floats:
        """The gates of a config: 1 at its operations, 0 elsewhere, float32 (E, K)."""
        gates = np.zeros((len(self.places), len(self.operations)), np.float32)
        for cell, edges in self.cells(config).items():
            for edge in edges:
                place = self.places.index(Place(cell, edge.source, edge.target))
                gates[place, self.operations.index(edge.operation)] = 1.0
        return gates

    def config(self, codes: npt.NDArray[np.int64]) -> Config:
        """The config that takes these options of the P parameters, int64 (P,)."""
        chosen = zip(self.space.parameters, codes.tolist(), strict=True)
        return {parameter.name: parameter.args[code] for parameter, code in chosen}

    def derive(self, mixture: Floats) -> Config:
        """The discrete config of a mixture.

        DARTS, section 2.4: of each node the two edges whose strongest operation is
        strongest, each with that operation. NAS-Bench-201 keeps all edges. "none" is never
        derived: batch normalization undoes the scale that its weight takes from the others,
        so that its weight says nothing.

        Args:
            mixture: Gates, such as `softmax(alphas)`, (E, K).
        """
        strengths = mixture.copy()
        strengths[:, self.operations.index(_NONE)] = -np.inf
        edges = [
            Edge(place.source, place.target, self.operations[row.argmax()])
            for place, row in zip(self.places, strengths, strict=True)
        ]
        if self.name == "nasbench201":
            return topology.nasbench201_config(edges)
        kept: dict[str, list[Edge]] = {cell: [] for cell in topology.DARTS_CELLS}
        by_node = itertools.groupby(range(len(self.places)), lambda i: self.places[i][::2])
        for (cell, _), group in by_node:
            best = sorted(group, key=lambda i: -strengths[i].max())[:2]
            kept[str(cell)] += [edges[i] for i in best]
        return topology.darts_config(kept)

    def num_skips(self, config: Config) -> int:
        """Skip connections in the normal cell, whose number DARTS+ watches."""
        return sum(edge.operation == _SKIP for edge in self.cells(config)["normal"])

    def probabilities(self, start: Start | None, temperature: float = 1.0) -> list[Floats]:
        """The start as P vectors of probabilities above 0; uniform where it says nothing.

        Args:
            start: Probabilities by parameter; None is uniform.
            temperature: They are raised to the power 1 / temperature: above 1 flattens.

        Raises:
            ValueError: A name or a vector does not fit the space, or temperature is not above 0.
        """
        if temperature not in _TEMPERATURES:
            raise ValueError(
                f"temperature is {temperature!r}, expected {_TEMPERATURES}; 1 leaves the start as "
                "it is"
            )
        if not isinstance(start, Mapping | None):
            raise ValueError(
                f"the start is {start!r}, expected probabilities by parameter, such as start_of "
                "makes, or None"
            )
        given = dict(start or {})
        vectors = []
        for parameter in self.space.parameters:
            vector = _shares(parameter, given.pop(parameter.name, [1.0] * len(parameter.args)))
            vector = np.maximum(vector / vector.sum(), _FLOOR) ** (1 / temperature)
            vectors.append((vector / vector.sum()).astype(np.float32))
        if given:
            known = [parameter.name for parameter in self.space.parameters]
            raise ValueError(f"the start has {sorted(given)}, expected names among {known}")
        return vectors

    def alphas(self, start: Start | None, temperature: float = 1.0) -> Floats:
        """Architecture weights to start from.

        Without a start they are 0, as in DARTS. Else their softmax is how likely the start
        takes each operation, of at least 0.001: an edge that a node of the DARTS space reads
        with probability q has the rest, 1 - q, on "none". Arguments and errors as in
        `probabilities`.

        Returns:
            Float32 (E, K).
        """
        taken = np.zeros((len(self.places), len(self.operations)))
        if not start:
            return taken.astype(np.float32)
        names = [parameter.name for parameter in self.space.parameters]
        vectors = dict(zip(names, self.probabilities(start, temperature), strict=True))
        for row, place in zip(taken, self.places, strict=True):
            for weight, name in self._readers(place, vectors):
                row += weight * vectors[name]
        taken[:, self.operations.index(_NONE)] += 1 - taken.sum(axis=1)
        return np.log(np.maximum(taken, _FLOOR)).astype(np.float32)

    def _readers(self, place: Place, vectors: Mapping[str, Any]) -> Iterable[tuple[float, str]]:
        """With which probability each parameter names the operation of an edge."""
        if self.name == "nasbench201":
            return [(1.0, f"edge_{place.source}_{place.target}")]
        prefix = f"{place.cell}_node_{place.target}"
        pairs = list(itertools.combinations(range(place.target), 2))
        shares = vectors.get(f"{prefix}_inputs", np.ones(1))
        return [
            (float(share), f"{prefix}_op_{1 + pair.index(place.source)}")
            for pair, share in zip(pairs, shares, strict=True)
            if place.source in pair
        ]


def _shares(parameter: Parameter, given: Any) -> npt.NDArray[np.float64]:
    """What a start gives the options of a parameter, where it is that: not yet of sum 1."""
    size = len(parameter.args)
    try:
        shares = np.asarray(given, np.float64)
    except (TypeError, ValueError):  # text, or lists of different lengths
        shares = np.empty(0)
    if shares.shape != (size,) or not (shares >= 0).all() or not 0 < shares.sum() < np.inf:
        raise ValueError(
            f'the start of "{parameter.name}" is {given!r}, expected {size} probabilities, of '
            f"{list(parameter.args)}"
        )
    return shares


def softmax(alphas: Any) -> Floats:
    """Gates of architecture weights, (E, K) -> float32 (E, K); rows sum to 1."""
    powers = np.exp(alphas - np.max(alphas, axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)


def start_of(space: SearchSpace, configs: Sequence[Config], prior: float = 1.0) -> dict[str, Any]:
    """How often configs take each option: a start from anything that proposes configs.

    Args:
        space: The space, of choices without conditions.
        configs: Such as draws of a generator, or the best configs of earlier searches.
        prior: How many uniform configs are counted with them: Laplace's rule.

    Returns:
        A `Start`: lists of probabilities by name, each sums to 1.

    Raises:
        SpaceError: A config is none of the space; names the parameter.
        ValueError: The space has other parameters than choices without conditions.
    """
    others = [p.name for p in space.parameters if p.type != "choice" or p.nested]
    if others:
        raise ValueError(
            f"the space has {others}, expected choices without conditions only, such as "
            f"CellSpace.named({SPACES[0]!r}).space"
        )
    for config in configs:
        space.validate(config)
    start = {}
    for parameter in space.parameters:
        counts = np.full(len(parameter.args), prior / len(parameter.args))
        for config in configs:
            counts[parameter.index(config[parameter.name])] += 1
        start[parameter.name] = (counts / counts.sum()).tolist()
    return start

"""Search spaces in NNI's format: conditional parameters, configs, encoding, identity.

A config is nested exactly as NNI hands it out (`{"layer": {"_name": "conv", "k": 3}}`).
Only this module flattens it, into an *assignment*: a value for each active parameter's
path. Axes of arrays: T configs, P parameters, F features.
"""

from __future__ import annotations

import copy
import hashlib
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from meta_nni.parameter import Parameter, Path, SpaceError, canonical, parse
from meta_nni.trial import Config

__all__ = ["Assignment", "SearchSpace", "SpaceError"]

Assignment = dict[Path, Any]
"""The value of every active parameter, by path; a nested choice's value is its branch."""

FloatArray = npt.NDArray[np.float32]

_INACTIVE = object()  # no value of a config, not even None


class SearchSpace:
    """An immutable search space.

    Attributes:
        parameters: All parameters, parents before children.
    """

    def __init__(
        self,
        parameters: Sequence[Parameter],
        spec: Mapping[str, Any],
        identity: Callable[[Config], str] | None = None,
    ) -> None:
        self.parameters = tuple(parameters)
        self._spec = dict(spec)
        self._identity = identity

    @classmethod
    def from_nni(cls, spec: Any) -> SearchSpace:
        """Reads NNI's search space JSON.

        Raises:
            SpaceError: naming the malformed parameter and what was expected.
        """
        if not isinstance(spec, Mapping):
            raise SpaceError(
                f"the search space is a {type(spec).__name__}, expected an object of "
                '{"name": {"_type": ..., "_value": [...]}}'
            )
        if not spec:
            raise SpaceError("the search space is empty, expected at least one parameter")
        own = copy.deepcopy(dict(spec))
        return cls(list(_parse_all((), own)), own)

    def with_identity(self, identity: Callable[[Config], str]) -> SearchSpace:
        """Returns an equal space in which configs of equal `identity` are one candidate.

        Args:
            identity: A text for each config, such as one that isomorphic cells share; it
                takes the place of `key`.
        """
        return SearchSpace(self.parameters, self._spec, identity)

    def to_nni(self) -> dict[str, Any]:
        """Returns the space as NNI's JSON, equal to what `from_nni` was given."""
        return copy.deepcopy(self._spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SearchSpace) and self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __repr__(self) -> str:
        return f"SearchSpace({len(self.parameters)} parameters, {self.fingerprint[:8]})"

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the space; the order of its keys does not count."""
        return hashlib.sha256(canonical(self._spec).encode()).hexdigest()

    @cached_property
    def size(self) -> int | None:
        """Number of distinct configs; None if there is no end of them."""
        counts: dict[Path, int] = {}
        for parameter in reversed(self.parameters):  # children before parents
            if parameter.size is None:
                return None
            branches = (
                [self._product(counts, (*parameter.path, branch)) for branch in parameter.args]
                if parameter.nested
                else [1] * parameter.size
            )
            counts[parameter.path] = sum(branches)
        return self._product(counts, ())

    def _product(self, counts: Mapping[Path, int], prefix: Path) -> int:
        return math.prod(counts[child.path] for child in self._children.get(prefix, ()))

    @cached_property
    def _children(self) -> dict[Path, list[Parameter]]:
        children: dict[Path, list[Parameter]] = {}
        for parameter in self.parameters:
            children.setdefault(parameter.path[:-1], []).append(parameter)
        return children

    # Configs

    def flatten(self, config: Config) -> Assignment:
        """Returns the assignment of a config.

        Raises:
            SpaceError: if the config is not one of this space; names the parameter.
        """
        assignment: Assignment = {}
        self._flatten(config, (), assignment)
        return assignment

    def _flatten(self, config: Any, prefix: Path, into: Assignment) -> None:
        children = self._children.get(prefix, [])
        where = f'inside "{"/".join(prefix)}"' if prefix else "of the config"
        if not isinstance(config, Mapping):
            raise SpaceError(f"the config is {config!r}, expected an object of parameter values")
        names = {child.path[-1] for child in children} | ({"_name"} if prefix else set())
        extra = set(config) - names
        if extra:
            raise SpaceError(
                f"keys {sorted(map(str, extra))} {where} are unknown; known: {sorted(names)}"
            )
        for child in children:
            if child.path[-1] not in config:
                raise SpaceError(f'parameter "{child.name}" is missing {where}; give it a value')
            self._flatten_value(child, config[child.path[-1]], into)

    def _flatten_value(self, parameter: Parameter, value: Any, into: Assignment) -> None:
        outer = value
        if parameter.nested:
            if not isinstance(value, Mapping) or "_name" not in value:
                raise SpaceError(
                    f'parameter "{parameter.name}" is {value!r}, expected {{"_name": one of '
                    f"{list(parameter.args)}, ...}}"
                )
            value = value["_name"]
        place = parameter.index(value) if parameter.type == "choice" else None
        if place is None and (parameter.type == "choice" or not parameter.contains(value)):
            raise SpaceError(
                f'parameter "{parameter.name}" is {value!r}, expected {parameter.type} of '
                f"{list(parameter.args)}"
            )
        value = parameter.coerce(value) if place is None else parameter.args[place]
        into[parameter.path] = value
        if parameter.nested:
            self._flatten(outer, (*parameter.path, value), into)

    def unflatten(self, assignment: Assignment) -> Config:
        """Returns the config of a complete assignment, with fresh containers."""
        return self._unflatten(assignment, ())

    def _unflatten(self, assignment: Assignment, prefix: Path) -> Config:
        config: Config = {}
        for child in self._children.get(prefix, ()):
            value = assignment[child.path]
            if child.nested:
                inner = self._unflatten(assignment, (*child.path, value))
                config[child.path[-1]] = {"_name": value, **inner}
            else:
                config[child.path[-1]] = copy.deepcopy(value)
        return config

    def validate(self, config: Config) -> None:
        """Raises SpaceError, naming the parameter, unless `config` belongs to this space."""
        self.flatten(config)

    def key(self, config: Config) -> str:
        """Returns a text that is equal for configs that are the same candidate.

        These are equal configs, and with `with_identity` those of equal identity.

        Raises:
            SpaceError: if the config does not belong to this space.
        """
        return self._key_of(self.flatten(config))

    def _key_of(self, assignment: Assignment) -> str:
        if self._identity is not None:
            return self._identity(self.unflatten(assignment))
        return ",".join(_key(p, assignment.get(p.path, _INACTIVE)) for p in self._by_name)

    @cached_property
    def _by_name(self) -> list[Parameter]:
        return sorted(self.parameters, key=lambda parameter: parameter.path)

    def is_active(self, parameter: Parameter, assignment: Mapping[Path, Any]) -> bool:
        """Whether the branch that holds `parameter` is the chosen one."""
        path = parameter.path
        return len(path) == 1 or assignment.get(path[:-2]) == path[-2]

    def sample(self, rng: np.random.Generator) -> Config:
        """Draws a config: every active parameter from its own distribution."""
        return self.unflatten(self._complete({}, rng))

    def neighbours(self, config: Config, rng: np.random.Generator) -> list[Config]:
        """Configs that differ from `config` in one decision.

        Each other option of every active choice, and two drawn steps of every other
        active parameter. Parameters of a newly chosen branch are drawn.
        """
        assignment = self.flatten(config)
        return [
            self.unflatten(self._changed(assignment, parameter, value, rng))
            for parameter in self.parameters
            if parameter.path in assignment
            for value in parameter.nearby(assignment[parameter.path], rng)
        ]

    def mutate(self, config: Config, rng: np.random.Generator) -> Config:
        """Changes one decision drawn uniformly among the active ones that can change."""
        assignment = self.flatten(config)
        moves = [
            (parameter, near)
            for parameter in self.parameters
            if parameter.path in assignment
            and (near := parameter.nearby(assignment[parameter.path], rng))
        ]
        if not moves:
            return config
        parameter, near = moves[rng.integers(len(moves))]
        value = near[rng.integers(len(near))]
        return self.unflatten(self._changed(assignment, parameter, value, rng))

    def _changed(
        self, assignment: Assignment, parameter: Parameter, value: Any, rng: np.random.Generator
    ) -> Assignment:
        return self._complete({**assignment, parameter.path: value}, rng)

    def _complete(self, partial: Mapping[Path, Any], rng: np.random.Generator) -> Assignment:
        """Keeps what is active in `partial`, draws what is missing, drops the rest."""
        assignment: Assignment = {}
        for parameter in self.parameters:
            if self.is_active(parameter, assignment):
                known = parameter.path in partial
                value = partial[parameter.path] if known else parameter.sample(rng)
                assignment[parameter.path] = value
        return assignment

    def adopt(self, config: Config, origin: SearchSpace, rng: np.random.Generator) -> Config:
        """Turns a config of `origin` into one of this space.

        What both spaces share keeps its value, the rest is drawn.

        Raises:
            SpaceError: if the config does not belong to `origin`.
        """
        assignment = origin.flatten(config)
        shared = {
            parameter.path: parameter.coerce(assignment[parameter.path])
            for parameter in self.parameters
            if parameter.path in assignment and parameter.contains(assignment[parameter.path])
        }
        return self.unflatten(self._complete(shared, rng))

    def configs(self) -> Iterator[Config]:
        """Yields every config of a finite space.

        Raises:
            SpaceError: if there is no end of them, see `size`.
        """
        if self.size is None:
            raise SpaceError("the search space has no end of configs; draw some with `sample`")
        yield from map(self.unflatten, self._assignments(()))

    def _assignments(self, prefix: Path) -> Iterator[Assignment]:
        columns = [list(self._choices(child)) for child in self._children.get(prefix, ())]
        for parts in itertools.product(*columns):
            yield {path: value for part in parts for path, value in part.items()}

    def _choices(self, parameter: Parameter) -> Iterator[Assignment]:
        for value in parameter.values():
            if parameter.nested:
                for inner in self._assignments((*parameter.path, value)):
                    yield {parameter.path: value, **inner}
            else:
                yield {parameter.path: value}

    # Arrays

    @cached_property
    def num_features(self) -> int:
        """F, the features of each parameter: active, unit value, and one per option."""
        return 2 + max((len(p.args) for p in self.parameters if p.type == "choice"), default=0)

    def encode(self, config: Config, origin: SearchSpace | None = None) -> FloatArray:
        """Encodes a config as float32 [P, F], row by row of `parameters`.

        Features of a row: 1 if the parameter is active; its value in [0, 1] (0 where
        options have no order); one-hot over the options of a choice. Inactive rows are 0.

        Args:
            config: A config of `origin`.
            origin: The space that `config` belongs to, if not this one. What the two do
                not share (another path, a value outside this domain) is left inactive.

        Raises:
            SpaceError: if the config does not belong to its space.
        """
        if origin is None or origin == self:
            return self._row_of(self.flatten(config))
        return self._row_of(origin.flatten(config), foreign=True)

    def encode_with_key(self, config: Config) -> tuple[FloatArray, str]:
        """Returns what `encode` and `key` return, in less time than both take."""
        assignment = self.flatten(config)
        return self._row_of(assignment), self._key_of(assignment)

    def _row_of(self, assignment: Assignment, foreign: bool = False) -> FloatArray:
        width = self.num_features
        places: list[int] = []
        values: list[float] = []
        for start, parameter in zip(itertools.count(0, width), self.parameters, strict=False):
            value = assignment.get(parameter.path, _INACTIVE)
            if value is _INACTIVE or (foreign and not parameter.contains(value)):
                continue
            places += [start, start + 1]
            values += [1.0, parameter.to_unit(value)]
            if parameter.type == "choice":
                places.append(start + 2 + (parameter.index(value) or 0))
                values.append(1.0)
        rows = np.zeros(len(self.parameters) * width, np.float32)
        rows[places] = values
        return rows.reshape(len(self.parameters), width)

    def shared_fraction(self, other: SearchSpace) -> float:
        """Share, 0 to 1, of this space's parameters that `other` has too, by path and type."""
        theirs = {(p.path, p.type) for p in other.parameters}
        return sum((p.path, p.type) in theirs for p in self.parameters) / len(self.parameters)


def _key(parameter: Parameter, value: Any) -> str:
    if value is _INACTIVE:
        return ""
    return str(parameter.index(value)) if parameter.type == "choice" else repr(value + 0.0)


def _parse_all(prefix: Path, spec: Mapping[str, Any]) -> Iterator[Parameter]:
    for name, entry in spec.items():
        if prefix and name == "_name":
            continue
        if not isinstance(name, str) or name == "_name":
            raise SpaceError(
                f'parameter name {name!r} is not allowed; expected a string other than "_name"'
            )
        parameter = parse((*prefix, name), entry)
        yield parameter
        if parameter.nested:
            for branch, option in zip(parameter.args, entry["_value"], strict=True):
                yield from _parse_all((*parameter.path, branch), option)

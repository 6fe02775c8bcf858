"""How a search space is told to the peers: flat, with the order of numbers kept.

A choice among consecutive whole numbers is told as a range of integers, which every peer
here can make more of than of five names. Integers on a step of 1 stay integers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from meta_nni.parameter import Parameter
from meta_nni.space import SearchSpace
from meta_nni.trial import Config, History

__all__ = ["Domain", "best_of_sources", "domains", "to_config"]


@dataclass(frozen=True)
class Domain:
    """One parameter.

    Attributes:
        kind: A choice among options, or a range.
        options: Of a choice.
        low: Of a range, inclusive.
        high: Of a range, inclusive.
        log: Whether the range is searched by logarithm.
    """

    kind: Literal["choice", "int", "float"]
    options: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False


def domains(space: SearchSpace) -> dict[str, Domain]:
    """Reads a flat space.

    Raises:
        ValueError: for a parameter that the peers are not told of here.
    """
    return {parameter.path[-1]: _domain(parameter) for parameter in space.parameters}


def _domain(parameter: Parameter) -> Domain:
    args, log = parameter.args, "log" in parameter.type
    if parameter.type == "choice" and not parameter.nested:
        if all(type(a) is int for a in args) and args == tuple(range(args[0], args[-1] + 1)):
            return Domain("int", low=args[0], high=args[-1])
        return Domain("choice", args)
    if parameter.type in ("uniform", "loguniform"):
        return Domain("float", low=args[0], high=args[1], log=log)
    if parameter.type in ("quniform", "qloguniform") and args[2] == 1:
        return Domain("int", low=args[0], high=args[1], log=log)
    raise ValueError(
        f'parameter "{parameter.name}" is {parameter.type} of {list(args)}; expected a plain '
        "choice, (log)uniform, or q(log)uniform with q = 1"
    )


def to_config(space: SearchSpace, values: Any) -> Config:
    """Turns a peer's values by name into a config, in the space's own number types."""
    return {p.path[-1]: p.coerce(_plain(values[p.path[-1]])) for p in space.parameters}


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def best_of_sources(sources: list[History]) -> list[Config]:
    """Each source's best config, no two alike.

    The one that stands out most among its own source's values comes first, in standard
    deviations, since values of different tasks do not compare.
    """
    standing: list[tuple[float, Config]] = []
    for source in sources:
        values = [trial.value or 0.0 for trial in source.completed]
        mean = sum(values) / len(values)
        width = (sum((value - mean) ** 2 for value in values) / len(values)) ** 0.5
        best = source.ranked[0]
        standing.append((((best.value or 0.0) - mean) / (width or 1.0), best.config))
    unique: list[Config] = []
    for _, config in sorted(standing, key=lambda entry: -entry[0]):
        if config not in unique:
            unique.append(config)
    return unique

"""Controllers: who decides what to try next, all behind one protocol."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path

from meta_nni.controllers.base import Controller
from meta_nni.controllers.evolution import EvolutionController
from meta_nni.controllers.feasibility import Count
from meta_nni.controllers.meta import MetaController
from meta_nni.controllers.portfolio import PortfolioController
from meta_nni.controllers.random import RandomController
from meta_nni.controllers.reinforce import ReinforceController

__all__ = [
    "CONTROLLERS",
    "Controller",
    "EvolutionController",
    "MetaController",
    "PortfolioController",
    "RandomController",
    "ReinforceController",
    "make",
]

CONTROLLERS: dict[str, Callable[[], Controller]] = {
    "meta": MetaController,
    "portfolio": PortfolioController,
    "evolution": EvolutionController,
    "reinforce": ReinforceController,
    "random": RandomController,
}
"""The controllers by the name that hosts and users call them."""


def make(name: str, checkpoint: Path | None = None, count: Count | None = None) -> Controller:
    """Makes the controller called `name`.

    Args:
        name: One of `CONTROLLERS`.
        checkpoint: See `MetaController`; the others need none.
        count: Likewise.

    Raises:
        ValueError: if there is none of that name; the message names the known ones.
    """
    if name not in CONTROLLERS:
        near = difflib.get_close_matches(str(name), CONTROLLERS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"controller is {name!r}, expected one of {list(CONTROLLERS)}{hint}")
    return MetaController(checkpoint, count=count) if name == "meta" else CONTROLLERS[name]()

"""The strategies that are compared: who decides, and whether other tasks are known.

A strategy of this package decides by a controller (`meta_nni.adapters.nni_strategy`), so a
controller is all that a table of measured cells needs; no host and no training is involved.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from meta_nni.controllers import (
    Controller,
    EvolutionController,
    MetaController,
    RandomController,
    ReinforceController,
)

__all__ = ["ARMS", "PORTFOLIO", "Arm"]

PORTFOLIO = "portfolio"
"""The mean-rank portfolio, a reference that searches the table's rows and is no controller."""


@dataclass(frozen=True)
class Arm:
    """One strategy.

    Attributes:
        make: Makes its controller, given a file for what it learns; None for the portfolio.
        warm: Whether it is given the other tasks.
        text: What it is, for people.
    """

    make: Callable[[Path], Controller] | None
    warm: bool
    text: str


def _plain(make: Callable[[], Controller], file: Path) -> Controller:
    return make()


ARMS = {
    "random": Arm(partial(_plain, RandomController), False, "random search without repetition"),
    "evolution": Arm(
        partial(_plain, EvolutionController), False, "regularized evolution, population 20"
    ),
    "evolution_warm": Arm(
        partial(_plain, partial(EvolutionController, warm=True)),
        True,
        "the same, its first population drawn from the generator",
    ),
    "reinforce": Arm(
        partial(_plain, partial(ReinforceController, warm=False)), False, "REINFORCE from uniform"
    ),
    "reinforce_warm": Arm(
        partial(_plain, ReinforceController), True, "REINFORCE from the generator's weights"
    ),
    PORTFOLIO: Arm(None, True, "the table's rows by their mean rank over the sources"),
    "meta_cold": Arm(MetaController, False, "MetaStrategy without experience"),
    "meta_warm": Arm(MetaController, True, "MetaStrategy with the two other tasks as experience"),
}
"""Every arm by its name."""

"""What trials of NNI's own strategies measured, kept in the store like any other run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from meta_nni.adapters.nni_tuner import MetaTuner
from meta_nni.search import Search
from meta_nni.space import SearchSpace
from meta_nni.trial import Config, Result

__all__ = ["RECORDED", "StrategyRecord"]

RECORDED = ("store", "task", "data", "recipe")
"""The arguments of `MetaTuner` that say what is kept, and where."""


class StrategyRecord(MetaTuner):
    """A tuner that is told and never asked: a strategy proposes in its place.

    Args:
        strategy: Name of the strategy, which the run and its trials are marked with.
        arguments: Those of `RECORDED`, with the strategy's `seed` and `optimize_mode`.

    Raises:
        ValueError, TypeError: naming the argument, what came and what was expected.
    """

    def __init__(self, strategy: str, arguments: Mapping[str, Any]) -> None:
        super().__init__(**{"optimize_mode": "maximize", **arguments}, controller="random")
        self._strategy = strategy

    def _open(self, space: SearchSpace) -> Search:
        given = self._arguments
        given.store.add_run(self._run(space), seed=given.seed, controller=self._strategy)
        return super()._open(space)

    def keep(self, config: Config, result: Result) -> None:
        """Keeps the outcome of a trial. Of several with one config the first value stays."""
        self._opened.adopt(config, result, self._strategy)

"""The mean-rank portfolio of the knowledge, as a controller: it never looks at results."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from experiments.transfer_benchmark.mean_rank import MeanRankPortfolio
from experiments.transfer_benchmark.tables import Table
from meta_nni.controllers import PortfolioController
from meta_nni.controllers.fresh import draw_fresh, only_fresh, tried_keys
from meta_nni.trial import Config, History, Result, Run, Suggestion

__all__ = ["MeanRankController"]

_NUM_PROPOSED = 200  # the first by mean rank; a search asks for fewer


class MeanRankController(PortfolioController):
    """Proposes what was measured elsewhere, by mean rank over the sources' predictions.

    Sources are the runs of the same kind of data. Each predicts every config that any of them
    measured, by a Gaussian process on its own rows; a failure is its worst row.
    """

    def learn(self, run: Run, sources: Sequence[History], rng: np.random.Generator) -> None:
        """Ranks the configs of the sources."""
        alike = [s for s in sources if _kind(s.run) == _kind(run) and s.completed]
        self._ranked = _by_mean_rank(run, alike, rng) if alike else []

    def propose(self, history: History, count: int, rng: np.random.Generator) -> list[Suggestion]:
        """See `Controller.propose`."""
        space, seen = history.run.space, tried_keys(history)
        fresh = list(only_fresh(space, self._ranked, seen))[:count]
        chosen = [Suggestion(config, "portfolio") for config in fresh]
        while len(chosen) < count and (drawn := draw_fresh(space, seen, rng)) is not None:
            chosen.append(Suggestion(drawn, "random"))
        return chosen


def _kind(run: Run) -> str | None:
    described = run.task.metafeatures
    return next((k for k in ("image", "text", "tabular") if described.get(f"kind_{k}") == 1), None)


def _by_mean_rank(run: Run, sources: Sequence[History], rng: np.random.Generator) -> list[Config]:
    moved = [_moved(source, run, rng) for source in sources]
    configs = [trial.config for source in moved for trial in source.trials]
    x = np.array([run.space.encode(config).ravel() for config in configs], np.float64)
    places = {_text(config): place for place, config in enumerate(configs)}
    table = Table("sources", run.space, configs, x, {}, {}, lambda config: places[_text(config)])
    portfolio = MeanRankPortfolio(table, moved, 0)
    return [portfolio.ask() for _ in range(min(_NUM_PROPOSED, len(configs)))]


def _moved(source: History, run: Run, rng: np.random.Generator) -> History:
    """The source with its configs in the run's space, and its worst value for each failure."""
    worst, origin = Result(source.ranked[-1].value), source.run.space
    trials = [
        replace(
            trial if trial.state == "completed" else trial.with_result(worst),
            suggestion=Suggestion(run.space.adopt(trial.config, origin, rng), "random"),
        )
        for trial in (*source.completed, *source.failed)
    ]
    return replace(source, trials=tuple(trials))


def _text(config: Config) -> str:
    return json.dumps(config, sort_keys=True)

"""Portfolio: the best configs of related tasks, most related task first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from meta_nni.controllers.fresh import draw_fresh, only_fresh, tried_keys
from meta_nni.task import Task
from meta_nni.trial import History, Run, Suggestion, Trial

__all__ = ["PortfolioController"]

_DEPTH = 20  # places of a source's ranking that enter the portfolio


class PortfolioController:
    """Proposes each source's best config, then each source's second best, and so on.

    Sources come in the order of their tasks' distance to the new one (Feurer et al. 2015,
    meta-learned initialisation of auto-sklearn). It never looks at the run's results, and
    draws at random once the portfolio is used up.
    """

    def __init__(self) -> None:
        self._entries: list[Suggestion] = []

    def learn(self, run: Run, sources: Sequence[History], rng: np.random.Generator) -> None:
        """Ranks the trials of the sources that share a parameter with the run's space."""
        related = [s for s in sources if run.space.shared_fraction(s.run.space) and s.completed]
        related.sort(key=lambda s: (*_distance(run.task, s.run.task), s.run.run_id))
        self._entries = []
        for source, trial in _round_robin(related):
            config = run.space.adopt(trial.config, source.run.space, rng)
            why = f"trial {trial.number} of {source.run.task.name} reached {trial.value:.4g}"
            self._entries.append(Suggestion(config, source="portfolio", why=why))

    def propose(self, history: History, count: int, rng: np.random.Generator) -> list[Suggestion]:
        """See `Controller.propose`."""
        space, seen = history.run.space, tried_keys(history)
        suggestions: list[Suggestion] = []
        for entry in self._entries:
            if len(suggestions) == count:
                return suggestions
            suggestions += [entry for _ in only_fresh(space, [entry.config], seen)]
        while len(suggestions) < count and (drawn := draw_fresh(space, seen, rng)) is not None:
            suggestions.append(Suggestion(drawn, "random", why="the portfolio is used up"))
        return suggestions


def _round_robin(sources: Sequence[History]) -> Iterator[tuple[History, Trial]]:
    ranked = [source.ranked[:_DEPTH] for source in sources]
    for place in range(max(map(len, ranked), default=0)):
        for source, trials in zip(sources, ranked, strict=True):
            if place < len(trials):
                yield source, trials[place]


def _distance(a: Task, b: Task) -> tuple[bool, float]:
    """The same task comes first, even where its data was not described."""
    return a.name != b.name, float(np.linalg.norm(a.embedding() - b.embedding()))

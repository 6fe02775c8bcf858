"""Regularized evolution: mutate the best of a random few of the youngest trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from meta_nni.controllers.fidelity import at_full_budget
from meta_nni.controllers.fresh import draw_fresh, tried_keys
from meta_nni.policy.generator import stream
from meta_nni.policy.neural import NeuralPolicy
from meta_nni.trial import Config, History, Run, Suggestion, Trial

__all__ = ["EvolutionController"]


@dataclass
class EvolutionController:
    """Regularized evolution (Real et al. 2019, algorithm 1).

    The population is the last `population_size` ended trials, so the oldest dies, not
    the worst. Failed trials belong to it and lose every tournament.

    Attributes:
        population_size: P of the paper; as many random trials come first.
        sample_size: S of the paper: how many of the population enter a tournament.
        warm: Draws the first population from the generator trained on the sources, if
            there are any, instead of uniformly.
        steps: Of that training; None leaves it to `NeuralPolicy.train`.
    """

    population_size: int = 20
    sample_size: int = 5
    warm: bool = False
    steps: int | None = None
    _policy: NeuralPolicy | None = field(default=None, init=False, repr=False)

    def learn(self, run: Run, sources: Sequence[History], rng: np.random.Generator) -> None:
        """Learns nothing, or the generator: some seconds, and TensorFlow is loaded."""
        self._policy = None
        if self.warm and sources:
            seed = int(rng.integers(2**31))
            sources = [at_full_budget(source) for source in sources]
            self._policy = NeuralPolicy.train(run.space, sources, seed=seed, steps=self.steps)

    def propose(self, history: History, count: int, rng: np.random.Generator) -> list[Suggestion]:
        """See `Controller.propose`."""
        seen = tried_keys(history)
        suggestions = []
        for position in range(count):
            random_phase = len(history.trials) + position < self.population_size
            suggestion = (
                None if random_phase or not history.completed else self._mutate(history, seen, rng)
            )
            if suggestion is None:
                suggestion = self._draw(history, seen, rng)
            if suggestion is None:
                break
            suggestions.append(suggestion)
        return suggestions

    def _draw(
        self, history: History, seen: set[str], rng: np.random.Generator
    ) -> Suggestion | None:
        """One of the first population."""
        policy, run = self._policy, history.run
        if policy is None:
            config = draw_fresh(run.space, seen, rng)
            source, why = "random", "drawn at random"
        else:
            config = draw_fresh(
                run.space, seen, rng, stream(policy.network, run.task, rng).__next__
            )
            source, why = "zero-shot", "drawn from what was good on other tasks"
        return None if config is None else Suggestion(config, source, why=why)

    def _mutate(
        self, history: History, seen: set[str], rng: np.random.Generator
    ) -> Suggestion | None:
        parent = self._parent(history, rng)
        space = history.run.space
        child: Config = parent.config

        def draw() -> Config:
            # Each draw goes one mutation further, so tried neighbours are left behind.
            nonlocal child
            child = space.mutate(child, rng)
            return child

        config = draw_fresh(space, seen, rng, draw)
        why = f"a mutation of trial {parent.number}, which reached {parent.value:.4g}"
        return None if config is None else Suggestion(config, source="evolution", why=why)

    def _parent(self, history: History, rng: np.random.Generator) -> Trial:
        ended = [trial for trial in history.trials if trial.state in ("completed", "failed")]
        population = ended[-self.population_size :]
        if not any(trial.state == "completed" for trial in population):
            population = list(history.completed)
        size = min(self.sample_size, len(population))
        sample = [population[i] for i in rng.choice(len(population), size, replace=False)]
        alive = [trial for trial in sample if trial.value is not None] or history.completed
        sign = history.run.task.sign
        return max(alive, key=lambda trial: sign * (trial.value or 0.0))

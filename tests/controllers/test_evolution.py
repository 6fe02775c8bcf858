import numpy as np
import pytest
from synthetic import CONFIGS, SPACE, Problem

from meta_nni.controllers import EvolutionController, RandomController
from meta_nni.task import Task
from meta_nni.testing import history_of, play
from meta_nni.trial import Run

RUN = Run("r", Task("t"), SPACE)


def distance(a, b):
    return sum(a[name] != b[name] for name in a)


def test_a_population_is_drawn_first_then_mutated():
    history = play(EvolutionController(population_size=6), RUN, Problem(0), 12)
    sources = [trial.suggestion.source for trial in history.trials]
    assert sources == ["random"] * 6 + ["evolution"] * 6


def test_children_are_mutations_of_the_winner():
    # All of the population enter the tournament: the best of the last eight must win.
    controller = EvolutionController(population_size=8, sample_size=8)
    values = [9.0, 9.0, 0.1, 0.2, None, 0.3, 5.0, 0.2, None, 0.4]
    history = history_of(RUN, zip(CONFIGS[::25], values, strict=False))
    for seed in range(10):
        (suggestion,) = controller.propose(history, 1, np.random.default_rng(seed))
        assert distance(suggestion.config, history.trials[6].config) == 1
        assert suggestion.why == "a mutation of trial 6, which reached 5"


def test_the_oldest_die_even_where_they_are_the_best():
    controller = EvolutionController(population_size=4, sample_size=4)
    history = history_of(RUN, zip(CONFIGS[::40], [9.0, 0.1, 0.2, 0.4, 0.3], strict=False))
    (suggestion,) = controller.propose(history, 1, np.random.default_rng(0))
    assert "trial 3" in suggestion.why


def test_pending_trials_are_no_parents_and_failures_lose():
    controller = EvolutionController(population_size=3, sample_size=3)
    outcomes = [0.5, None, "running", None, "lost", None, "proposed"]
    history = history_of(RUN, zip(CONFIGS[::30], outcomes, strict=False))
    # The last three that ended all failed; the only value is older.
    (suggestion,) = controller.propose(history, 1, np.random.default_rng(0))
    assert "trial 0" in suggestion.why


def test_it_draws_at_random_while_nothing_has_a_value():
    history = history_of(RUN, [(config, None) for config in CONFIGS[:30]])
    suggestions = EvolutionController().propose(history, 3, np.random.default_rng(0))
    assert [suggestion.source for suggestion in suggestions] == ["random"] * 3


def test_it_leaves_neighbourhoods_that_are_used_up():
    near = [c for c in CONFIGS if distance(c, CONFIGS[0]) <= 2]
    assert len(near) < len(CONFIGS)
    outcomes = [(config, 1.0 if config is CONFIGS[0] else 0.0) for config in near]
    controller = EvolutionController(population_size=len(near), sample_size=len(near))
    suggestions = controller.propose(history_of(RUN, outcomes), 5, np.random.default_rng(0))
    assert [s.source for s in suggestions] == ["evolution"] * 5
    assert all(distance(s.config, CONFIGS[0]) > 2 for s in suggestions)


def test_it_beats_random_search():
    regrets = {EvolutionController: [], RandomController: []}
    for seed in range(4):
        problem = Problem(seed, own=1.0)
        for kind, found in regrets.items():
            history = play(kind(), problem.run(), problem, 40, seed=seed)
            found.append(problem.regret(history, after=40))
    evolution, random = (np.mean(found) for found in regrets.values())
    assert evolution < 0.5 * random


@pytest.mark.host
def test_warm_the_first_population_is_what_was_good_elsewhere():
    sources = [Problem(seed).history() for seed in range(1, 4)]
    problem = Problem(9)
    controller = EvolutionController(population_size=10, warm=True)
    history = play(controller, problem.run(), problem, 14, sources=sources)
    assert [t.suggestion.source for t in history.trials] == ["zero-shot"] * 10 + ["evolution"] * 4
    ranks = [np.mean(problem.values > trial.value) for trial in history.trials[:10]]
    assert np.mean(ranks) < 0.3


def test_warm_without_sources_it_is_as_cold():
    drawn = [
        play(EvolutionController(warm=warm), RUN, Problem(0), 5).trials for warm in (True, False)
    ]
    assert drawn[0] == drawn[1]

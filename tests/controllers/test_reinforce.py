import numpy as np
import pytest
from sample_spaces import choice
from synthetic import CONFIGS, SPACE, Problem

from meta_nni.controllers import RandomController, ReinforceController
from meta_nni.space import SearchSpace
from meta_nni.task import Task
from meta_nni.testing import history_of, play
from meta_nni.trial import History, Run

RUN = Run("r", Task("t"), SPACE)
BANDIT = SearchSpace.from_nni(
    {"arm": choice(*"abcdefgh"), "x": {"_type": "uniform", "_value": [0, 1]}}
)
host = pytest.mark.host  # loads TensorFlow


def test_it_starts_uniform():
    suggestions = ReinforceController().propose(History(RUN), 200, np.random.default_rng(0))
    assert {s.source for s in suggestions} == {"reinforce"}
    assert suggestions[0].why == "drawn from the policy after 0 results"
    for parameter in SPACE.parameters:
        counts = [
            sum(s.config[parameter.name] == v for s in suggestions) for v in parameter.values()
        ]
        assert min(counts) > 30


@host
def test_the_policy_moves_to_what_earned_most():
    arms = [{"arm": arm, "x": x} for x in np.linspace(0, 1, 5) for arm in "abcdefgh"]
    history = history_of(Run("r", Task("t"), BANDIT), [(c, float(c["arm"] == "c")) for c in arms])
    drawn = ReinforceController().propose(history, 200, np.random.default_rng(0))
    shares = {arm: np.mean([s.config["arm"] == arm for s in drawn]) for arm in "abcdefgh"}
    assert max(shares, key=lambda arm: shares[arm]) == "c"
    assert shares["c"] > 0.3


@host
def test_failures_are_avoided():
    arms = [{"arm": arm, "x": x} for x in np.linspace(0, 1, 5) for arm in "abcdefgh"]
    outcomes = [(c, None if c["arm"] in "abcd" else 0.5) for c in arms]
    history = history_of(Run("r", Task("t"), BANDIT), outcomes)
    drawn = ReinforceController().propose(history, 200, np.random.default_rng(0))
    assert np.mean([s.config["arm"] in "abcd" for s in drawn]) < 0.35


@host
def test_replays_are_kept_and_change_nothing(monkeypatch):
    outcomes = [(config, float(i % 7)) for i, config in enumerate(CONFIGS[::6])]
    history = history_of(RUN, outcomes)
    controller = ReinforceController()
    steps = []
    step = ReinforceController._step
    monkeypatch.setattr(
        ReinforceController, "_step", lambda *args: steps.append(args) or step(*args)
    )

    def proposed(by, count):
        steps.clear()
        given = History(RUN, history.trials[:count])
        return [s.config for s in by.propose(given, 3, np.random.default_rng(0))], len(steps)

    first, num_steps = proposed(controller, 40)
    assert num_steps == 40
    assert proposed(controller, 40) == (first, 0)
    more, num_steps = proposed(controller, 42)
    assert num_steps == 2
    assert proposed(ReinforceController(), 42)[0] == more
    earlier, num_steps = proposed(controller, 35)
    assert num_steps == 3  # from the replay that was kept after 32
    assert proposed(ReinforceController(), 35)[0] == earlier
    # Equal trials are not the very trials: another run's results never count.
    other = history_of(RUN, [(config, -value) for config, value in outcomes])
    steps.clear()
    controller.propose(other, 1, np.random.default_rng(0))
    assert len(steps) == len(other.trials)


@host
def test_it_beats_random_search():
    found = {ReinforceController: [], RandomController: []}
    for seed in range(3):
        problem = Problem(seed, own=1.0)
        for kind, regrets in found.items():
            history = play(kind(), problem.run(), problem, 40, seed=seed)
            regrets.append(problem.regret(history, after=40))
    reinforce, random = (np.mean(regrets) for regrets in found.values())
    assert reinforce < 0.5 * random


@host
def test_warm_it_starts_from_what_was_good_elsewhere():
    sources = [Problem(seed).history() for seed in range(1, 4)]
    problem = Problem(9)
    ranks = []
    for warm in (True, False):
        controller = ReinforceController(warm=warm)
        controller.learn(problem.run(), sources, np.random.default_rng(0))
        drawn = controller.propose(History(problem.run()), 20, np.random.default_rng(0))
        ranks.append(np.mean([np.mean(problem.values > problem(s.config)) for s in drawn]))
    assert ranks[0] < 0.3
    assert ranks[1] > 0.4

import numpy as np
import pytest
from sample_spaces import DEEP
from synthetic import CONFIGS, SPACE, Problem

from meta_nni.controllers.candidates import Candidates
from meta_nni.controllers.encoded import EncodedTrials
from meta_nni.controllers.fresh import tried_keys
from meta_nni.policy.kernel import vectors
from meta_nni.policy.training import train
from meta_nni.space import SearchSpace
from meta_nni.task import Task
from meta_nni.testing import history_of
from meta_nni.trial import History, Run

LARGE = SearchSpace.from_nni(DEEP)
WIDER = SearchSpace.from_nni({**DEEP, "more": DEEP["rate"]})


def drawn(space, count, name="source", seed=0):
    rng = np.random.default_rng(seed)
    outcomes = [(config, config["rate"]) for config in (space.sample(rng) for _ in range(count))]
    return history_of(Run(f"run of {name}", Task(name), space), outcomes)


def candidates(run, sources=(), seed=0):
    policy = train(run, sources, np.random.default_rng(seed))
    return Candidates(run.space, policy, np.random.default_rng(seed)), policy


def keys(space, configs):
    return [space.key(config) for config in configs]


def test_a_small_space_is_a_candidate_as_a_whole(rng):
    problem = Problem(0)
    pool, policy = candidates(problem.run(), [Problem(1).history(20)])
    history = problem.history(100)
    seen = tried_keys(history)
    left = pool.fresh(history, seen, rng)
    configs, x, features = left.configs, left.x, left.features
    assert set(keys(SPACE, configs)) == set(keys(SPACE, CONFIGS)) - seen
    assert len(configs) == 156
    assert np.array_equal(x, vectors(SPACE, configs))
    assert np.array_equal(features, policy.features(x))


def test_nothing_is_left_of_an_exhausted_space(rng):
    problem = Problem(0)
    pool, _ = candidates(problem.run())
    assert pool.fresh(problem.history(256), set(keys(SPACE, CONFIGS)), rng) is None
    almost = set(keys(SPACE, CONFIGS[:-1]))
    assert pool.fresh(problem.history(255), almost, rng).configs == CONFIGS[-1:]


def test_of_sparse_sources_the_better_half_was_measured():
    source, other = drawn(LARGE, 19, "a"), drawn(WIDER, 9, "b", 1)
    pool, policy = candidates(Run("new", Task("new"), LARGE), [source, other])
    measured = pool.measured(set())
    good = [trial.config for trial in source.ranked[:10]]
    assert measured.configs == good  # those of the wider space would have to be changed
    assert np.array_equal(measured.features, policy.features(vectors(LARGE, good)))
    assert pool.measured({LARGE.key(good[0])}).configs == good[1:]
    assert pool.measured(set(keys(LARGE, good[:5]))) is None  # half of them


def test_nothing_measured_is_set_apart_in_small_spaces_or_of_rich_sources():
    for problem, sources in (
        (Problem(0).run(), [Problem(1).history(20)]),
        (Run("new", Task("new"), LARGE), [drawn(LARGE, 80)]),
        (Run("new", Task("new"), LARGE), []),
    ):
        assert candidates(problem, sources)[0].measured(set()) is None


@pytest.fixture(scope="module")
def large():
    sources = [drawn(LARGE, 150, "a"), drawn(WIDER, 12, "b", 1)]
    run = Run("new", Task("new"), LARGE)
    return candidates(run, sources), sources, run


def test_the_pool_of_a_large_space_holds_the_best_of_the_sources(large, rng):
    (pool, policy), sources, run = large
    fresh = pool.fresh(History(run), set(), rng)
    configs, x, features = fresh.configs, fresh.x, fresh.features
    found = set(keys(LARGE, configs))
    assert len(found) == len(configs) > 2000
    assert x.shape == (len(configs), len(LARGE.parameters), LARGE.num_features)
    assert features == pytest.approx(policy.features(x))
    best = [trial.config for trial in sources[0].ranked[:5]]
    adopted = [LARGE.adopt(t.config, WIDER, rng) for t in sources[1].ranked[:5]]
    assert set(keys(LARGE, [*best, *adopted])) <= found


def test_neighbours_of_the_runs_best_trials_become_candidates(large, rng):
    (pool, _), _, run = large
    history = drawn(LARGE, 6, "new", seed=5)
    best = LARGE.flatten(history.best.config)
    seen = tried_keys(history)

    def near(given):
        configs = pool.fresh(given, seen, rng).configs
        assert not set(keys(LARGE, configs)) & seen
        shared = (sum(item in best.items() for item in LARGE.flatten(c).items()) for c in configs)
        return sum(count == len(best) - 1 for count in shared)

    assert near(history) > near(History(run))


def test_asking_changes_neither_what_was_seen_nor_the_pool(large):
    (pool, _), _, run = large
    seen = {"x"}
    first, again = (
        pool.fresh(History(run), seen, np.random.default_rng(3)).configs for _ in range(2)
    )
    assert seen == {"x"}
    assert first == again


def test_encoded_trials_are_those_of_the_trials_asked_for():
    policy = train(Problem(0).run(), [Problem(1).history(20)], np.random.default_rng(0))
    encoded = EncodedTrials(SPACE, policy)
    history, other = Problem(0).history(9), Problem(0).history(9, seed=1)
    many = Problem(0).history(40, seed=2)  # more than the arrays hold at first
    for trials in (history.trials[:4], history.trials, other.trials[::-1], (), many.trials):
        x, features = encoded(trials)
        assert np.array_equal(x, vectors(SPACE, [trial.config for trial in trials]))
        assert features == pytest.approx(policy.features(x))
        assert features.shape == (len(trials), 1)
        assert encoded.keys(trials) == set(keys(SPACE, [trial.config for trial in trials]))


def test_climbing_finds_better_configs_than_were_drawn(large):
    (pool, policy), *_ = large
    drawn = [LARGE.sample(np.random.default_rng(9)) for _ in range(3000)]
    best_drawn = (policy.features(vectors(LARGE, drawn)) @ policy.weights).max()
    found = pool.fresh(History(Run("new", Task("new"), LARGE)), set(), np.random.default_rng(0))
    assert (found.features @ policy.weights).max() > best_drawn
    assert len(found.keys) == len(set(found.keys)) == len(found.configs)


def test_only_what_may_be_measured_is_a_candidate(rng):
    problem = Problem(0)
    policy = train(problem.run(), [Problem(1).history(20)], np.random.default_rng(0))
    pool = Candidates(SPACE, policy, np.random.default_rng(0), only=CONFIGS[:6])
    found = pool.fresh(problem.history(3), set(keys(SPACE, CONFIGS[:2])), rng)
    assert found.configs == CONFIGS[2:6]
    assert pool.near(CONFIGS[:1], set(), rng).configs == []
    assert pool.fresh(problem.history(3), set(keys(SPACE, CONFIGS[:6])), rng) is None


def test_the_network_adds_what_it_generates(large):
    _, sources, run = large
    generated = LARGE.sample(np.random.default_rng(77))

    class Network:
        space = LARGE
        head = type("Head", (), {"mean": np.zeros(1)})

        def sample(self, task, count, rng):
            assert task == run.task
            return [generated] * count

        def features(self, rows, task):
            return np.zeros((len(rows), 1))

    policy = train(run, sources, np.random.default_rng(0), lambda histories: Network())
    pool = Candidates(LARGE, policy, np.random.default_rng(0))
    found = pool.fresh(History(run), set(), np.random.default_rng(0))
    assert policy.features(vectors(LARGE, [generated])).shape == (1, 3)
    # Most candidates are kept, all of the best: this one is among them or among the rest.
    assert found.features.shape[1] == 3
    assert LARGE.key(generated) in found.keys

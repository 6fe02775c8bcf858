import numpy as np
import pytest
from sample_spaces import choice

from meta_nni.policy.kernel import vectors
from meta_nni.policy.source import Source
from meta_nni.policy.warp import Warp, normal_scores
from meta_nni.space import SearchSpace
from meta_nni.task import Task
from meta_nni.testing import history_of
from meta_nni.trial import Run

SPACE = SearchSpace.from_nni(
    {"a": choice(*range(300)), "b": {"_type": "uniform", "_value": [0, 1]}}
)
WIDER = SearchSpace.from_nni(
    {"b": {"_type": "loguniform", "_value": [0.1, 1]}, "a": choice(*range(400)), "c": choice(1)}
)


def history(outcomes, objective="maximize", space=SPACE):
    return history_of(Run("r", Task("digits", objective), space), outcomes)


def source(*arguments, **fields):
    rng = np.random.default_rng(0)
    return Source.from_history(history(*arguments, **fields), SPACE, rng)


def configs(count, **fields):
    return [{"a": a, "b": 0.5, **fields} for a in range(count)]


def test_trials_stand_best_first_and_failures_last():
    outcomes = zip(configs(6), [0.3, None, 0.9, "running", 0.3, "lost"], strict=True)
    found = source(outcomes)
    assert [trial.number for trial in found.trials] == [2, 0, 4, 1]
    assert found.y == pytest.approx(normal_scores(np.array([0.9, 0.3, 0.3, -np.inf])))
    assert np.array_equal(found.x, vectors(SPACE, [trial.config for trial in found.trials]))
    assert found.warp == Warp.fit(np.array([0.9, 0.3, 0.3]))
    assert found.name == "digits"
    assert found.mask.tolist() == [True, True]


def test_a_minimised_source_is_turned():
    values = [0.3, None, 0.9, 0.5]
    up = source(zip(configs(4), [-0.3, None, -0.9, -0.5], strict=True))
    down = source(zip(configs(4), values, strict=True), "minimize")
    assert [trial.number for trial in down.trials] == [0, 3, 2, 1]
    assert np.array_equal(up.y, down.y)
    assert np.array_equal(up.x, down.x)
    assert up.warp == down.warp


def test_parameters_that_the_spaces_do_not_share_are_masked():
    outcomes = [({"b": 0.5, "a": a, "c": 1}, a / 10) for a in (1, 2, 350)]
    found = source(outcomes, space=WIDER)
    assert found.mask.tolist() == [True, False]  # b is of another type
    assert found.x[0, 0].tolist() == [0.0] * SPACE.num_features  # 350 is no option here
    assert found.x[1, 0].any()


@pytest.mark.parametrize(
    "outcomes",
    [
        [],
        [0.5, 0.6],
        [0.5, None, "running", "lost", "proposed"],
        [None, None, None, None],
    ],
)
def test_runs_that_tell_too_little_are_no_sources(outcomes):
    assert source(zip(configs(5), outcomes, strict=False)) is None


def test_runs_of_strange_spaces_are_no_sources():
    strange = SearchSpace.from_nni({"z": choice(1, 2, 3, 4)})
    outcomes = [({"z": z}, float(z)) for z in (1, 2, 3, 4)]
    assert source(outcomes, space=strange) is None


def test_of_long_runs_a_random_part_counts():
    outcomes = [(config, float(config["a"])) for config in configs(300)]
    rng = np.random.default_rng(0)
    parts = [Source.from_history(history(outcomes), SPACE, rng) for _ in range(2)]
    numbers = [[trial.number for trial in part.trials] for part in parts]
    assert [len(part.y) for part in parts] == [128, 128]
    assert all(n == sorted(n, reverse=True) for n in numbers)
    assert numbers[0] != numbers[1]
    assert min(numbers[0]) < 20
    assert max(numbers[0]) > 280


def test_a_space_that_shares_less_than_a_third_says_nothing():
    spec = {f"p{i}": choice(*range(4)) for i in range(7)}
    wide = SearchSpace.from_nni({"a": choice(*range(300)), **spec})
    outcomes = [({"a": a, **dict.fromkeys(spec, 0)}, 0.1 * a) for a in range(6)]
    told = history(outcomes, space=wide)
    rng = np.random.default_rng(0)
    assert Source.from_history(told, SPACE, rng) is not None  # half of what is asked
    few = history([({"a": a, "b": 0.5}, 0.1 * a) for a in range(6)])
    assert Source.from_history(few, wide, rng) is None  # one parameter of eight

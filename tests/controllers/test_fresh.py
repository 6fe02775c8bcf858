import numpy as np
import pytest
from sample_spaces import DEEP, SHAPES, choice

from meta_nni.controllers.fresh import draw_fresh, only_fresh, tried_keys
from meta_nni.space import SearchSpace
from meta_nni.task import Task
from meta_nni.testing import history_of
from meta_nni.trial import Run


def test_tried_are_the_configs_of_all_states():
    space = SearchSpace.from_nni({"a": choice(1, 2, 3, 4, 5, 6)})
    outcomes = [({"a": 1}, 0.5), ({"a": 2.0}, None), ({"a": 3}, "proposed"), ({"a": 4}, "running")]
    history = history_of(Run("r", Task("t"), space), [*outcomes, ({"a": 5}, "lost")])
    assert tried_keys(history) == {space.key({"a": a}) for a in range(1, 6)}


def test_only_fresh_leaves_out_equals_and_notes_the_others():
    space = SearchSpace.from_nni({"a": choice(1, True, 2)})
    seen = {space.key({"a": 2})}
    configs = [{"a": 1}, {"a": 2.0}, {"a": True}, {"a": 1.0}]
    assert list(only_fresh(space, configs, seen)) == [{"a": 1}, {"a": True}]
    assert len(seen) == 3


def test_draws_end_exactly_with_the_space(rng):
    space, seen = SearchSpace.from_nni(SHAPES), set()
    drawn = [draw_fresh(space, seen, rng) for _ in range(space.size)]
    assert len({space.key(config) for config in drawn}) == len(seen) == space.size
    assert draw_fresh(space, seen, rng) is None
    assert len(seen) == space.size


def test_a_config_that_is_hardly_ever_drawn_is_found(rng):
    space = SearchSpace.from_nni({"a": {"_type": "qloguniform", "_value": [1, 2.000001, 1]}})
    seen = {space.key({"a": 1})}
    assert draw_fresh(space, seen, rng, draw=lambda: {"a": 1.0}) == {"a": 2.0}


def test_a_way_of_drawing_that_finds_nothing_new_ends(rng):
    space = SearchSpace.from_nni(DEEP)
    config = space.sample(rng)
    assert draw_fresh(space, {space.key(config)}, rng, draw=lambda: config) is None


@pytest.mark.parametrize("seed", [0, 1])
def test_the_same_generator_draws_the_same(seed):
    space = SearchSpace.from_nni(DEEP)
    first, again = (draw_fresh(space, set(), np.random.default_rng(seed)) for _ in range(2))
    assert first == again

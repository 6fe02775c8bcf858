from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import encoded, make_network
from sample_spaces import ALL_TYPES, DEEP, SHAPES, spaces

from meta_nni.policy.generator import log_prob, sample, stream
from meta_nni.space import SearchSpace
from meta_nni.task import Task

SPACE = SearchSpace.from_nni(SHAPES)
CONFIGS = list(SPACE.configs())
TASK = Task("t", metafeatures={"n_train": 4000.0})


def rng(seed=0):
    return np.random.default_rng(seed)


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_every_sample_belongs_to_the_space(data):
    space = SearchSpace.from_nni(data.draw(spaces()))
    network = make_network(space, data.draw(st.integers(0, 9)), logits=3.0)
    configs = sample(network, TASK, 20, rng(), temperature=data.draw(st.sampled_from([0.5, 1, 9])))
    assert len(configs) == 20
    for config in configs:
        space.validate(config)
    assert np.isfinite(log_prob(network, encoded(space, configs), TASK)).all()


@pytest.mark.parametrize("spec", [ALL_TYPES, DEEP])
def test_every_type_and_deep_nesting_is_sampled(spec):
    space = SearchSpace.from_nni(spec)
    configs = sample(make_network(space), TASK, 500, rng())
    for config in configs:
        space.validate(config)
    assert len({space.key(config) for config in configs}) > 300


def test_probabilities_sum_to_one_over_the_space():
    network = make_network(SPACE, logits=2.0)
    probabilities = np.exp(log_prob(network, encoded(SPACE, CONFIGS), TASK))
    assert probabilities.sum() == pytest.approx(1.0, abs=1e-5)
    assert probabilities.max() > 5 * probabilities.min()


def test_samples_come_as_often_as_their_probability_says():
    network = make_network(SPACE, logits=2.0)
    expected = np.exp(log_prob(network, encoded(SPACE, CONFIGS), TASK))
    count = 4000
    found = dict.fromkeys(map(SPACE.key, CONFIGS), 0)
    for config in sample(network, TASK, count, rng()):
        found[SPACE.key(config)] += 1
    # Standardised by the binomial's deviation: 108 of them stay within 5.
    deviation = np.sqrt(count * expected * (1 - expected))
    assert np.abs((np.array(list(found.values())) - count * expected) / deviation).max() < 5.0


def test_decisions_depend_on_the_task_and_on_decisions_before():
    network = make_network(SPACE, logits=3.0)
    rows = encoded(SPACE, CONFIGS)
    other = Task("u", metafeatures={"n_classes": 2.0})
    assert not np.allclose(log_prob(network, rows, TASK), log_prob(network, rows, other), atol=0.1)
    probabilities = np.exp(log_prob(network, rows, TASK))
    shares = []
    for branch in ("plain", "residual", "none"):
        inside = np.array([config["block"]["_name"] == branch for config in CONFIGS])
        normed = np.array([config["norm"] for config in CONFIGS])
        shares.append(probabilities[inside & normed].sum() / probabilities[inside].sum())
    assert max(shares) - min(shares) > 0.05


def test_temperature_sharpens_and_flattens():
    network = make_network(SPACE, logits=2.0)
    distinct = [
        len({SPACE.key(c) for c in sample(network, TASK, 300, rng(), temperature)})
        for temperature in (0.2, 1.0, 50.0)
    ]
    assert distinct == sorted(distinct)
    assert distinct[2] > 2 * distinct[0]


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_a_temperature_that_is_not_positive_is_refused(temperature):
    with pytest.raises(ValueError, match="expected a number above 0"):
        sample(make_network(SPACE), TASK, 1, rng(), temperature)


def test_the_generator_decides_what_is_drawn():
    network = make_network(SPACE)
    first, same, other = (sample(network, TASK, 20, rng(seed)) for seed in (1, 1, 2))
    assert first == same
    assert first != other
    assert sample(network, TASK, 0, rng()) == []


def test_a_stream_begins_with_the_likely_and_leaves_them():
    network = make_network(SPACE, logits=20.0)
    drawn = [SPACE.key(config) for config in islice(stream(network, TASK, rng()), 640)]
    assert len(set(drawn[:16])) <= 8
    assert len(set(drawn[-160:])) > 50

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_spaces import ALL_TYPES, DEEP, SHAPES, choice, spaces

from meta_nni.policy.decisions import NUM_BINS, Decisions
from meta_nni.space import SearchSpace


def encoded(space, configs):
    return np.stack([space.encode(config) for config in configs])


def test_each_parameter_has_its_options_or_bins():
    space = SearchSpace.from_nni(ALL_TYPES)
    counts = dict(zip(ALL_TYPES, Decisions(space).counts, strict=True))
    assert counts["choice"] == 3
    assert counts["randint"] == 7
    assert counts["quniform"] == 6
    assert {counts[name] for name in set(counts) - {"choice", "randint", "quniform"}} <= {16, 17}
    assert counts["uniform"] == counts["normal"] == NUM_BINS
    assert Decisions(space).allowed.sum(1).tolist() == list(counts.values())


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_active_parameters_are_those_of_the_space(data):
    space = SearchSpace.from_nni(data.draw(spaces()))
    decisions = Decisions(space)
    config = space.sample(np.random.default_rng(data.draw(st.integers(0, 99))))
    codes = decisions.codes(encoded(space, [config]))
    assignment = space.flatten(config)
    for position, parameter in enumerate(space.parameters):
        active = parameter.path in assignment
        assert decisions.active(codes, position)[0] == active
        assert (codes[0, position] >= 0) == active
        assert codes[0, position] < decisions.counts[position]


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_a_drawn_value_has_the_encoded_row_of_its_option(data):
    space = SearchSpace.from_nni(data.draw(spaces(depth=0)))
    decisions = Decisions(space)
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    for position, parameter in enumerate(space.parameters):
        codes = np.arange(decisions.counts[position])
        values, rows = decisions.draw(position, codes, rng)
        for value, row in zip(values, rows, strict=True):
            assert parameter.contains(value)
            config = space.sample(rng)
            config[parameter.path[0]] = value
            assert np.array_equal(space.encode(config)[position], row)
        if parameter.size is not None and parameter.size <= NUM_BINS:
            padded = np.zeros((len(rows), *space.encode(space.sample(rng)).shape), np.float32)
            padded[:, position] = rows
            assert decisions.codes(padded)[:, position].tolist() == codes.tolist()


def test_numbers_are_uniform_within_their_bin():
    space = SearchSpace.from_nni({"x": {"_type": "uniform", "_value": [0.0, 16.0]}})
    values, rows = Decisions(space).draw(0, np.full(1000, 5), np.random.default_rng(0))
    assert 5.0 <= min(values) < 5.05
    assert 5.95 < max(values) <= 6.0
    assert np.mean(values) == pytest.approx(5.5, abs=0.05)
    assert Decisions(space).codes(rows[:, None]).ravel().tolist() == [5] * 1000


def test_the_expected_number_of_active_parameters():
    # block always, one kernel in two of three branches, scale in one; pool, sizes, norm.
    assert Decisions(SearchSpace.from_nni(SHAPES)).expected_active == pytest.approx(4 + 3 / 3)
    flat = SearchSpace.from_nni({"a": choice(1, 2), "b": choice(1, 2)})
    assert Decisions(flat).expected_active == 2.0


def test_the_fingerprint_knows_the_order_of_parameters():
    turned = dict(reversed(DEEP.items()))
    one, other = SearchSpace.from_nni(DEEP), SearchSpace.from_nni(turned)
    assert one == other
    assert Decisions(one).fingerprint != Decisions(other).fingerprint
    assert Decisions(one).fingerprint == Decisions(SearchSpace.from_nni(DEEP)).fingerprint

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_spaces import ALL_TYPES, DEEP, SHAPES, as_javascript, choice, spaces

from meta_nni.space import SearchSpace, SpaceError


def space(spec):
    return SearchSpace.from_nni(spec)


def differing(one, a, b):
    """The decisions in which two configs of a space differ, not counting what follows."""
    x, y = one.flatten(a), one.flatten(b)
    return [path for path in x if path in y and x[path] != y[path]]


# Moves


@pytest.mark.parametrize("spec", [ALL_TYPES, DEEP, SHAPES])
def test_neighbours_differ_in_exactly_one_decision(spec, rng):
    one = space(spec)
    for _ in range(10):
        config = one.sample(rng)
        before = one.key(config)
        near = one.neighbours(config, rng)
        assert near
        assert one.key(config) == before
        for other in near:
            one.validate(other)
            assert len(differing(one, config, other)) == 1


def test_neighbours_hold_every_other_option_of_every_active_choice(rng):
    one = space(SHAPES)
    config = {"block": {"_name": "plain", "kernel": 3}, "pool": None, "sizes": [8], "norm": True}
    seen = {name: [n[name] for n in one.neighbours(config, rng)] for name in config}
    assert all(option in seen["pool"] for option in ("max", 2))
    assert False in seen["norm"]
    assert [8, 8] in seen["sizes"]
    assert {"_name": "plain", "kernel": 5} in seen["block"]
    assert "residual" in [block["_name"] for block in seen["block"]]
    assert len(one.neighbours(config, rng)) == 2 + 1 + 2 + 1 + 1


@pytest.mark.parametrize("spec", [ALL_TYPES, DEEP, SHAPES])
def test_mutations_change_one_decision_and_reach_all_of_them(spec, rng):
    one, changed = space(spec), set()
    config = one.sample(rng)
    for _ in range(150):
        other = one.mutate(config, rng)
        one.validate(other)
        (path,) = differing(one, config, other)
        changed.add(path)
        config = other
    assert changed == {parameter.path for parameter in one.parameters}


def test_a_space_of_one_config_has_no_moves(rng):
    one = space({"a": choice(1), "b": {"_type": "randint", "_value": [3, 4]}})
    config = {"a": 1, "b": 3}
    assert one.neighbours(config, rng) == []
    assert one.mutate(config, rng) == config


def test_moves_depend_on_the_generator_alone():
    one = space(ALL_TYPES)
    config = one.sample(np.random.default_rng(3))
    assert config == one.sample(np.random.default_rng(3)) != one.sample(np.random.default_rng(4))
    for move in (one.neighbours, one.mutate):
        assert move(config, np.random.default_rng(5)) == move(config, np.random.default_rng(5))


# Other spaces


OTHER = {
    "net": choice(
        {"_name": "cnn", "conv": choice({"_name": "full", "kernel": choice(3.0, 9)})},
        {"_name": "rnn", "cells": choice(1, 2)},
    ),
    "rate": {"_type": "uniform", "_value": [0, 0.5]},
    "alien": choice(1),
}


def test_adopt_keeps_what_both_spaces_share_and_draws_the_rest(rng):
    one, other = space(DEEP), space(OTHER)
    full = {"_name": "full", "kernel": 3.0}
    config = {"net": {"_name": "cnn", "conv": full}, "rate": 0.25, "alien": 1}
    adopted = one.adopt(config, other, rng)
    assert adopted == {
        "net": {"_name": "cnn", "conv": {"_name": "full", "kernel": 3}},
        "rate": 0.25,
    }
    assert type(adopted["net"]["conv"]["kernel"]) is int

    full["kernel"] = 9  # not an option here, nor is 0 a rate
    drawn = [one.adopt({**config, "rate": 0}, other, rng) for _ in range(40)]
    for config in drawn:
        one.validate(config)
        assert config["net"]["conv"]["_name"] == "full"
    assert {config["net"]["conv"]["kernel"] for config in drawn} == {1, 3}
    assert len({config["rate"] for config in drawn}) == 40


def test_adopt_of_an_unknown_branch_draws_a_known_one(rng):
    config = {"net": {"_name": "rnn", "cells": 2}, "rate": 0.25, "alien": 1}
    drawn = [space(DEEP).adopt(config, space(OTHER), rng) for _ in range(40)]
    assert {config["net"]["_name"] for config in drawn} == {"cnn", "mlp"}


def test_adopt_from_the_same_space_changes_nothing_and_from_a_strange_one_draws(rng):
    one = space(DEEP)
    config = one.sample(rng)
    assert one.adopt(config, space(DEEP), rng) == config
    strange = space({"x": choice(1)})
    assert one.adopt({"x": 1}, strange, np.random.default_rng(1)) == one.sample(
        np.random.default_rng(1)
    )
    with pytest.raises(SpaceError, match='"x" is 2'):
        one.adopt({"x": 2}, strange, rng)


def test_shared_fraction_is_the_share_of_parameters_that_the_other_has():
    assert space(DEEP).shared_fraction(space(DEEP)) == 1.0
    assert space(DEEP).shared_fraction(space({"x": choice(1)})) == 0.0
    # net, cnn/conv and its full/kernel; the rate has another type.
    assert space(DEEP).shared_fraction(space(OTHER)) == 3 / 8


# Arrays


def test_encoding_of_a_config():
    one = space(
        {
            "op": choice({"_name": "conv", "kernel": choice(5, 1, 3)}, {"_name": "pool"}),
            "act": choice("relu", None),
            "rate": {"_type": "loguniform", "_value": [0.01, 1]},
        }
    )
    assert one.num_features == 5
    encoded = one.encode({"op": {"_name": "conv", "kernel": 5}, "act": None, "rate": 0.1})
    assert encoded.dtype == np.float32
    assert encoded.shape == (4, 5)
    expected = [[1, 0, 1, 0, 0], [1, 1, 1, 0, 0], [1, 0, 0, 1, 0], [1, 0.5, 0, 0, 0]]
    assert encoded == pytest.approx(np.array(expected), abs=1e-6)
    assert one.encode({"op": {"_name": "pool"}, "act": "relu", "rate": 1})[:2].tolist() == [
        [1, 0, 0, 1, 0],
        [0, 0, 0, 0, 0],
    ]


def test_encoding_of_another_spaces_config_leaves_out_what_is_not_shared():
    one, other = space(DEEP), space(OTHER)
    full = {"_name": "full", "kernel": 3}
    config = {"net": {"_name": "cnn", "conv": full}, "rate": 0.25, "alien": 1}
    own = {"net": {"_name": "cnn", "conv": full}, "rate": 0.25}
    assert np.array_equal(one.encode(config, other), one.encode(own))

    alien = {**config, "net": {"_name": "cnn", "conv": {**full, "kernel": 9}}, "rate": 0}
    active = dict(zip(one.parameters, one.encode(alien, other)[:, 0], strict=True))
    names = [parameter.name for parameter, on in active.items() if on]
    assert names == ["net", "net/cnn/conv"]
    rnn = {"net": {"_name": "rnn", "cells": 1}, "rate": 0.25, "alien": 1}
    assert one.encode(rnn, other)[:, 0].tolist() == [0] * 7 + [1]
    with pytest.raises(SpaceError):
        one.encode(config)


def test_encoding_does_not_depend_on_the_order_of_the_other_space(rng):
    one, turned = space(ALL_TYPES), space(dict(reversed(ALL_TYPES.items())))
    config = one.sample(rng)
    assert np.array_equal(one.encode(config, turned), one.encode(config))


# Any space


@settings(max_examples=60, deadline=None)
@given(spaces(), st.integers(0, 2**32 - 1))
def test_any_space_keeps_its_configs(spec, seed):
    one, rng = space(spec), np.random.default_rng(seed)
    assert one.to_nni() == spec
    again = space(as_javascript(json.loads(json.dumps(spec))))
    assert again == one
    for config in itertools.islice((one.sample(rng) for _ in itertools.count()), 3):
        one.validate(config)
        text = json.dumps(config)
        assert one.unflatten(one.flatten(config)) == config
        assert json.dumps(one.unflatten(one.flatten(json.loads(text)))) == text
        sent = as_javascript(json.loads(text))
        assert one.key(sent) == one.key(config) == again.key(config)
        assert json.dumps(one.unflatten(one.flatten(sent))) == text
        encoded = one.encode(config)
        assert encoded.shape == (len(one.parameters), one.num_features)
        assert np.isfinite(encoded).all()
        assert encoded.min() >= 0
        assert encoded.max() <= 1
        assert {p.path for p, row in zip(one.parameters, encoded, strict=True) if row[0]} == set(
            one.flatten(config)
        )
        moved = one.mutate(config, rng)
        one.validate(moved)
        assert moved == config or len(differing(one, config, moved)) == 1


@settings(max_examples=40, deadline=None)
@given(spaces(), spaces(), st.integers(0, 2**32 - 1))
def test_any_space_can_read_any_others_configs(spec, other_spec, seed):
    one, other, rng = space(spec), space(other_spec), np.random.default_rng(seed)
    config = other.sample(rng)
    one.validate(one.adopt(config, other, rng))
    assert np.isfinite(one.encode(config, other)).all()
    assert 0.0 <= one.shared_fraction(other) <= 1.0


@settings(max_examples=40, deadline=None)
@given(spaces(finite=True))
def test_any_finite_space_is_counted(spec):
    one = space(spec)
    if one.size <= 300:
        assert len({one.key(config) for config in one.configs()}) == one.size


# Configs that are the same candidate


def test_configs_of_equal_identity_have_one_key():
    one = space({"a": choice(1, 2), "b": choice(1, 2)})
    same = one.with_identity(lambda config: str(sorted(config.values())))
    assert same == one
    assert len({one.key(config) for config in one.configs()}) == 4
    assert len({same.key(config) for config in same.configs()}) == 3
    assert same.key({"a": 1, "b": 2}) == same.key({"a": 2, "b": 1})
    row, key = same.encode_with_key({"a": 1, "b": 2})
    assert key == same.key({"a": 2, "b": 1})
    np.testing.assert_array_equal(row, one.encode({"a": 1, "b": 2}))
    with pytest.raises(SpaceError, match='parameter "b" is 3'):
        same.key({"a": 1, "b": 3})

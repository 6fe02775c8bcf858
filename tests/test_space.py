import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from nni.common.hpo_utils import deformat_parameters, format_search_space
from sample_spaces import ALL_TYPES, DEEP, SHAPES, as_javascript, choice

from meta_nni.space import SearchSpace, SpaceError

SEARCH_SPACES = sorted(Path(__file__).parents[1].glob("search_spaces/*.json"))


def space(spec):
    return SearchSpace.from_nni(spec)


# NNI's format, in and out


@pytest.mark.parametrize("spec", [ALL_TYPES, DEEP, SHAPES])
def test_a_space_goes_in_and_out_without_loss(spec):
    text = json.dumps(spec)
    out = space(spec).to_nni()
    assert out == spec
    assert json.dumps(out) == text
    out.clear()
    assert json.dumps(spec) == text
    assert space(json.loads(text)).to_nni() == spec


@pytest.mark.parametrize("file", SEARCH_SPACES, ids=lambda file: file.stem)
def test_the_shipped_spaces_are_sound(file, rng):
    spec = json.loads(file.read_text(encoding="utf-8"))
    shipped = space(spec)
    assert shipped.to_nni() == spec
    config = shipped.sample(rng)
    assert shipped.unflatten(shipped.flatten(json.loads(json.dumps(config)))) == config
    assert np.isfinite(shipped.encode(config)).all()


def test_a_space_does_not_change_with_what_it_was_made_of():
    spec = {"layers": choice([8, 8], [16])}
    one = space(spec)
    before = one.fingerprint
    spec["layers"]["_value"][0].append(4)
    config = one.unflatten({("layers",): one.parameters[0].args[0]})
    config["layers"].append(5)
    assert one.to_nni() == {"layers": choice([8, 8], [16])}
    assert one.parameters[0].args == ([8, 8], [16])
    assert one.fingerprint == before == space(one.to_nni()).fingerprint


def as_nni_assigns(spec, config, key=()):
    """NNI's internal form of a config, for any depth of nesting."""
    assigned = {}
    for name, entry in spec.items():
        if name == "_name":
            continue
        value, options = config[name], entry["_value"]
        if entry["_type"] == "choice" and isinstance(value, dict) and "_name" in value:
            index = [option["_name"] for option in options].index(value["_name"])
            assigned[(*key, name)] = index
            assigned |= as_nni_assigns(options[index], value, (*key, name, index))
        elif entry["_type"] == "choice":
            same = [type(o) is type(value) and o == value for o in options]
            assigned[(*key, name)] = same.index(True)
        elif entry["_type"] == "randint":
            assigned[(*key, name)] = value - options[0]
        else:
            assigned[(*key, name)] = math.log(value) if "log" in entry["_type"] else value
    return assigned


@pytest.mark.parametrize("spec", [ALL_TYPES, DEEP, SHAPES])
def test_configs_have_the_shape_that_nni_gives_them(spec, rng):
    for _ in range(50):
        config = space(spec).sample(rng)
        expected = deformat_parameters(as_nni_assigns(spec, config), format_search_space(spec))
        assert json.dumps(as_types(config)) == json.dumps(as_types(expected))
        assert numbers(config) == pytest.approx(numbers(expected), rel=1e-9)


def as_types(value):
    if isinstance(value, dict):
        return {key: as_types(item) for key, item in value.items()}
    return "float" if type(value) is float else value


def numbers(value):
    if isinstance(value, dict):
        return [number for item in value.values() for number in numbers(item)]
    return [value] if type(value) is float else []


# Nesting


def test_children_of_branches_are_parameters_of_their_own():
    paths = [parameter.path for parameter in space(DEEP).parameters]
    assert paths == [
        ("net",),
        ("net", "cnn", "conv"),
        ("net", "cnn", "conv", "sep", "kernel"),
        ("net", "cnn", "conv", "sep", "act"),
        ("net", "cnn", "conv", "sep", "act", "leaky", "slope"),
        ("net", "cnn", "conv", "full", "kernel"),
        ("net", "mlp", "kernel"),
        ("rate",),
    ]
    assert space(DEEP).parameters[2].name == "net/cnn/conv/sep/kernel"


def test_the_same_child_name_in_two_branches_keeps_two_domains():
    one = space(DEEP)
    sep = {"_name": "sep", "kernel": 7, "act": {"_name": "relu"}}
    valid = {"net": {"_name": "cnn", "conv": sep}, "rate": 0.1}
    one.validate(valid)
    for conv in ({"_name": "full", "kernel": 7}, {**sep, "kernel": 5}):
        with pytest.raises(SpaceError, match="kernel"):
            one.validate({**valid, "net": {"_name": "cnn", "conv": conv}})


def test_branches_are_drawn_with_only_their_own_children(rng):
    one = space(DEEP)
    shapes = set()
    for _ in range(200):
        net = one.sample(rng)["net"]
        inner = net.get("conv", {})
        shapes.add((*net, *inner, *inner.get("act", {})))
    assert shapes == {
        ("_name", "kernel"),
        ("_name", "conv", "_name", "kernel"),
        ("_name", "conv", "_name", "kernel", "act", "_name"),
        ("_name", "conv", "_name", "kernel", "act", "_name", "slope"),
    }


def test_names_with_slashes_do_not_collide_with_paths(rng):
    one = space({"a": choice({"_name": "b", "c": choice(1, 2)}), "a/b/c": choice(3, 4)})
    configs = list(one.configs())
    assert len(configs) == one.size == 4
    assert len({one.key(config) for config in configs}) == 4


@pytest.mark.parametrize(
    ("spec", "size"),
    [
        (SHAPES, 108),
        ({"a": choice(1), "b": choice(None)}, 1),
        ({"a": {"_type": "quniform", "_value": [0, 1, 0.25]}, "b": choice(1, 2)}, 10),
        ({"a": choice({"_name": "x"}, {"_name": "y", "k": choice(1, 2), "m": choice(1, 2)})}, 5),
    ],
)
def test_size_counts_the_configs_of_a_finite_space(spec, size):
    one = space(spec)
    configs = list(one.configs())
    keys = {one.key(config) for config in configs}
    assert len(configs) == len(keys) == one.size == size
    rng = np.random.default_rng(0)
    assert {one.key(one.sample(rng)) for _ in range(60)} <= keys


@pytest.mark.parametrize("spec", [ALL_TYPES, DEEP, {"a": {"_type": "normal", "_value": [0, 1]}}])
def test_a_space_with_an_endless_domain_has_no_size(spec):
    assert space(spec).size is None
    with pytest.raises(SpaceError, match="no end of configs"):
        next(space(spec).configs())


# Identity


def test_keys_are_equal_for_equal_configs_only():
    one = space({"a": choice(1, True, "1", None, [1], [True], 2.0), "b": choice(0, False)})
    keys = [one.key(config) for config in one.configs()]
    assert len(set(keys)) == one.size == 14
    assert (
        one.key({"a": 1.0, "b": 0.0}) == one.key({"b": 0, "a": 1}) != one.key({"a": True, "b": 0})
    )
    assert one.key({"a": 2, "b": 0}) == one.key({"a": 2.0, "b": 0})


def test_keys_do_not_depend_on_the_order_of_the_space(rng):
    turned = dict(reversed(ALL_TYPES.items()))
    for _ in range(20):
        config = space(ALL_TYPES).sample(rng)
        assert space(ALL_TYPES).key(config) == space(turned).key(config)


def test_a_value_written_in_decimals_is_the_step_it_means():
    one = space({"dropout": {"_type": "quniform", "_value": [0, 1, 0.1]}})
    assert one.key({"dropout": 0.3}) == one.key({"dropout": 3 * 0.1})


@pytest.mark.parametrize("spec", [ALL_TYPES, DEEP, SHAPES])
def test_fingerprints_survive_nni_and_any_order_of_keys(spec):
    one = space(spec)
    assert space(as_javascript(spec)).fingerprint == one.fingerprint
    assert space(json.loads(json.dumps(spec, sort_keys=True))) == one
    assert space(dict(reversed(spec.items()))) == one
    assert len({one, space(spec)}) == 1


def test_fingerprints_differ_where_spaces_do():
    variants = [
        DEEP,
        {**DEEP, "rate": {"_type": "loguniform", "_value": [0.001, 0.5]}},
        {**DEEP, "rate": {"_type": "uniform", "_value": [0.001, 1]}},
        {**DEEP, "more": choice(1)},
        {"net": DEEP["net"]},
        {"net": DEEP["net"], "Rate": DEEP["rate"]},
        {"net": choice(*reversed(DEEP["net"]["_value"])), "rate": DEEP["rate"]},
        {"a": choice(1, 2)},
        {"a": choice(True, 2)},
        {"a": choice("1", 2)},
        {"a": choice([1], 2)},
        {"a": choice(2, 1)},
        {"a": choice({"_name": "1"}, {"_name": "2"})},
        {"a": choice("1", "2")},
    ]
    assert len({space(spec).fingerprint for spec in variants}) == len(variants)
    assert space(DEEP) != DEEP


def test_fingerprints_are_the_same_in_every_process():
    code = (
        "import json, sys; from meta_nni.space import SearchSpace;"
        "print(SearchSpace.from_nni(json.load(sys.stdin)).fingerprint)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(ALL_TYPES),
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "12345"},
    )
    assert done.stdout.strip() == space(ALL_TYPES).fingerprint


# Malformed spaces and configs


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (None, ["NoneType", "expected an object"]),
        ([choice(1)], ["list", "expected an object"]),
        ("space.json", ["str", "expected an object"]),
        ({}, ["empty", "at least one parameter"]),
        ({"a": 3}, ['"a" is 3', "_type"]),
        ({3: choice(1)}, ["3", "expected a string"]),
        ({"_name": choice(1)}, ["'_name'", "not allowed"]),
        ({"a": choice({"_name": "x", "b": choice()})}, ['"a/x/b"', "without options"]),
        ({"a": choice({"_name": "x", "b": 5})}, ['"a/x/b" is 5']),
        (
            {"a": choice({"_name": "x", "b": choice({"_name": "y", "c": {"_type": "int"}})})},
            ['"a/x/b/y/c"', "_value"],
        ),
        (
            {"a": choice({"_name": "x", "lr": {"_type": "loguniform", "_value": [0, 1]}})},
            ['"a/x/lr" (loguniform)', "low > 0"],
        ),
        ({"a": choice({"_name": "x", 7: choice(1)})}, ["7", "expected a string"]),
    ],
)
def test_malformed_spaces_are_refused_by_name(spec, words):
    with pytest.raises(SpaceError) as caught:
        space(spec)
    assert [word for word in words if word not in str(caught.value)] == []


VALID = {"net": {"_name": "mlp", "kernel": 16}, "rate": 0.1}


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (None, ["None", "expected an object"]),
        ([("rate", 1)], ["expected an object"]),
        ({"rate": 0.1}, ['"net" is missing']),
        ({**VALID, "lr": 1, 3: 1}, ["['3', 'lr']", "known: ['net', 'rate']"]),
        ({**VALID, "rate": 2}, ['"rate" is 2', "loguniform of [0.001, 1]"]),
        ({**VALID, "rate": None}, ['"rate" is None']),
        ({**VALID, "rate": math.nan}, ['"rate" is nan']),
        ({**VALID, "net": "mlp"}, ["\"net\" is 'mlp'", "_name", "['cnn', 'mlp']"]),
        ({**VALID, "net": {"kernel": 16}}, ['"net"', "_name"]),
        ({**VALID, "net": {"_name": "rnn"}}, ["\"net\" is 'rnn'", "['cnn', 'mlp']"]),
        ({**VALID, "net": {"_name": ["mlp"]}}, ['"net"']),
        ({**VALID, "net": {"_name": "mlp"}}, ['"net/mlp/kernel" is missing inside "net/mlp"']),
        ({**VALID, "net": {"_name": "mlp", "kernel": 3}}, ['"net/mlp/kernel" is 3']),
        (
            {**VALID, "net": {"_name": "mlp", "kernel": 16, "conv": 1}},
            ["['conv']", 'inside "net/mlp"'],
        ),
    ],
)
def test_configs_of_no_space_are_refused_by_name(config, words):
    one = space(DEEP)
    one.validate(VALID)
    for refuse in (one.validate, one.flatten, one.key, one.encode):
        with pytest.raises(SpaceError) as caught:
            refuse(config)
        assert [word for word in words if word not in str(caught.value)] == []


def test_encoding_with_the_key_is_both(rng):
    one = space(DEEP)
    for config in (one.sample(rng) for _ in range(20)):
        row, key = one.encode_with_key(config)
        assert np.array_equal(row, one.encode(config))
        assert key == one.key(config)

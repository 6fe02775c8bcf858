import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nni.common.hpo_utils import deformat_parameters, format_search_space
from scipy.special import ndtri

from meta_nni.parameter import TYPES, SpaceError, canonical, parse

NUMBERS = {
    "randint": [-3, 9],
    "uniform": [-1, 2.5],
    "quniform": [0.05, 0.73, 0.1],
    "loguniform": [1e-5, 1e-1],
    "qloguniform": [0.4, 200, 3],
    "normal": [1.5, 2],
    "qnormal": [-4, 3.0, 0.25],
    "lognormal": [-2, 1.5],
    "qlognormal": [1, 1, 0.5],
}
"""One numeric domain of each type; neither bound of a q type is a multiple of its q."""


def numeric(type_):
    return parse(("p",), {"_type": type_, "_value": NUMBERS[type_]})


def choice(*options):
    return parse(("p",), {"_type": "choice", "_value": list(options)})


def test_every_type_of_nni_is_covered():
    assert set(NUMBERS) | {"choice"} == set(TYPES)


def nni_value(type_, unit):
    """What NNI itself makes of the same uniform number."""
    args = NUMBERS[type_]
    space = format_search_space({"p": {"_type": type_, "_value": args}})
    spec = space[("p",)]
    if type_ == "randint":
        x = int(unit * spec.size)
    elif spec.normal_distributed:
        x = spec.mu + spec.sigma * float(ndtri(unit))
    else:
        x = spec.low + unit * (spec.high - spec.low)
    return deformat_parameters({("p",): x}, space)["p"]


@pytest.mark.parametrize("type_", NUMBERS)
def test_values_are_those_that_nni_makes_of_the_same_number(type_):
    for unit in np.linspace(0.001, 0.999, 97):
        value, expected = numeric(type_).from_unit(unit), nni_value(type_, unit)
        assert value == pytest.approx(expected, rel=1e-12, abs=1e-15)
        assert type(value) is type(expected)


@pytest.mark.parametrize("type_", NUMBERS)
def test_units_and_values_invert_each_other(type_):
    parameter = numeric(type_)
    units = np.linspace(0.01, 0.99, 41)
    back = np.array([parameter.to_unit(parameter.from_unit(unit)) for unit in units])
    assert np.all(np.diff(back) >= 0)
    assert back[0] >= 0
    assert back[-1] <= 1
    if type_ in ("uniform", "loguniform", "normal", "lognormal"):
        assert back == pytest.approx(units)


@pytest.mark.parametrize("type_", NUMBERS)
def test_samples_belong_to_the_domain_and_follow_its_distribution(type_):
    parameter, rng = numeric(type_), np.random.default_rng(0)
    values = [parameter.sample(rng) for _ in range(400)]
    assert all(parameter.contains(value) and math.isfinite(value) for value in values)
    assert all(parameter.coerce(value) == value for value in values)
    share = np.mean([value <= nni_value(type_, 0.5) for value in values])
    ties = np.mean([value == nni_value(type_, 0.5) for value in values])
    assert share - ties - 0.1 < 0.5 < share + 0.1


def test_options_are_equally_likely():
    parameter, rng = choice("a", "b", "c"), np.random.default_rng(0)
    drawn = [parameter.sample(rng) for _ in range(900)]
    assert all(240 < drawn.count(option) < 360 for option in "abc")


@pytest.mark.parametrize(
    ("type_", "args", "values"),
    [
        ("randint", [-1, 3], [-1, 0, 1, 2]),
        ("randint", [1.0, 3.0], [1, 2]),
        ("quniform", [0, 1, 0.25], [0.0, 0.25, 0.5, 0.75, 1.0]),
        ("quniform", [0.04, 0.4, 0.1], [0.04, 0.1, 0.2, 0.30000000000000004, 0.4]),
        ("quniform", [0.1, 0.3, 1], [0.1]),
        ("quniform", [-1, 1, 1], [-1.0, 0.0, 1.0]),
        ("qloguniform", [1, 10, 4], [1, 4.0, 8.0]),
    ],
)
def test_a_stepped_domain_has_exactly_the_values_that_nni_can_draw(type_, args, values):
    parameter = parse(("p",), {"_type": type_, "_value": args})
    drawn = {parameter.from_unit(unit) for unit in np.linspace(0.0005, 0.9995, 1000)}
    assert list(parameter.values()) == values == sorted(drawn)
    assert {type(v) for v in parameter.values()} == {int if type_ == "randint" else float}
    assert parameter.size == len(values)
    assert all(parameter.contains(value) for value in values)


@pytest.mark.parametrize(
    "type_", ["uniform", "loguniform", "normal", "qnormal", "lognormal", "qlognormal"]
)
def test_the_other_domains_have_no_size(type_):
    assert numeric(type_).size is None


@pytest.mark.parametrize(
    ("type_", "args", "inside", "outside"),
    [
        ("randint", [2, 5], [2, 4, 3.0, np.int64(3)], [5, 1, 2.5, True, "3", None, math.nan]),
        ("uniform", [0, 1], [0, 1, 0.3, 1 + 1e-12], [-1e-3, 1.1, math.inf, math.nan, "0.3"]),
        ("quniform", [0, 1, 0.1], [0, 0.3, 0.30000000000000004, 1], [0.35, -0.1, 1.1]),
        ("quniform", [0, 0.53, 0.1], [0.5], [0.53, 0.6]),  # NNI rounds, then clips
        ("quniform", [0.05, 1, 0.1], [0.05, 0.1], [0.0, 0.07]),
        ("loguniform", [1e-8, 1], [1e-8, 0.5, 1], [0, -1e-9, 5e-9, 1.001]),
        ("qloguniform", [0.5, 9, 2], [0.5, 2, 8], [0, 3, 9, 10]),
        ("normal", [0, 1], [0, -50.0, 1e9], [math.inf, None, 10**400]),
        ("qnormal", [0, 1, 0.5], [-0.5, 0, 100], [0.25, 1e-3]),
        ("lognormal", [0, 1], [1e-300, 5], [0, -1]),
        ("qlognormal", [0, 1, 2], [0, 2, 4.0], [-2, 1]),
    ],
)
def test_contains(type_, args, inside, outside):
    parameter = parse(("p",), {"_type": type_, "_value": args})
    assert [v for v in inside if not parameter.contains(v)] == []
    assert [v for v in outside if parameter.contains(v)] == []


def test_coerce_gives_a_value_the_form_of_its_domain():
    assert type(parse(("p",), {"_type": "randint", "_value": [0, 9]}).coerce(3.0)) is int
    assert type(parse(("p",), {"_type": "uniform", "_value": [0, 9]}).coerce(3)) is float
    stepped = parse(("p",), {"_type": "quniform", "_value": [0, 1, 0.1]})
    assert stepped.coerce(0.3) == stepped.coerce(0.1 + 0.2) == 3 * 0.1
    assert type(choice(1.0, 2.5).coerce(1)) is float
    assert parse(("p",), {"_type": "uniform", "_value": [0, 1]}).coerce(1 + 1e-12) == 1.0


@pytest.mark.parametrize(
    ("options", "value", "index"),
    [
        ([1, 2], 1.0, 0),
        ([1.0, 2.5], 1, 0),
        ([0, 1, 2], True, None),
        ([False, True], 1, None),
        ([False, 0], 0, 1),
        ([False, 0], False, 0),
        ([None, "None"], None, 0),
        ([None, "None"], "None", 1),
        ([1, "1"], "1", 1),
        ([[3, 3], [3, 1]], [3, 1], 1),
        ([[3, 3], [3, 1]], (3, 1.0), 1),
        ([[1], [True]], [True], 1),
        ([{"a": 1, "b": 2}], {"b": 2, "a": 1.0}, 0),
        (["a"], "b", None),
        ([None, [1]], math.nan, None),
        ([None, [1]], {1, 2}, None),
        ([None, [1]], object(), None),
    ],
)
def test_options_keep_their_identity_as_json(options, value, index):
    parameter = choice(*options)
    assert parameter.index(value) == index
    assert parameter.contains(value) == (index is not None)


@pytest.mark.parametrize(
    ("options", "units"),
    [
        ([3, 5, 7], [0, 0.5, 1]),
        ([8, 1, 2.5], [1, 0, 0.5]),
        ([4], [0]),
        (["x", "y"], [0, 0]),
        ([False, True], [0, 0]),
        ([1, None], [0, 0]),
    ],
)
def test_only_options_that_are_all_numbers_have_an_order(options, units):
    parameter = choice(*options)
    assert [parameter.to_unit(option) for option in options] == units
    assert parameter.ordered == all(type(option) in (int, float) for option in options)


@pytest.mark.parametrize("type_", NUMBERS)
def test_nearby_values_are_others_of_the_domain_and_near(type_):
    parameter, rng = numeric(type_), np.random.default_rng(1)
    distances = []
    for _ in range(200):
        value = parameter.sample(rng)
        near = parameter.nearby(value, rng)
        assert 1 <= len(near) <= 2
        assert len(set(near)) == len(near)
        assert value not in near
        assert all(parameter.contains(other) for other in near)
        distances += [abs(parameter.to_unit(v) - parameter.to_unit(value)) for v in near]
    assert 0.05 < np.mean(distances) < 0.3  # two random units are 1/3 apart


@pytest.mark.parametrize(
    ("type_", "args"),
    [
        ("randint", [0, 2]),
        ("quniform", [0, 1, 1]),
        ("quniform", [0.4, 0.6, 1]),
        ("qnormal", [0, 0.01, 1]),
        ("qloguniform", [1, 1000, 999]),
        ("qlognormal", [0, 0.01, 5]),
    ],
)
def test_values_far_apart_have_their_adjacent_ones_near(type_, args):
    parameter, rng = parse(("p",), {"_type": type_, "_value": args}), np.random.default_rng(0)
    for _ in range(50):
        value = parameter.sample(rng)
        near = parameter.nearby(value, rng)
        assert near
        assert value not in near
        assert all(map(parameter.contains, near))


@pytest.mark.parametrize("bound", [0.001, 1.0])
def test_steps_beyond_a_bound_come_back_into_the_domain(bound, rng):
    parameter = parse(("p",), {"_type": "loguniform", "_value": [0.001, 1.0]})
    for _ in range(50):
        near = parameter.nearby(bound, rng)
        assert len(set(near)) == 2
        assert all(0.001 < value < 1.0 for value in near)


def test_a_single_value_has_no_others():
    rng = np.random.default_rng(0)
    assert parse(("p",), {"_type": "randint", "_value": [4, 5]}).nearby(4, rng) == []
    assert parse(("p",), {"_type": "quniform", "_value": [0.1, 0.3, 1]}).nearby(0.1, rng) == []
    assert choice("only").nearby("only", rng) == []


def test_all_other_options_of_a_choice_are_nearby():
    parameter, rng = choice(1, True, "1", [1]), np.random.default_rng(0)
    assert parameter.nearby(1, rng) == [True, "1", [1]]
    assert parameter.nearby([1], rng) == [1, True, "1"]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("relu", ["'relu'", "_type", "_value"]),
        (["relu"], ["['relu']", "_type"]),
        ({"_value": [1]}, ["_type"]),
        ({"_type": "choice"}, ["_value"]),
        ({"_type": "choice", "_value": [1], "q": 2, 3: 4}, ["unknown keys ['3', 'q']"]),
        ({"_type": "Choice", "_value": [1]}, ["'Choice'", "choice", "qlognormal"]),
        ({"_type": ["choice"], "_value": [1]}, ["['choice']", "expected one of"]),
        ({"_type": None, "_value": [1]}, ["None", "expected one of"]),
        ({"_type": "choice", "_value": 3}, ["3", "expected a list [option, ...]"]),
        ({"_type": "choice", "_value": {"a": 1}}, ["expected a list"]),
        ({"_type": "uniform", "_value": "01"}, ["'01'", "expected a list [low, high]"]),
        ({"_type": "choice", "_value": []}, ["without options"]),
        ({"_type": "choice", "_value": [1, 2, 1.0]}, ["option 1 twice"]),
        ({"_type": "choice", "_value": [[1], [1]]}, ["option [1] twice"]),
        ({"_type": "choice", "_value": [None, math.nan]}, ["nan", "not JSON"]),
        ({"_type": "choice", "_value": [{1, 2}]}, ["{1, 2}", "not JSON"]),
        ({"_type": "choice", "_value": [{"_name": "a"}, "b"]}, ["with and without", "_name"]),
        ({"_type": "choice", "_value": [{"_name": "a"}, {"k": 1}]}, ["with and without"]),
        ({"_type": "choice", "_value": [{"_name": "a"}, {"_name": "a"}]}, ["option 'a' twice"]),
        ({"_type": "choice", "_value": [{"_name": 3}]}, ["(3,)", "expected strings"]),
        ({"_type": "uniform", "_value": [0]}, ["[0]", "2 finite numbers"]),
        ({"_type": "uniform", "_value": [0, 1, 2]}, ["2 finite numbers"]),
        ({"_type": "quniform", "_value": [0, 1]}, ["[low, high, q]", "3 finite numbers"]),
        ({"_type": "uniform", "_value": [0, math.nan]}, ["nan", "finite"]),
        ({"_type": "uniform", "_value": [-math.inf, 0]}, ["inf", "finite"]),
        ({"_type": "uniform", "_value": [-1.7e308, 1.7e308]}, ["finite"]),
        ({"_type": "randint", "_value": [0, 10**400]}, ["finite"]),
        ({"_type": "uniform", "_value": [False, True]}, ["[False, True]", "finite numbers"]),
        ({"_type": "uniform", "_value": ["0", "1"]}, ["finite numbers"]),
        ({"_type": "uniform", "_value": [1, 1]}, ["first smaller than the second"]),
        ({"_type": "randint", "_value": [5, 2]}, ["first smaller than the second"]),
        ({"_type": "randint", "_value": [0.5, 2]}, ["whole numbers", "upper exclusive"]),
        ({"_type": "loguniform", "_value": [0, 1]}, ["low > 0"]),
        ({"_type": "qloguniform", "_value": [-1, 1, 0.1]}, ["low > 0"]),
        ({"_type": "normal", "_value": [0, 0]}, ["sigma > 0"]),
        ({"_type": "qlognormal", "_value": [0, -1, 1]}, ["sigma > 0"]),
        ({"_type": "quniform", "_value": [0, 1, 0]}, ["q > 0"]),
        ({"_type": "qnormal", "_value": [0, 1, -0.5]}, ["q > 0"]),
        ({"_type": "quniform", "_value": [0, 1, 1e-320]}, ["a larger q"]),
    ],
)
def test_malformed_entries_are_named_with_what_was_expected(spec, words):
    with pytest.raises(SpaceError) as caught:
        parse(("layer", "conv", "size"), spec)
    assert [w for w in ['parameter "layer/conv/size"', *words] if w not in str(caught.value)] == []


def test_canonical_text_tells_apart_what_json_does():
    assert canonical({"b": 1.0, "a": [2, (True,)]}) == '{"a":[2,[true]],"b":1}'
    assert len({canonical(value) for value in [1, "1", True, None, [1], 1.5, {"1": 1}]}) == 7


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=50, deadline=None)
@given(json_values)
def test_canonical_text_survives_a_json_round_trip(value):
    assert canonical(json.loads(json.dumps(value))) == canonical(value)
    assert canonical(json.loads(canonical(value))) == canonical(value)


@st.composite
def domains(draw):
    """A numeric domain of any type and scale."""
    type_ = draw(st.sampled_from(sorted(NUMBERS)))
    first = draw(st.floats(1e-6, 1e6)) * (1 if "log" in type_ else draw(st.sampled_from([-1, 1])))
    width = draw(st.floats(1e-3, 1e6))
    if type_ == "randint":
        args = [int(first), int(first) + 1 + int(width)]
    elif "lognormal" in type_:
        args = [draw(st.floats(-20, 20)), draw(st.floats(0.01, 5))]
    else:
        args = [first, width if "normal" in type_ else first + width]
    if type_.startswith("q"):
        args.append(draw(st.floats(1e-4, 1e4)))
    return parse(("p",), {"_type": type_, "_value": args})


@settings(max_examples=100, deadline=None)
@given(domains(), st.floats(0, 1), st.integers(0, 9))
def test_any_domain_holds_its_values_in_one_form(parameter, unit, seed):
    value = parameter.from_unit(unit)
    assert parameter.contains(value)
    assert parameter.coerce(value) == value
    assert json.loads(json.dumps(value)) == value
    assert 0.0 <= parameter.to_unit(value) <= 1.0
    near = parameter.nearby(value, np.random.default_rng(seed))
    assert value not in near
    assert all(map(parameter.contains, near))

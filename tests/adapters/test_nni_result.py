import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meta_nni.adapters.nni_result import from_final, to_final
from meta_nni.trial import Result

CONFIG = {"x": 3, "branch": {"_name": "b"}}
finite = st.floats(allow_nan=False, allow_infinity=False)
names = st.text(min_size=1).filter(
    lambda name: (
        name not in ("default", "curve", "seconds", "budget", "config", "parameter_id", "reason")
    )
)
numbers = st.dictionaries(names, finite, max_size=4)
results = st.builds(
    Result,
    value=st.none() | finite,
    seconds=st.none() | finite,
    curve=st.lists(finite, max_size=4),
    metrics=numbers,
    budget=numbers,
)


@given(results)
def test_what_a_trial_reports_arrives_whole(result):
    sent = json.dumps(to_final(result, CONFIG, 7), allow_nan=False)
    assert from_final(json.loads(sent)) == (result, CONFIG)


def test_numbers_that_break_the_page_are_not_sent():
    nan = float("nan")
    result = Result(
        nan, seconds=math.inf, curve=[0.1, 0.2, nan, 0.3], metrics={"loss": nan, "f1": 0.5}
    )
    final = to_final(result, CONFIG, 7)
    json.dumps(final, allow_nan=False)
    assert final["curve"] == [0.1, 0.2]
    assert final["f1"] == 0.5
    assert "loss" not in final
    # A null as default breaks the page too.
    assert "default" not in final
    assert "nan" in final["reason"]


def test_a_metric_cannot_hide_the_value():
    final = to_final(Result(0.5, metrics={"default": 0.1, "reason": 1.0}), CONFIG, 7)
    assert final["default"] == 0.5
    assert "reason" not in final


@pytest.mark.parametrize("value", [0.5, 1, {"default": 0.5}, {"default": 1, "note": "hello"}])
def test_plain_trials_are_understood(value):
    result, config = from_final(value)
    assert result.value == (value["default"] if isinstance(value, dict) else value)
    assert result.reason is None
    assert result.metrics == {}
    assert config is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"accuracy": 0.9}, "without \"default\" (keys ['accuracy'])"),
        ({"default": None}, '"default" as None (NoneType)'),
        ({"default": "0.9"}, "\"default\" as '0.9' (str)"),
        ({"default": True}, '"default" as True (bool)'),
        ("0.9", "reported '0.9' (str)"),
        (None, "reported None"),
        ([0.9], "reported [0.9] (list)"),
        ("x" * 10_000, "…"),
    ],
)
def test_other_values_are_failures_that_say_what_to_report(value, expected):
    result, _ = from_final(value)
    assert result.value is None
    assert expected in result.reason
    assert 'expected a number or {"default": number' in result.reason
    assert len(result.reason) < 500


@pytest.mark.parametrize("value", [math.nan, math.inf, 10**400, {"default": -math.inf}])
def test_values_that_are_not_finite_are_failures(value):
    result, _ = from_final(value)
    assert result.value is None
    assert "expected a finite number" in result.reason


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ),
    st.dictionaries(
        st.sampled_from(["default", "curve", "seconds", "budget", "reason"]), st.just(1)
    ),
)
def test_anything_else_is_read_without_an_exception(value, keys):
    for reported in (value, dict.fromkeys(keys, value)):
        result, _ = from_final(reported)
        assert (result.value is None) == (result.reason is not None)

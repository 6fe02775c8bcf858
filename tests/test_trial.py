import dataclasses
import math

import numpy as np
import pytest
from sample_spaces import choice

from meta_nni.space import SearchSpace
from meta_nni.task import Task
from meta_nni.testing import history_of
from meta_nni.trial import History, Result, Run, Suggestion, Trial

SPACE = SearchSpace.from_nni({"a": choice(*range(20))})


def history(outcomes, objective="maximize"):
    run = Run("r", Task("t", objective), SPACE)
    return history_of(run, [({"a": a}, outcome) for a, outcome in enumerate(outcomes)])


@pytest.mark.parametrize(
    ("value", "reason", "kept", "words"),
    [
        (0.5, None, 0.5, None),
        (0, None, 0.0, None),
        (np.float32(0.5), None, 0.5, None),
        (math.nan, None, None, "nan, expected a finite number"),
        (-math.inf, None, None, "-inf, expected a finite number"),
        (math.inf, "diverged", None, "diverged"),
        (None, None, None, "no value was reported"),
        (None, "", None, "no value was reported"),
        (None, "out of memory", None, "out of memory"),
        (0.5, "out of memory", None, "out of memory"),
    ],
)
def test_a_result_has_either_a_finite_value_or_a_reason(value, reason, kept, words):
    result = Result(value, reason)
    assert result.value == kept
    assert (result.value is None) != (result.reason is None)
    assert type(result.value) in (float, type(None))
    assert words is None or words in result.reason


def test_a_failed_result_always_has_a_reason():
    assert Result.failed("out of memory", 3.0) == Result(None, "out of memory", 3.0)
    assert Result.failed("").reason == "unknown reason"


def test_a_curve_is_kept_as_plain_floats():
    curve = np.array([0.25, 0.5], np.float32)
    result = Result(0.5, curve=curve)
    curve[0] = 9
    assert result.curve == (0.25, 0.5)
    assert {type(value) for value in result.curve} == {float}


def test_values_are_frozen():
    trial = Trial("1", 0, Suggestion({"a": 1}, "random"))
    ended = trial.with_result(Result(0.5))
    assert (trial.state, trial.value, ended.state, ended.value) == (
        "proposed",
        None,
        "completed",
        0.5,
    )
    assert ended.with_result(Result.failed("gone")).state == "failed"
    assert ended.config is trial.config
    for value in (trial, ended.result, trial.suggestion, History(None)):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, dataclasses.fields(value)[0].name, None)


def test_history_sorts_trials_by_state():
    one = history([0.5, None, "proposed", "running", "lost", math.nan, 0.7])

    def numbers(trials):
        return [trial.number for trial in trials]

    assert numbers(one.completed) == [0, 6]
    assert numbers(one.failed) == [1, 5]
    assert numbers(one.pending) == [2, 3]


@pytest.mark.parametrize(
    ("objective", "order"), [("maximize", [3, 1, 4, 0, 6]), ("minimize", [6, 0, 1, 4, 3])]
)
def test_the_best_come_first_in_the_tasks_direction_and_the_earlier_of_equals(objective, order):
    one = history([0.1, 0.5, None, 0.9, 0.5, "running", -2.0], objective)
    assert [trial.number for trial in one.ranked] == order
    assert one.best is one.ranked[0]


def test_without_values_there_is_no_best():
    assert history([]).best is None
    assert history([None, "running"]).best is None
    assert history([None, "running"]).ranked == ()

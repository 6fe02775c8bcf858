import pytest
from histories import make_run, make_trial

from meta_nni.limits import Limit, LimitError, keeps, read_limits
from meta_nni.objectives import ObjectiveError, front, read_objectives
from meta_nni.trial import History, Result

LIMITS = {"parameters": 100, "recall": {"min": 0.8}}


def outcome(value, **metrics):
    return Result(value, seconds=metrics.pop("seconds", None), metrics=metrics)


def test_a_number_is_an_upper_limit_and_mappings_name_ends():
    assert read_limits(LIMITS) == (Limit("parameters", high=100.0), Limit("recall", low=0.8))
    assert read_limits(None) == read_limits({}) == ()


@pytest.mark.parametrize(
    "spec", [5, {"a": "x"}, {"a": {}}, {"a": {"most": 1}}, {"a": {"min": 2, "max": 1}}, {"a": True}]
)
def test_malformed_limits_are_refused(spec):
    with pytest.raises(LimitError, match="limit"):
        read_limits(spec)


def test_what_was_not_measured_does_not_keep_a_limit():
    limits = read_limits(LIMITS)
    assert keeps(limits, outcome(0.9, parameters=100, recall=0.8))
    assert not keeps(limits, outcome(0.9, parameters=101, recall=0.8))
    assert not keeps(limits, outcome(0.9, parameters=100))
    assert keeps(read_limits({"seconds": 5}), outcome(0.9, seconds=5.0))


def history(extra, *results):
    trials = [make_trial(i).with_result(result) for i, result in enumerate(results)]
    return History(make_run(extra=extra), tuple(trials))


def test_the_best_trial_keeps_the_limits():
    results = outcome(0.9, parameters=500), outcome(0.7, parameters=50)
    assert history({}, *results).best.number == 0
    limited = history({"limits": {"parameters": 100}}, *results)
    assert limited.best.number == 1
    assert len(limited.completed) == 2
    assert history({"limits": {"parameters": 10}}, *results).best is None
    assert history({"limits": "of another version"}, *results).best.number == 0


def test_objectives_know_the_directions_of_costs_and_metrics():
    goals = read_objectives(["value", "latency_ms", {"own": "maximize"}, "log_loss"], "maximize")
    assert [goal.sign for goal in goals] == [1.0, -1.0, 1.0, -1.0]
    for wrong in (["value"], "value", ["value", "own"], ["value", {"value": "minimize"}], [1, 2]):
        with pytest.raises(ObjectiveError, match="objective"):
            read_objectives(wrong, "maximize")


def test_the_front_holds_what_nothing_dominates_within_the_limits():
    extra = {"objectives": ["value", "latency_ms"], "limits": {"latency_ms": 8}}
    pairs = [(0.9, 9.0), (0.8, 5.0), (0.7, 6.0), (0.6, 1.0), (0.8, 5.0)]
    found = history(extra, *(outcome(v, latency_ms=ms) for v, ms in pairs), outcome(1.0))
    assert [trial.number for trial in front(found)] == [1, 3]

"""Limits and objectives of MetaAutoTuner: real trainings of small models."""

import pytest
from autokeras_projects import fit_without_a_last_fit, history_in, iris, tabular

from meta_nni.limits import keeps, limits_of, read_limits
from meta_nni.objectives import front

pytestmark = pytest.mark.host

OURS = {"controller": "meta", "knowledge": "none"}


def test_no_candidate_beyond_a_limit_on_parameters_is_trained(tmp_path):
    limits = {"parameters": 2000}
    model = tabular(tmp_path, max_trials=3, limits=limits, **OURS)
    fit_without_a_last_fit(model)
    history = history_in(tmp_path)
    assert [str(limit) for limit in limits_of(history.run)] == ["parameters at most 2000"]
    measured = [trial.result.metrics["parameters"] for trial in history.trials]
    assert len(measured) == 3
    assert max(measured) <= 2000
    assert model.export_model().count_params() <= 2000
    fit_without_a_last_fit(tabular(tmp_path, max_trials=4, **OURS))  # it keeps the run's limits
    assert history_in(tmp_path).trials[3].result.metrics["parameters"] <= 2000


def test_the_best_trials_are_those_that_kept_the_limits(tmp_path):
    arguments = {"max_trials": 3, "latency_batch": 7, "max_model_size": 10**9, **OURS}
    model = tabular(tmp_path, limits={"latency_ms": 1e6}, **arguments)
    fit_without_a_last_fit(model)
    history = history_in(tmp_path)
    assert all(trial.result.metrics["latency_ms"] > 0 for trial in history.trials)
    sizes = [trial.result.metrics["parameters"] for trial in history.trials]
    ranked = sorted(history.trials, key=lambda trial: trial.value, reverse=True)
    for bound in ({"max": max(sizes) - 1}, {"min": min(sizes) + 1}):
        limits = {"parameters": bound}
        kept = [t.trial_id for t in ranked if keeps(read_limits(limits), t.result)]
        assert 0 < len(kept) < len(ranked)
        oracle = tabular(tmp_path, limits=limits, **arguments).tuner.oracle  # no run is open
        assert [trial.trial_id for trial in oracle.get_best_trials(9)] == kept


def test_without_a_trial_within_the_limits_there_is_no_model(tmp_path):
    limits = {"val_accuracy": {"min": 2.0}}
    model = tabular(tmp_path, max_trials=1, limits=limits, **OURS)
    with pytest.raises(RuntimeError, match=r"no trial gave a value within the limits .*accuracy"):
        model.fit(*iris(), epochs=1, verbose=0)
    assert history_in(tmp_path).trials[0].state == "completed"


def test_several_objectives_give_a_front(tmp_path):
    objectives = ["value", {"parameters": "minimize"}]
    fit_without_a_last_fit(tabular(tmp_path, max_trials=3, objectives=objectives, **OURS))
    history = history_in(tmp_path)
    found = front(history)
    assert history.best.trial_id == found[0].trial_id
    sizes = [trial.result.metrics["parameters"] for trial in found]
    assert sizes == sorted(sizes, reverse=True)


def test_a_number_that_no_trial_measures_is_named(tmp_path, caplog):
    model = tabular(tmp_path, max_trials=1, limits={"recall": {"min": 0.1}}, **OURS)
    with caplog.at_level("WARNING"), pytest.raises(RuntimeError, match="within the limits"):
        fit_without_a_last_fit(model)
    assert "measured no recall, so that it keeps no limit on it; it measured [" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"limits": {"parameters": "few"}}, "the limit of parameters is 'few', expected"),
        ({"limits": {"latency_ms": 5}}, "latency_ms, which is measured with latency_batch alone"),
        ({"objectives": ["value", "latency_ms"]}, "measured with latency_batch alone"),
        ({"latency_batch": 0}, "latency_batch is 0, expected a number of rows"),
        ({"limits": {"seconds": 5}, "controller": "random"}, "heeded by the controller 'meta'"),
    ],
)
def test_wrong_limits_are_named(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        tabular(tmp_path, **{**OURS, **arguments})

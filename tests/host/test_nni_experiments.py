"""Real experiments under nnictl: what they store is what their trials ran."""

import json

import pytest
from nni_experiment import SPACE
from trial_script import score

from meta_nni.adapters.nni_register import register

pytestmark = pytest.mark.host


def choice(*options):
    return {"_type": "choice", "_value": list(options)}


def keys(configs):
    return sorted(json.dumps(config, sort_keys=True) for config in configs)


def test_the_store_has_what_the_trials_ran(finished):
    trials = finished.history().trials
    assert len(trials) == 6
    assert keys(trial.config for trial in trials) == keys(finished.ran("end"))
    for trial in trials:
        # Two trials run at once, and NNI mixes up which runs which config: values must not be.
        assert trial.value == pytest.approx(score(trial.config))
        assert trial.result.curve[-1] == trial.value
        assert trial.result.metrics == {"parameters": 10 * trial.config["x"]}
    log = finished.text("dispatcher.log")
    assert all(f"trial {number}: {trials[number].suggestion.source}" in log for number in range(6))


def test_a_second_experiment_starts_from_the_first_ones_store(finished, experiment):
    experiment.store = finished.store
    experiment.create(trials=2, controller="meta", task="second")
    experiment.wait("DONE")
    experiment.wait_for_results(2)
    history = experiment.history()
    assert history.run.task.name == "second"
    sources = [trial.suggestion.source for trial in history.trials]
    assert sources[0] in ("zero-shot", "portfolio")
    assert "first" in history.trials[0].suggestion.why
    best = max(trial.value for trial in finished.history().trials)
    assert history.trials[0].suggestion.mean is not None
    assert history.trials[0].value >= best - 0.2


def test_failing_trials_are_experience_and_stop_nothing(experiment):
    space = {"x": choice(0, 1, 2, 3), "branch": choice({"_name": "b"})}
    experiment.create(trials=4, mode="failing", space=space)
    experiment.wait("DONE")
    experiment.wait_for_results(4)
    reasons = {0: "ValueError: x is zero", 1: "without reporting", 2: "the value is nan"}
    trials = experiment.history().trials
    assert sorted(trial.config["x"] for trial in trials) == [0, 1, 2, 3]
    for trial in trials:
        reason = reasons.get(trial.config["x"])
        assert trial.state == ("completed" if reason is None else "failed")
        assert (reason or "None") in str(trial.result.reason)
    states = [state for state, _ in experiment.jobs().values()]
    assert states.count("FAILED") == sum(trial.state == "failed" for trial in trials)


def test_an_exhausted_space_ends_the_experiment_in_order(experiment):
    space = {**SPACE, "x": choice(3)}  # four configs
    experiment.create(trials=9, space=space)
    experiment.wait_for_results(4)
    experiment.wait("TUNER_NO_MORE_TRIAL")
    assert len(experiment.history().completed) == len(experiment.jobs()) == 4


def test_the_registered_name_works_and_a_dict_without_default_is_a_failure(experiment, monkeypatch):
    monkeypatch.setenv("NNI_CONFIG_DIR", experiment.env["NNI_CONFIG_DIR"])
    register()
    register()
    assert experiment.nnictl("algo", "show", "MetaNAS").count("meta_nni.MetaTuner") == 1
    experiment.create(trials=2, mode="plain", tuner={"name": "MetaNAS"})
    experiment.wait("DONE")
    trials = experiment.history().trials
    assert [trial.state for trial in trials] == ["failed", "failed"]
    assert all('without "default"' in trial.result.reason for trial in trials)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"stor": "experience.db"}, "MetaTuner has no argument 'stor'"),
        ({"space": {"x": {"_type": "choise", "_value": [1]}}}, "choise"),
    ],
    ids=["in the constructor", "in a callback"],
)
def test_an_error_ends_the_experiment_and_nnictl_shows_it(experiment, wrong, message):
    experiment.create(**wrong)
    experiment.wait("ERROR")
    assert message in experiment.nnictl("log", "stderr", experiment.id)

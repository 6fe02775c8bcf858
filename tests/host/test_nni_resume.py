"""Experiments that are stopped or killed and resumed: no result is lost, none repeated."""

import json
from pathlib import Path

import nni_node
import pytest
from nni_experiment import wait_for
from trial_script import score

pytestmark = pytest.mark.host


def stop(experiment):
    experiment.stop()


def kill_tuner(experiment):
    """The trials end while no tuner is there to be told: only NNI keeps their results."""
    experiment.kill("-m", "nni")
    experiment.hold.unlink()
    states = lambda: {state for state, _ in experiment.jobs().values()}  # noqa: E731
    wait_for(lambda: states() == {"SUCCEEDED"}, "the end of the trials")
    experiment.stop()


def kill_manager(experiment):
    """The tuner and two trials are left behind, as they would be on a user's machine."""
    experiment.kill(str(Path(nni_node.__file__).parent / "main.js"))


def awaited(experiment, trials):
    """Those of the trials that still have no result."""
    return [t for t in experiment.history().trials[: len(trials)] if t.result is None]


@pytest.mark.parametrize("interrupt", [stop, kill_tuner, kill_manager])
def test_resuming_loses_and_repeats_nothing(experiment, interrupt):
    experiment.hold.write_text("2")  # those that start after two have ended wait
    experiment.create(trials=6, controller="random")
    experiment.wait_for_results(2)
    wait_for(lambda: len(experiment.ran("start")) > len(experiment.ran("end")), "a trial to hold")
    jobs = experiment.jobs()
    interrupt(experiment)
    before = experiment.history().trials
    assert any(trial.result is None for trial in before)

    experiment.hold.unlink(missing_ok=True)
    experiment.resume()
    experiment.wait("DONE")
    wait_for(lambda: not awaited(experiment, before), "results of the interrupted trials")
    after = {trial.trial_id: trial for trial in experiment.history().trials}

    for trial in before:
        assert after[trial.trial_id].config == trial.config
        assert after[trial.trial_id].state == "completed"
        if trial.value is not None:
            assert after[trial.trial_id].value == trial.value
    for trial in after.values():
        assert trial.value is None or trial.value == pytest.approx(score(trial.config))
    configs = [json.dumps(trial.config) for trial in after.values()]
    assert len(set(configs)) == len(configs)
    # What had a result is not proposed again. (NNI runs interrupted trials again by itself.)
    done = [trial.config for trial in before if trial.result is not None]
    new = [config for job, (_, config) in experiment.jobs().items() if job not in jobs]
    assert new
    assert not [config for config in new if config in done]
    if interrupt is kill_tuner:
        ran = [json.dumps(config) for config in experiment.ran("end")]
        assert len(set(ran)) == len(ran) == 6

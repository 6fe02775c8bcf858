"""AshaAssessor in a real experiment: trials are stopped, and are experience all the same."""

import re
import sys
from pathlib import Path

import pytest
import yaml
from nni_experiment import free_port
from slow_trial import EPOCHS

pytestmark = pytest.mark.host


def test_stopped_trials_are_stored_as_short_trainings(experiment):
    tuner = {
        "store": str(experiment.store),
        "knowledge": "none",
        "controller": "random",
        "seed": 28,
    }
    config = {
        "searchSpace": {"x": {"_type": "choice", "_value": [*range(6)]}},
        "trialCommand": f"{sys.executable} {Path(__file__).with_name('slow_trial.py')}",
        "trialCodeDirectory": ".",
        "trialConcurrency": 2,
        "maxTrialNumber": 6,
        "tuner": {
            "className": "meta_nni.MetaTuner",
            "codeDirectory": ".",
            "classArgs": {**tuner, "seed": 28},
        },
        "assessor": {
            "className": "meta_nni.AshaAssessor",
            "codeDirectory": ".",
            "classArgs": {"min_epochs": 1, "reduction_factor": 2, "max_epochs": EPOCHS},
        },
        "trainingService": {"platform": "local"},
    }
    path = experiment.folder / "config.yml"
    path.write_text(yaml.safe_dump(config))
    experiment.port = free_port()
    output = experiment.nnictl("create", "--config", str(path), "--port", str(experiment.port))
    experiment.id = re.search(r'nnictl stop (\w+)"', output).group(1)
    experiment.wait("DONE", timeout=300)
    experiment.wait_for_results(6)

    trials = experiment.history().trials
    short = [trial for trial in trials if trial.result.budget["epochs"] < EPOCHS]
    full = [trial for trial in trials if trial.result.budget["epochs"] == EPOCHS]
    # With this seed the two best come first, so that the others need not be trained to the end.
    assert {trial.config["x"] for trial in full} >= {5}
    assert short
    assert all(trial.state == "completed" for trial in trials)
    for trial in trials:
        epochs = int(trial.result.budget["epochs"])
        assert trial.result.curve == pytest.approx(
            [trial.config["x"] + epoch / 100 for epoch in range(epochs)]
        )
        assert trial.value == trial.result.curve[-1]
    assert max(trial.value for trial in full) == max(trial.value for trial in trials)
    states = [state for state, _ in experiment.jobs().values()]
    assert states.count("SUCCEEDED") == len(full)
    assert states.count("USER_CANCELED") == len(short)  # which is what NNI's service calls them

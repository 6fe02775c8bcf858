import base64
import json
import sys
from pathlib import Path

import nni
import pytest

from meta_nni.adapters.nni_process import (
    enter_trial_folder,
    experiment_id,
    recovered_configs,
    reported,
    tuner_arguments,
)


class Dispatcher:
    """What NNI's dispatcher has that matters here."""

    def __init__(self):
        self.errors = []
        self.recovered_trial_params = {3: {"x": 1}, 4: {"x": 2}}

    def report_error(self, text):
        self.errors.append(text)

    def call(self, callback):
        return callback()


def failing(error):
    def callback():
        with reported():
            raise error

    return callback


def test_the_manager_is_told_of_an_error_in_a_callback(capsys):
    dispatcher = Dispatcher()
    with pytest.raises(ValueError, match="bad space"):
        dispatcher.call(failing(ValueError("bad space")))
    assert dispatcher.errors == ["MetaTuner stopped: ValueError: bad space"]
    assert "bad space" in capsys.readouterr().err


def test_the_end_of_a_space_is_no_error():
    dispatcher = Dispatcher()
    with pytest.raises(nni.NoMoreTrialError):
        dispatcher.call(failing(nni.NoMoreTrialError()))
    assert dispatcher.errors == []


def test_outside_an_experiment_errors_just_pass(capsys):
    with pytest.raises(ValueError, match="bad space"):
        failing(ValueError("bad space"))()
    assert capsys.readouterr().err == ""


def test_finds_what_nni_runs_again():
    assert Dispatcher().call(recovered_configs) == [{"x": 1}, {"x": 2}]
    assert recovered_configs() == []


def test_experiment_id(monkeypatch):
    monkeypatch.delenv("NNI_CHECKPOINT_DIRECTORY", raising=False)
    assert experiment_id() is None
    monkeypatch.setenv("NNI_CHECKPOINT_DIRECTORY", "/home/me/nni-experiments/abc123/checkpoint")
    assert experiment_id() == "abc123"


def test_the_tuners_arguments(monkeypatch):
    assert tuner_arguments() == {}
    for config, found in (
        ({"tuner": {"classArgs": {"metric": "f1"}}}, {"metric": "f1"}),
        ({"tuner": {"name": "TPE", "classArgs": None}}, {}),
    ):
        params = base64.b64encode(json.dumps(config).encode()).decode()
        monkeypatch.setattr(sys, "argv", ["nni", "--exp_params", params])
        assert tuner_arguments() == found


def test_enters_the_folder_of_the_trials(monkeypatch, tmp_path):
    monkeypatch.chdir(Path.cwd())
    before = Path.cwd()
    enter_trial_folder()
    assert Path.cwd() == before
    params = json.dumps({"trialCodeDirectory": str(tmp_path)}).encode()
    monkeypatch.setattr(sys, "argv", ["nni", "--exp_params", base64.b64encode(params).decode()])
    enter_trial_folder()
    assert Path.cwd() == tmp_path

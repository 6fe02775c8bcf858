"""Strategies of NNI's NAS in real experiments: in this process, and under nnictl."""

import json
import re
import sys
from pathlib import Path

import nni
import pytest
import yaml
from nni_experiment import SPACE, NniExperiment, free_port, wait_for
from trial_script import score

from meta_nni.adapters.nni_nas import (
    FunctionalEvaluator,
    JsonModelSpace,
    PlainNasExperiment,
    nas_config,
)
from meta_nni.adapters.nni_strategy import MetaStrategy

pytestmark = pytest.mark.host


class StrategyExperiment(NniExperiment):
    """An experiment of trial_script.py whose tuner is a strategy."""

    def explore(self, *, trials, **class_args):
        config = {
            "searchSpace": SPACE,
            "trialCommand": f"{sys.executable} {Path(__file__).with_name('trial_script.py')}",
            "trialCodeDirectory": ".",
            "trialConcurrency": 2,
            "maxTrialNumber": trials,
            "tuner": {
                "className": "meta_nni.StrategyTuner",
                "codeDirectory": ".",
                "classArgs": class_args,
            },
            "trainingService": {"platform": "local"},
        }
        path = self.folder / "config.yml"
        path.write_text(yaml.safe_dump(config))
        self.port = free_port()
        output = self.nnictl("create", "--config", str(path), "--port", str(self.port))
        self.id = re.search(r'nnictl stop (\w+)"', output).group(1)


@pytest.fixture
def experiment(tmp_path):
    experiment = StrategyExperiment(tmp_path)
    yield experiment
    experiment.close()


def keys(configs):
    return sorted(json.dumps(config, sort_keys=True) for config in configs)


def evaluate(model):
    """What a model of the NAS experiment is worth."""
    if model.config["x"] == 0:
        raise ValueError("x is zero")
    nni.report_intermediate_result(score(model.config) / 2)
    nni.report_final_result(score(model.config))


def test_meta_under_nnictl_shows_plain_parameters_and_resumes(experiment):
    experiment.hold.write_text("2")  # those that start after two have ended wait
    experiment.explore(
        trials=5,
        strategy="meta",
        store=str(experiment.store),
        knowledge="none",
        controller="random",
        seed=1,
    )
    experiment.wait_for_results(2)
    wait_for(lambda: len(experiment.ran("start")) > len(experiment.ran("end")), "a trial to hold")
    experiment.stop()
    before = experiment.history().trials
    assert any(trial.result is None for trial in before)

    experiment.hold.unlink()
    experiment.resume()
    experiment.wait("DONE")
    experiment.wait_for_results(len(before))
    trials = experiment.history().trials
    assert [trial.config for trial in trials[: len(before)]] == [trial.config for trial in before]
    for trial in trials:
        if trial.result is not None:
            assert trial.value == pytest.approx(score(trial.config))
            assert len(trial.result.curve) == 3
    proposed = keys(config for _, config in experiment.jobs().values())
    assert set(proposed) <= set(keys(trial.config for trial in trials))
    measured = experiment.ran("end")
    assert len(set(keys(measured))) == len(measured) == 5  # nothing was measured twice


def test_an_own_strategy_of_nni_under_nnictl(experiment):
    evolution = {"strategy": "regularized_evolution", "population_size": 3, "sample_size": 1}
    experiment.explore(trials=4, seed=1, store=str(experiment.store), task="own", **evolution)
    experiment.wait("DONE")
    experiment.wait_for_results(4)
    shown = [config for _, config in experiment.jobs().values()]
    assert len(shown) == 4
    assert keys(shown) == keys(experiment.ran("end"))
    trials = experiment.history().trials
    assert keys(trial.config for trial in trials) == keys(shown)
    assert [trial.value for trial in trials] == pytest.approx([score(t.config) for t in trials])
    assert all(set(config) == {"x", "branch"} and "_name" in config["branch"] for config in shown)


def test_a_nas_experiment_in_this_process_goes_on_when_resumed(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("NNI_CHECKPOINT_DIRECTORY", raising=False)

    def run(number, experiment_id=None):
        strategy = MetaStrategy(
            store=str(tmp_path / "e.db"), knowledge="none", controller="random", task="t", seed=2
        )
        config = nas_config("sequential", number)
        space, evaluator = JsonModelSpace(SPACE), FunctionalEvaluator(evaluate)
        experiment = PlainNasExperiment(space, evaluator, strategy, config, id=experiment_id)
        start = experiment.run if experiment_id is None else experiment.resume
        start()
        best = experiment.export_top_models(1, formatter="dict")
        experiment.stop()
        return experiment.id, strategy.history.trials, best

    name, first, _ = run(6)
    assert len(first) == 6
    _, trials, (best,) = run(10, name)
    assert [trial.config for trial in trials[:6]] == [trial.config for trial in first]
    assert len(set(keys(trial.config for trial in trials))) == 10
    values = [trial.value for trial in trials if trial.config["x"] != 0]
    assert values == pytest.approx([score(t.config) for t in trials if t.config["x"] != 0])
    assert all(trial.state == "failed" for trial in trials if trial.config["x"] == 0)
    assert best["x"] == max(trials, key=lambda t: t.value or 0).config["x"]


@pytest.mark.slow
def test_a_nas_experiment_with_trials_of_nni(experiment, monkeypatch):
    for name in ("HOME", "PYTHONPATH"):
        monkeypatch.setenv(name, experiment.env[name])
    monkeypatch.delenv("NNI_CHECKPOINT_DIRECTORY", raising=False)
    monkeypatch.setenv("PYTHONPATH", f"{Path(__file__).parent}:{experiment.env['PYTHONPATH']}")
    strategy = MetaStrategy(
        store=str(experiment.store), knowledge="none", controller="random", seed=1
    )
    nas = PlainNasExperiment(
        JsonModelSpace(SPACE),
        FunctionalEvaluator(evaluate),
        strategy,
        nas_config("ts", 3, concurrency=2),
    )
    try:
        nas.run(port=free_port())
        trials = strategy.history.completed
        assert len(trials) >= 2
        assert [trial.value for trial in trials] == pytest.approx([score(t.config) for t in trials])
        assert all(trial.result.curve == (trial.value / 2,) for trial in trials)
        (best,) = nas.export_top_models(1, formatter="dict")
        assert score(strategy.history.best.config) == max(trial.value for trial in trials)
        assert best["x"] == strategy.history.best.config["x"]
    finally:
        nas.stop()

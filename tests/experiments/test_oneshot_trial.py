"""The one-shot experiment: its config, and what a trial makes of the parameters.

The search and the training are stand-ins here: whole ones are tests of `meta_nni.oneshot`.
"""

import json
from pathlib import Path

import pytest
from nni.experiment.config import ExperimentConfig

from experiments.experiment import load_config
from experiments.oneshot import trial
from meta_nni import Result, SearchSpace
from meta_nni.models import KerasEvaluator
from meta_nni.oneshot import DartsSearch, EnasSearch, Found

FOLDER = Path(__file__).parents[2] / "experiments" / "oneshot"


def load_space():
    return SearchSpace.from_nni(json.loads((FOLDER / "search_space.json").read_text("utf-8")))


def test_the_config_is_one_that_nni_accepts():
    config = ExperimentConfig(**load_config(FOLDER / "config.yml")).canonical_copy()
    assert SearchSpace.from_nni(config.search_space) == load_space()


@pytest.mark.parametrize("config", list(load_space().configs()), ids=str)
def test_a_trial_searches_with_its_parameters_and_measures_the_derived_cell(monkeypatch, config):
    started, trained = [], []

    def search(self, report):
        started.append(self)
        report(1, self.epochs, 0.25)
        return Found({"cell": 1}, (), (0.25,), 30.0, None, self.method, self.recipe)

    def train(self, config):
        trained.append(config)
        return Result(0.7, seconds=12.0, curve=(0.6, 0.7))

    for kind in (DartsSearch, EnasSearch):
        monkeypatch.setattr(kind, "run", search)
    monkeypatch.setattr(KerasEvaluator, "__call__", train)
    reported = []
    result = trial.evaluate(config, lambda epoch, value: reported.append((epoch, value)))
    (searched,) = started
    assert searched.method == config["method"]["_name"]
    assert searched.rate == config["rate"]
    for name, value in config["method"].items():
        assert name == "_name" or getattr(searched, name) == value
    assert trained == [{"cell": 1}]
    assert reported == [(0, 0.25)]
    assert (result.value, result.seconds, result.curve) == (0.7, 42.0, (0.25, 0.6, 0.7))

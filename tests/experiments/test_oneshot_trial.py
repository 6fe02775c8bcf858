"""The one-shot experiment: its config, and what a trial makes of the parameters.

The search and the training are stand-ins here: whole ones are tests of `meta_nni.oneshot`.
"""

import contextlib
import json
from pathlib import Path

import numpy as np
import pytest
from nni.experiment.config import ExperimentConfig

from experiments.experiment import load_config
from experiments.oneshot import trial
from meta_nni import ExperienceStore, Result, SearchSpace
from meta_nni.models import KerasEvaluator
from meta_nni.oneshot import CellSpace, DartsSearch, EnasSearch, Found

EDGES = [parameter.name for parameter in CellSpace.named("nasbench201").space.parameters]
FOLDER = Path(__file__).parents[2] / "experiments" / "oneshot"


def load_space():
    return SearchSpace.from_nni(json.loads((FOLDER / "search_space.json").read_text("utf-8")))


def test_the_config_is_one_that_nni_accepts():
    config = ExperimentConfig(**load_config(FOLDER / "config.yml")).canonical_copy()
    assert SearchSpace.from_nni(config.search_space) == load_space()


@pytest.mark.parametrize("config", list(load_space().configs()), ids=str)
def test_a_trial_searches_and_adds_to_the_store_what_it_saw(monkeypatch, tmp_path, config):
    started, trained = [], []
    np.savez(tmp_path / "clothing.npz", x_train=np.eye(20)[:, None], y_train=np.arange(20) % 2)
    monkeypatch.setattr(trial, "DATA", {"npz": str(tmp_path / "clothing.npz")})
    monkeypatch.setenv("META_NNI_STORE", str(tmp_path / "store.db"))
    monkeypatch.setenv("NNI_OUTPUT_DIR", str(tmp_path / "trial"))
    cell, other = (dict.fromkeys(EDGES, name) for name in ("skip_connect", "nor_conv_1x1"))
    shared = {"epochs": 1.0, "shared_weights": 1.0}

    def search(self, report):
        started.append(self)
        report(1, self.epochs, 0.25)
        children = tuple((each, Result(0.25, budget=shared)) for each in (cell, other))
        return Found(cell, children, (0.25,), 30.0, None, self.method, self.recipe)

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
    assert searched.initial == {}  # from a store that knows nothing
    assert searched.checkpoint.parent == tmp_path / "trial"
    assert trained == [cell]
    assert reported == [(0, 0.25)]
    assert (result.value, result.seconds, result.curve) == (0.7, 42.0, (0.6, 0.7))
    with contextlib.closing(ExperienceStore.open(tmp_path / "store.db")) as store:
        known = [store.history(summary.run_id) for summary in store.runs()]
    runs = {history.run.recipe: history for history in known}
    assert {history.run.task.name for history in runs.values()} == {"clothing"}
    assert [t.config for t in runs[searched.recipe].trials] == [cell, other]
    assert [t.value for t in runs["nasbench201-8-epochs-v1"].trials] == [0.7]

"""Limits and objectives of MetaOracle: real trainings of small models."""

import keras
import keras_tuner
import pytest
from autokeras_projects import history_in
from sklearn.datasets import load_iris

import meta_nni
from meta_nni.adapters.kerastuner_count import HypermodelCounter
from meta_nni.adapters.nni_arguments import ArgumentError
from meta_nni.limits import limits_of
from meta_nni.objectives import front

pytestmark = pytest.mark.host

UNITS = [4, 8, 16, 64, 256, 512]


def build(hp):
    units = hp.Choice("units", UNITS)
    hidden = keras.layers.Dense(units, activation="relu")
    head = keras.layers.Dense(3, activation="softmax")
    model = keras.Sequential([keras.Input((4,)), hidden, head])
    rate = hp.Choice("learning_rate", [0.1, 0.01, 0.001])
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
    return model


def parameters(units):
    return 5 * units + 3 * (units + 1)


def project(folder, max_trials, **arguments):
    ours = {"store": folder / "store.db", "knowledge": "none", "seed": 1, "task": "iris"}
    oracle = meta_nni.MetaOracle("val_loss", max_trials, **ours, **arguments)
    return keras_tuner.Tuner(oracle, build, directory=folder, project_name="project")


def search(tuner):
    x, y = load_iris(return_X_y=True)
    tuner.search(x, y, validation_data=(x, y), epochs=1, verbose=0)


def test_parameters_are_counted_before_a_config_is_proposed(tmp_path):
    limits = {"parameters": parameters(16)}
    search(project(tmp_path, 5, limits=limits, hypermodel=build))
    history = history_in(tmp_path)
    assert [str(limit) for limit in limits_of(history.run)] == ["parameters at most 131"]
    for trial in history.trials:
        assert trial.config["units"] <= 16
        assert trial.result.metrics["parameters"] == parameters(trial.config["units"])


def test_the_best_trials_are_those_that_kept_the_limits(tmp_path):
    search(project(tmp_path, 4, hypermodel=build, limits={"parameters": 10**9}))
    best, *others = sorted(history_in(tmp_path).trials, key=lambda trial: trial.value)
    limits = {"parameters": {"min": best.result.metrics["parameters"] + 1}}
    least = limits["parameters"]["min"]
    kept = [t.trial_id for t in others if t.result.metrics["parameters"] >= least]
    tuner = project(tmp_path, 4, hypermodel=build, limits=limits)  # finished, no run is open
    assert [trial.trial_id for trial in tuner.oracle.get_best_trials(9)] == kept
    assert len(tuner.get_best_models(9)) == len(kept)


def test_several_objectives_give_a_front(tmp_path):
    objectives = ["value", {"parameters": "minimize"}]
    search(project(tmp_path, 4, hypermodel=build, objectives=objectives))
    found = front(history_in(tmp_path))
    sizes = [trial.result.metrics["parameters"] for trial in found]
    assert sizes == sorted(sizes, reverse=True)


def test_what_no_trial_measures_is_named(tmp_path, caplog):
    tuner = project(tmp_path, 1, limits={"parameters": 100})
    with caplog.at_level("WARNING"):
        search(tuner)
    assert "measured no parameters, so that it keeps no limit on it; it measured [" in caplog.text
    assert tuner.oracle.get_best_trials() == []


def test_models_are_built_once_and_what_cannot_be_built_is_infinite():
    built = []

    def sometimes(hp):
        built.append(1)
        return build(hp) if hp.Boolean("works", default=True) else [][0]

    count = HypermodelCounter(sometimes)
    assert [count({"units": 8}) for _ in range(2)] == [parameters(8)] * 2
    assert len(built) == 1
    assert count({"units": 8, "works": False}) == float("inf")


def test_a_hypermodel_that_cannot_be_counted_is_refused():
    with pytest.raises(ArgumentError, match="hypermodel is 3, expected what the tuner gets"):
        HypermodelCounter(3)
    count = HypermodelCounter(lambda hp: keras.Sequential([keras.layers.Dense(3)]))
    with pytest.raises(ArgumentError, match=r"begin it with keras.Input\(shape\)"):
        count({})

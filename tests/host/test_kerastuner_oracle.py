"""A plain KerasTuner project with MetaOracle: real trainings of small models on digits."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import keras
import keras_tuner
import pytest
from sklearn.datasets import load_digits

import meta_nni
from meta_nni.adapters.nni_arguments import ArgumentError
from meta_nni.report import report_path
from meta_nni.store import ExperienceStore
from meta_nni.trial import History

pytestmark = pytest.mark.host

ROWS = 300


def data():
    x, y = load_digits(return_X_y=True)
    return (x / 16).astype("float32")[: 2 * ROWS], y[: 2 * ROWS]


def build(hp):
    """Every kind of hyperparameter, a conditional scope, and one that a build may not reveal."""
    model = keras.Sequential([keras.Input((64,))])
    kind = hp.Choice("kind", ["plain", "wide"])
    with hp.conditional_scope("kind", ["wide"]):
        if kind == "wide":
            units = hp.Int("units", 16, 64, step=16)
            model.add(keras.layers.Dense(units, activation="relu"))
    if hp.Boolean("dropout"):
        model.add(keras.layers.Dropout(hp.Float("rate", 0.1, 0.5)))
    model.add(keras.layers.Dense(hp.Fixed("classes", 10), activation="softmax"))
    rate = hp.Float("learning_rate", 1e-3, 1e-1, sampling="log")
    model.compile(
        keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return model


def tuner(folder, hypermodel=build, overwrite=False, **arguments):
    ours = {"store": folder / "store.db", "knowledge": "none", "seed": 4, "task": "digits"}
    oracle = meta_nni.MetaOracle(objective="val_accuracy", **(ours | arguments))
    return keras_tuner.Tuner(
        oracle=oracle,
        hypermodel=hypermodel,
        directory=folder,
        project_name="project",
        overwrite=overwrite,
    )


def search(project):
    x, y = data()
    project.search(x[:ROWS], y[:ROWS], validation_data=(x[ROWS:], y[ROWS:]), epochs=1, verbose=0)


def runs(folder) -> list[History]:
    store = ExperienceStore.open(folder / "store.db")
    found = [store.history(run.run_id) for run in store.runs()]
    store.close()
    return found


def report(folder, history: History) -> str:
    return report_path(str(folder / "store.db"), history).read_text("utf-8")


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kerastuner")
    x, y = data()
    project = tuner(folder, max_trials=4, data=(x[:ROWS], y[:ROWS]), recipe="one-epoch")
    search(project)
    return folder, project


def test_a_project_is_remembered(searched):
    folder, project = searched
    (history,) = runs(folder)
    assert history.run.space.to_nni() == {
        "kind": {
            "_type": "choice",
            "_value": [
                {"_name": "plain"},
                {"_name": "wide", "units": {"_type": "choice", "_value": [16, 32, 48, 64]}},
            ],
        },
        "dropout": {"_type": "choice", "_value": [True, False]},
        "classes": {"_type": "choice", "_value": [10]},
        "learning_rate": {"_type": "loguniform", "_value": [0.001, 0.1]},
    }
    assert (history.run.task.name, history.run.task.objective) == ("digits", "maximize")
    assert history.run.task.metafeatures["n_train"] == ROWS
    assert (history.run.metric, history.run.recipe) == ("val_accuracy", "one-epoch")
    assert [trial.state for trial in history.trials] == ["completed"] * 4
    for trial, theirs in zip(history.trials, project.oracle.trials.values(), strict=True):
        assert trial.trial_id == theirs.trial_id
        assert trial.value == pytest.approx(theirs.score)
        assert trial.result is not None
        assert trial.result.seconds > 0
        assert trial.result.metrics["val_loss"] > 0


def test_what_ran_is_what_was_proposed(searched):
    folder, project = searched
    (history,) = runs(folder)
    for trial, theirs in zip(history.trials, project.oracle.trials.values(), strict=True):
        values = theirs.hyperparameters.values
        assert values["learning_rate"] == trial.config["learning_rate"]
        assert values["kind"] == trial.config["kind"]["_name"]
        assert ("units" in values) == (values["kind"] == "wide")
    model = project.get_best_models(1)[0]
    assert model.predict(data()[0][:2], verbose=0).shape == (2, 10)


def test_a_late_hyperparameter_keeps_its_default_and_is_recorded(searched):
    folder, _ = searched
    (history,) = runs(folder)
    with_dropout = [trial for trial in history.trials if trial.config["dropout"]]
    assert with_dropout  # else the seed no longer tests it
    for trial in with_dropout:
        assert trial.result.metrics["hyperparameter rate"] == 0.1


def test_the_end_of_a_search_leaves_a_report(searched):
    folder, _ = searched
    (history,) = runs(folder)
    assert "4</b><span>trials, 4 measured" in report(folder, history)


def test_it_goes_on_after_a_restart(searched):
    folder, _ = searched
    project = tuner(folder, max_trials=5)
    search(project)
    (history,) = runs(folder)
    assert [trial.state for trial in history.trials] == ["completed"] * 5
    configs = [json.dumps(trial.config) for trial in history.trials]
    assert len(set(configs)) == 5
    assert "5</b><span>trials, 5 measured" in report(folder, history)


def test_the_next_project_learns_from_it(searched, tmp_path: Path):
    folder, _ = searched
    project = tuner(tmp_path, store=folder / "store.db", max_trials=1, task="other digits")
    search(project)
    history = runs(folder)[-1]
    assert history.run.task.name == "other digits"
    assert [trial.suggestion.source for trial in history.trials] == ["zero-shot"]


def test_a_model_that_cannot_be_built_is_a_failure_with_its_reason(tmp_path: Path, caplog):
    def sometimes(hp):
        if hp.Choice("works", [True, False]):
            return build(hp)
        raise ValueError("no such layer")

    with caplog.at_level(logging.WARNING):
        project = tuner(
            tmp_path, sometimes, max_trials=4, controller="random", max_consecutive_failed_trials=9
        )
        search(project)
    (history,) = runs(tmp_path)
    assert history.failed  # else the seed no longer tests it
    assert len(history.completed) + len(history.failed) == 4
    assert all("no such layer" in trial.result.reason for trial in history.failed)


def test_too_many_failures_end_a_search_and_are_reported(tmp_path: Path):
    def never(hp):
        hp.Int("units", 1, 9)
        if hp.values.get("units", 1) > 1:
            raise ValueError("no such layer")
        return build(hp)

    project = tuner(tmp_path, never, max_trials=9, max_consecutive_failed_trials=2)
    with pytest.raises(RuntimeError, match="consecutive failures"):
        search(project)
    (history,) = runs(tmp_path)
    assert "no such layer" in report(tmp_path, history)


def test_a_report_waits_for_the_last_worker(tmp_path: Path):
    oracle = tuner(tmp_path, max_trials=2, controller="random").oracle
    last = [oracle.create_trial(f"worker{number}") for number in range(3)]
    assert [trial.status for trial in last] == ["RUNNING", "RUNNING", "STOPPED"]
    for trial in last[:2]:
        oracle.update_trial(trial.trial_id, {"val_accuracy": 0.5})
        trial.status = "COMPLETED"
        oracle.end_trial(trial)
    (history,) = runs(tmp_path)
    assert "2</b><span>trials, 2 measured" in report(tmp_path, history)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"controller": "metta"}, "controller is 'metta', .* did you mean 'meta'"),
        ({"knowledge": "all"}, "knowledge is 'all'"),
        ({"seed": -1}, "seed is -1"),
        ({"data": {"h5": "x"}}, r"the keys \['h5'\], expected exactly one of"),
    ],
)
def test_a_wrong_argument_is_named(tmp_path: Path, arguments, expected):
    with pytest.raises(ArgumentError, match=expected):
        meta_nni.MetaOracle(objective="val_loss", store=tmp_path / "s.db", **arguments)

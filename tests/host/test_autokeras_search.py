"""Searches of AutoKeras with MetaAutoTuner: real trainings on small data."""

import json
from pathlib import Path
from typing import ClassVar

import autokeras as ak
import keras
import numpy as np
import pytest
from autokeras_projects import digits, fit_without_a_last_fit, iris, tabular

import meta_nni
from meta_nni.adapters.nni_arguments import ArgumentError
from meta_nni.report import report_path
from meta_nni.space import SearchSpace
from meta_nni.store import ExperienceStore

pytestmark = pytest.mark.host

FOLDER = Path(__file__).parents[2] / "search_spaces"


def shipped(name):
    return SearchSpace.from_nni(json.loads((FOLDER / f"{name}.json").read_text()))


def runs(folder):
    """All runs of a project's store."""
    opened = ExperienceStore.open(folder / "store.db")
    histories = [opened.history(run.run_id) for run in opened.runs()]
    opened.close()
    return histories


def images(folder, **arguments):
    ours = {"store": folder / "store.db", "knowledge": "none", "max_model_size": 100_000}
    return ak.ImageClassifier(
        **{"tuner": meta_nni.MetaAutoTuner, "directory": folder, "seed": 1, **ours, **arguments}
    )


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A finished search on digits: folder, model, and what `fit` returned."""
    folder = tmp_path_factory.mktemp("digits")
    model = images(folder, max_trials=3, overwrite=True)
    return folder, model, model.fit(*digits(), epochs=2, verbose=0)


def test_a_search_is_in_the_store_as_nni_would_have_it(searched):
    folder, model, _ = searched
    (history,) = runs(folder)
    assert history.run.space == shipped("autokeras_image")
    assert history.run.metric == "val_loss"
    assert history.run.task.objective == "minimize"
    assert history.run.task.name.startswith("image_classifier-")
    assert [trial.state for trial in history.trials] == ["completed"] * 3
    for trial, ours in zip(history.trials, model.tuner.oracle.trials.values(), strict=True):
        assert trial.trial_id == ours.trial_id
        assert trial.value == pytest.approx(ours.score)
        result = trial.result
        assert min(result.curve) == pytest.approx(trial.value)
        assert len(result.curve) == 2
        assert result.seconds > 0
        assert result.metrics["val_accuracy"] >= 0
        assert result.metrics["parameters"] <= 100_000 + 100  # not trained: normalisation
        assert result.budget == {
            "epochs": 2,
            "samples": 300,
            "batch_size": 32,
            "parameters": 100_000,
        }


def test_the_end_of_a_search_leaves_a_report(searched):
    folder, _, _ = searched
    page = report_path(str(folder / "store.db"), runs(folder)[0]).read_text("utf-8")
    assert "3</b><span>trials, 3 measured" in page


def test_metafeatures_are_those_of_the_rows_to_fit(searched):
    folder, _, _ = searched
    features = runs(folder)[0].run.task.metafeatures
    assert features["n_train"] == 240
    assert (features["height"], features["n_classes"]) == (8, 10)
    assert "landmark_nearest" in features


def test_what_is_proposed_is_what_is_built(searched):
    folder, model, _ = searched
    for trial in runs(folder)[0].trials:
        values = model.tuner.oracle.trials[trial.trial_id].hyperparameters.values
        assert (
            values["image_block_1/block_type"] == trial.config["image_block_1/block_type"]["_name"]
        )
        assert values["learning_rate"] == trial.config["learning_rate"]


def test_the_whole_space_is_known_before_the_first_trial(searched):
    _, model, _ = searched
    first = model.tuner.oracle.trials["0"].hyperparameters
    assert first._exists(
        "image_block_1/res_net_block_1/version",
        first._hps["image_block_1/res_net_block_1/version"][0].conditions,
    )
    assert "image_block_1/conv_block_1/filters_2_1" in first._hps


def test_results_are_used_as_ever(searched, tmp_path):
    folder, model, history = searched
    x, y = digits()
    assert history.history["loss"]
    predicted = model.predict(x, verbose=0)
    accuracy = (predicted.ravel().astype(int) == y).mean()
    assert model.evaluate(x, y, verbose=0)[1] == pytest.approx(accuracy, abs=1e-6)
    model.export_model().save(tmp_path / "exported.keras")
    loaded = keras.models.load_model(tmp_path / "exported.keras", custom_objects=ak.CUSTOM_OBJECTS)
    assert (loaded.predict(x, verbose=0).argmax(1) == predicted.ravel().astype(int)).all()
    again = images(folder, max_trials=3, overwrite=False)
    assert (again.predict(x, verbose=0) == predicted).all()
    assert again.fit(x, y, verbose=0) is None
    assert len(runs(folder)[0].trials) == 3


class Recorded(keras.callbacks.Callback):
    """Counts epochs, and raises in trainings that a test names."""

    trainings, epochs = 0, 0
    raises: ClassVar[dict[int, BaseException]] = {}

    def on_train_begin(self, logs=None):
        Recorded.trainings += 1
        if Recorded.trainings in Recorded.raises:
            raise Recorded.raises[Recorded.trainings]

    def on_epoch_end(self, epoch, logs=None):
        Recorded.epochs += 1


@pytest.fixture
def recorded():
    Recorded.trainings = Recorded.epochs = 0
    Recorded.raises = {}
    return Recorded


def test_failures_are_remembered_and_the_search_goes_on(tmp_path, recorded):
    recorded.raises = {1: MemoryError("no 8 GiB"), 2: ValueError("bad\nluck")}
    model = tabular(tmp_path, max_trials=3)
    model.fit(*iris(), epochs=1, verbose=0, callbacks=[recorded()])
    (history,) = runs(tmp_path)
    assert [trial.state for trial in history.trials] == ["failed", "failed", "completed"]
    reasons = [trial.result.reason for trial in history.trials]
    assert reasons == ["out of memory: no 8 GiB", "ValueError: bad", None]
    assert history.trials[0].result.seconds > 0
    assert recorded.trainings == 4  # the last fit has the caller's callbacks, too
    assert recorded.epochs == 2


def test_a_trial_out_of_time_fails_with_the_reason(tmp_path):
    model = tabular(tmp_path, max_trials=1, seconds_per_trial=1e-3)
    with pytest.raises(
        RuntimeError, match=r"no trial gave a value: no epoch ended within the limit"
    ):
        model.fit(*iris(), epochs=1, verbose=0)
    (history,) = runs(tmp_path)
    assert [trial.state for trial in history.trials] == ["failed"]
    assert history.trials[0].result.budget["seconds"] == 1e-3


def test_a_search_out_of_time_begins_no_trial(tmp_path):
    model = tabular(tmp_path, max_total_seconds=1e-3)
    with pytest.raises(RuntimeError, match="no trial gave a value; allow more seconds"):
        model.fit(*iris(), epochs=1, verbose=0)
    assert runs(tmp_path)[0].trials == ()


def test_a_trial_that_had_no_time_left_says_nothing_of_its_config(tmp_path):
    model = tabular(tmp_path, max_total_seconds=1e-3)
    model.tuner._is_over = lambda: False
    with pytest.raises(RuntimeError, match="no epoch ended within the limit"):
        model.fit(*iris(), epochs=1, verbose=0)
    assert [trial.state for trial in runs(tmp_path)[0].trials] == ["lost", "lost"]


class Executions(keras.callbacks.Callback):
    """Notes what each execution reaches; each takes 40 seconds of a clock."""

    values: ClassVar[list[float]] = []
    seconds: ClassVar[float] = 0.0

    def on_epoch_end(self, epoch, logs):
        Executions.values.append(logs["val_accuracy"])

    def on_train_end(self, logs=None):
        Executions.seconds += 40.0


@pytest.mark.parametrize(("limit", "count"), [(90.0, 2), (30.0, 1)])
def test_executions_for_which_there_is_time_give_their_mean(tmp_path, limit, count):
    Executions.values.clear()
    arguments = {"max_trials": 1, "executions_per_trial": 2, "seconds_per_trial": limit}
    model = tabular(tmp_path, **arguments)
    model.tuner._clock = lambda: Executions.seconds
    fit_without_a_last_fit(model, Executions())
    (trial,) = runs(tmp_path)[0].trials
    (own,) = model.tuner.oracle.get_best_trials(1)
    assert len(Executions.values) == count
    assert trial.value == own.score == trial.result.metrics["val_accuracy"]
    assert trial.value == pytest.approx(np.mean(Executions.values))


def test_a_killed_search_goes_on(tmp_path, recorded):
    """Interrupted in the second trial, which is run again; then it is given a fourth."""
    recorded.raises = {2: KeyboardInterrupt()}
    with pytest.raises(KeyboardInterrupt):
        fit_without_a_last_fit(tabular(tmp_path, max_trials=3), recorded())
    (history,) = runs(tmp_path)
    assert [trial.state for trial in history.trials] == ["completed", "lost"]
    fit_without_a_last_fit(tabular(tmp_path, max_trials=3))
    longer = tabular(tmp_path, max_trials=4)
    fit_without_a_last_fit(longer)
    (after,) = runs(tmp_path)
    assert [trial.state for trial in after.trials] == ["completed"] * 4
    assert [t.config for t in after.trials[:2]] == [t.config for t in history.trials]
    assert len({after.run.space.key(trial.config) for trial in after.trials}) == 4
    theirs = longer.tuner.oracle.trials
    assert [t.value for t in after.trials] == [theirs[t.trial_id].score for t in after.trials]


def test_a_trial_that_kills_the_process_twice_fails(tmp_path, recorded, monkeypatch):
    from meta_nni.adapters.autokeras_trial import TrialRecord

    folder = tmp_path / "structured_data_classifier" / "trial_0"
    folder.mkdir(parents=True)
    TrialRecord(deaths=2).write(folder)
    fit_without_a_last_fit(tabular(tmp_path, max_trials=2))
    failed, completed = runs(tmp_path)[0].trials
    assert "the process died 2 times in this trial" in failed.result.reason
    assert completed.state == "completed"


def test_a_project_that_another_tuner_began_is_taken_over(tmp_path):
    fit_without_a_last_fit(tabular(tmp_path, tuner="random", max_trials=1))
    fit_without_a_last_fit(tabular(tmp_path, max_trials=2))
    (history,) = runs(tmp_path)
    assert [trial.suggestion.source for trial in history.trials] == ["imported", "random"]
    assert [trial.state for trial in history.trials] == ["completed"] * 2


def test_the_same_data_are_the_same_task_and_a_task_can_be_named(tmp_path):
    x, y = iris()
    for name, labels, task in (
        ("a", y, None),
        ("b", y, None),
        ("c", y[::-1], None),
        ("d", y, "mine"),
    ):
        model = tabular(
            tmp_path / name, store=tmp_path / "store.db", task=task, max_total_seconds=1e-3
        )
        with pytest.raises(RuntimeError, match="no trial"):  # only the name matters
            model.fit(x, labels, epochs=1, verbose=0)
    names = {h.run.run_id: h.run.task.name for h in runs(tmp_path)}
    one, same, other, mine = names.values()
    assert one == same != other
    assert mine == "mine"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seconds_per_trial": 0}, "seconds_per_trial is 0, expected seconds above 0"),
        ({"max_total_seconds": "1h"}, "max_total_seconds is '1h', expected seconds above 0"),
        ({"controller": "metta"}, "did you mean 'meta'"),
        ({"knowledge": "all"}, "knowledge is 'all', expected one of"),
        ({"store": 5}, "store is 5, expected a path"),
        ({"stor": "x.db"}, r"Unrecognized arguments \['stor'\]"),
    ],
)
def test_wrong_arguments_are_named(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        tabular(tmp_path, **arguments)
    assert issubclass(ArgumentError, ValueError)


def test_the_same_seed_gives_the_same_search(tmp_path):
    values = []
    for name in ("a", "b"):
        keras.utils.set_random_seed(3)
        model = tabular(tmp_path / name, store=tmp_path / f"{name}.db", controller="evolution")
        fit_without_a_last_fit(model)
        values.append(
            [(t.hyperparameters.values, t.score) for t in model.tuner.oracle.trials.values()]
        )
    assert values[0] == values[1]


def test_what_nni_learned_serves_autokeras_and_what_that_learned_serves_nni(tmp_path):
    """Each host's first proposal is the best that the other measured."""
    space, store = shipped("autokeras_tabular"), tmp_path / "store.db"
    arguments = {"store": str(store), "knowledge": "none", "controller": "portfolio"}
    before = meta_nni.MetaTuner(**arguments, task="nni", seed=1)
    before.update_search_space(space.to_nni())
    configs = before.generate_multiple_parameters(list(range(4)))
    for number, config in enumerate(configs):
        value = 0.9 if number == 2 else 0.1
        before.receive_trial_result(number, config, value)

    model = tabular(tmp_path, controller="portfolio", max_trials=3, max_model_size=10**9)
    fit_without_a_last_fit(model)
    history = next(h for h in runs(tmp_path) if h.run.task.name != "nni")
    assert history.run.space == space
    assert history.trials[0].config == configs[2]
    assert history.trials[0].suggestion.source == "portfolio"
    built = model.tuner.oracle.trials["0"].hyperparameters.values
    assert built["learning_rate"] == configs[2]["learning_rate"]

    elsewhere = tmp_path / "elsewhere.db"
    target = ExperienceStore.open(elsewhere)
    source = ExperienceStore.open(store)
    source.export(tmp_path / "runs.jsonl", [history.run.run_id])
    target.import_(tmp_path / "runs.jsonl")
    after = meta_nni.MetaTuner(**{**arguments, "store": str(elsewhere)}, task="nni too", seed=2)
    after.update_search_space(space.to_nni())
    assert after.generate_parameters(0) == history.best.config


def test_the_quick_start_is_five_lines_and_runs_as_printed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("META_NNI_STORE", str(tmp_path / "store.db"))
    text = (Path(__file__).parents[2] / "experiments/autokeras/quick_start.py").read_text()
    _, docstring, printed = text.split('"""')
    assert docstring.startswith("The README's quick start")
    assert printed.strip() in (Path(__file__).parents[2] / "README.md").read_text()
    assert len([line for line in printed.splitlines() if line]) == 5
    keras.utils.set_random_seed(1)
    exec(compile(printed, "quick_start.py", "exec"), {})
    (history,) = runs(tmp_path)
    assert len(history.trials) == 3
    assert np.isfinite(history.best.value)

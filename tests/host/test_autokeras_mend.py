"""Each defect of AutoKeras and KerasTuner that `autokeras_mend` works around.

The first test of each pair runs the stock code. When it fails, upstream has mended the
defect: remove the mend that the second test is about, and both tests.
"""

import json
from pathlib import Path

import autokeras as ak
import keras
import keras_tuner
import numpy as np
import pytest
from autokeras.engine.tuner import AutoTuner
from autokeras_projects import iris, tabular
from keras_tuner.engine.trial import Trial

from meta_nni.adapters.autokeras_mend import MendedAutoTuner, complete
from meta_nni.adapters.autokeras_oracle import MetaOracle

pytestmark = pytest.mark.host


class StopAtOnce(keras.callbacks.Callback):
    """Makes each training end after one epoch."""

    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = True


class Project:
    """One trial and the last fit, and the same project opened again."""

    def __init__(self, folder, **arguments):
        self.callbacks = [StopAtOnce()]
        self.model = tabular(folder, max_trials=1, **arguments)
        self.model.fit(*iris(), callbacks=self.callbacks, verbose=0)
        self.again = tabular(folder, max_trials=1, **arguments)

    @property
    def tuner(self):
        return self.model.tuner

    def last_fit(self):
        return keras.models.load_model(self.tuner.best_model_path, custom_objects=ak.CUSTOM_OBJECTS)

    def predicts_by_the_last_fit(self):
        used, fitted = self.tuner.get_best_model().get_weights(), self.last_fit().get_weights()
        return all(np.array_equal(a, b) for a, b in zip(used, fitted, strict=True))

    def says_that_it_is_finished(self):
        return json.loads(Path(self.tuner._get_tuner_fname()).read_text())["finished"]


@pytest.fixture(scope="module")
def stock(tmp_path_factory):
    return Project(tmp_path_factory.mktemp("stock"), tuner="greedy")


@pytest.fixture(scope="module")
def mended(tmp_path_factory):
    return Project(tmp_path_factory.mktemp("mended"))


def test_stock_predicts_by_the_best_trial_and_not_by_the_last_fit(stock):
    assert not stock.predicts_by_the_last_fit()


def test_mended_predicts_by_the_last_fit(mended):
    assert mended.predicts_by_the_last_fit()


def test_stock_has_no_model_when_it_is_opened_again(stock):
    with pytest.raises(ValueError, match="shape"):
        stock.again.export_model()


def test_mended_has_the_model_when_it_is_opened_again(mended):
    x, _ = iris()
    assert np.array_equal(mended.again.predict(x, verbose=0), mended.model.predict(x, verbose=0))


def test_stock_does_not_save_that_it_is_finished(stock):
    assert not stock.says_that_it_is_finished()


def test_mended_saves_that_it_is_finished(mended):
    assert mended.says_that_it_is_finished()
    assert mended.again.fit(*iris(), verbose=0) is None


def test_stock_stays_finished_when_max_trials_grows(stock):
    stock.again.tuner.oracle.max_trials = 5
    stock.again.tuner.set_state({"finished": True})
    assert stock.again.tuner._finished


def test_mended_goes_on_when_max_trials_grows(mended):
    oracle = mended.again.tuner.oracle
    assert mended.again.tuner._finished
    oracle.max_trials = 5
    mended.again.tuner.set_state({"finished": True})
    assert not mended.again.tuner._finished


def test_stock_takes_the_number_of_rows_for_the_batch_size(stock):
    assert stock.tuner.hypermodel.batch_size == len(iris()[0])


def test_mended_takes_the_batch_size(mended):
    assert mended.tuner.hypermodel.batch_size == 32


def test_stock_adds_to_the_callers_callbacks(stock):
    assert len(stock.callbacks) == 2


def test_mended_leaves_the_callers_callbacks_alone(mended):
    assert len(mended.callbacks) == 1


def test_stock_keeps_early_stopping_in_the_last_fit():
    callbacks = [StopAtOnce(), keras.callbacks.EarlyStopping()]
    (kept,) = AutoTuner._remove_early_stopping(callbacks)
    assert isinstance(kept, list)


def test_mended_removes_early_stopping():
    callbacks = [StopAtOnce(), keras.callbacks.EarlyStopping()]
    (kept,) = MendedAutoTuner._remove_early_stopping(callbacks)
    assert isinstance(kept, StopAtOnce)


def test_stock_builds_a_model_before_the_first_trial_and_dies_of_its_size(tmp_path):
    model = tabular(tmp_path, tuner="greedy", max_model_size=10)
    with pytest.raises(keras_tuner.errors.FailedTrialError, match="Oversized"):
        model.fit(*iris(), epochs=1, verbose=0)
    assert not model.tuner.oracle.trials


def test_mended_counts_what_is_too_large_as_a_trial(tmp_path):
    model = tabular(tmp_path, max_trials=1, max_model_size=10)
    with pytest.raises(RuntimeError, match="no trial gave a value: Oversized model"):
        model.fit(*iris(), epochs=1, verbose=0)
    assert [trial.status for trial in model.tuner.oracle.trials.values()] == ["FAILED"]


LOSS = keras.losses.CategoricalCrossentropy(label_smoothing=0.1)


def analysed(model):
    """Lets a model see iris, as `fit` does; returns the loss that it will train with."""
    model._analyze_data(iris())
    return model.tuner.hypermodel._get_loss()["classification_head_1"]


def test_stock_overwrites_the_users_loss(tmp_path):
    keras.backend.clear_session()
    assert analysed(tabular(tmp_path, tuner="greedy", loss=LOSS)) is not LOSS


def test_mended_keeps_the_users_loss(tmp_path):
    keras.backend.clear_session()
    assert analysed(tabular(tmp_path, loss=LOSS)) is LOSS


def test_mended_infers_the_loss_where_the_user_gave_none(tmp_path):
    keras.backend.clear_session()
    inferred = analysed(tabular(tmp_path, num_classes=2))  # which is wrong, and made up for
    assert isinstance(inferred, keras.losses.CategoricalCrossentropy)


def fits_without_a_word(folder, **arguments):
    objective = keras_tuner.Objective("val_precision", "max")
    model = tabular(folder, max_trials=1, objective=objective, **arguments)
    model.fit(*iris(), epochs=1, verbose=0)
    return [trial.status for trial in model.tuner.oracle.trials.values()]


def test_stock_fails_every_trial_of_an_objective_that_is_not_measured(tmp_path):
    assert fits_without_a_word(tmp_path, tuner="greedy") == ["FAILED"]


def test_mended_says_that_an_objective_is_not_measured(tmp_path):
    with pytest.raises(ValueError, match=r"\['val_precision'\], but training measures .*val_loss"):
        fits_without_a_word(tmp_path)


def known():
    hyperparameters = keras_tuner.HyperParameters()
    hyperparameters.Choice("block", ["resnet", "vanilla"])
    with hyperparameters.conditional_scope("block", ["vanilla"]):
        hyperparameters.Choice("filters", list(range(100)), default=7)
    return hyperparameters


def test_stock_fills_gaps_unseeded_and_resets_what_is_proposed():
    filled = set()
    for _ in range(20):
        hyperparameters = known()
        hyperparameters.values = {"block": "vanilla"}
        hyperparameters.ensure_active_values()
        filled.add(hyperparameters.values["filters"])
    assert len(filled) > 1
    merged = keras_tuner.HyperParameters()
    merged.values = {"block": "vanilla"}
    merged.merge([known().space[0]])
    assert merged.values == {"block": "resnet"}


def test_mended_fills_gaps_with_defaults_and_keeps_what_is_proposed():
    assert complete({"block": "vanilla"}, known()) == {"block": "vanilla", "filters": 7}
    assert complete({"block": "resnet"}, known()) == {"block": "resnet"}


@pytest.fixture
def worker(tmp_path, monkeypatch):
    """A worker's environment, and a project that its chief is writing."""
    for name, value in (("IP", "127.0.0.1"), ("PORT", "18769")):
        monkeypatch.setenv(f"KERASTUNER_ORACLE_{name}", value)
    monkeypatch.setenv("KERASTUNER_TUNER_ID", "worker0")
    checkpoint = tmp_path / "structured_data_classifier" / "trial_0" / "checkpoint.weights.h5"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.touch()
    return checkpoint


def test_a_stock_worker_removes_what_the_chief_is_writing(worker, tmp_path):
    tabular(tmp_path, tuner="greedy", overwrite=True)
    assert not worker.exists()


def test_a_mended_worker_leaves_it_and_begins_anew(worker, tmp_path):
    (tmp_path / "structured_data_classifier" / "worker0.json").write_text('{"finished": true}')
    model = tabular(tmp_path, overwrite=True)
    assert worker.exists()
    assert not model.tuner._finished


def test_a_stock_worker_writes_the_last_fit_to_the_chiefs_file(worker, tmp_path):
    model = tabular(tmp_path, tuner="greedy")
    assert Path(model.tuner.best_model_path).name == "best_model.keras"
    assert Path(model.tuner.best_pipeline_path).name == "best_pipeline"


def test_a_mended_worker_has_files_of_its_own(worker, tmp_path):
    model = tabular(tmp_path)
    assert Path(model.tuner.best_model_path).name == "best_model_worker0.keras"
    assert Path(model.tuner.best_pipeline_path).name == "best_pipeline_worker0"


def test_a_stock_worker_asks_the_chief_after_the_search(worker, tmp_path):
    tuner = tabular(tmp_path, tuner="greedy").tuner
    tuner.on_search_end()
    assert type(tuner.oracle).__name__ == "OracleClient"


def test_a_mended_worker_reads_what_the_chief_wrote(worker, tmp_path):
    trial = Trial(known(), trial_id="0", status="COMPLETED")
    trial.score = 0.5
    trial.save(worker.with_name("trial.json"))
    tuner = tabular(tmp_path).tuner
    tuner.on_search_end()
    assert [(t.trial_id, t.score) for t in tuner.oracle.get_best_trials(1)] == [("0", 0.5)]


def test_the_message_of_a_failure_is_lost_between_worker_and_chief():
    """Why a trial's reason lies in its folder (`autokeras_trial`)."""
    trial = Trial(known(), trial_id="0", status="FAILED", message="out of memory")
    assert Trial.from_proto(trial.to_proto()).message is None


def test_an_oracle_without_a_search_says_so():
    with pytest.raises(RuntimeError, match="no search is open"):
        MetaOracle(objective="val_loss").populate_space("0")

"""The last fit of a search: what the best trial had reached is not lost by it."""

import logging
from types import SimpleNamespace

import autokeras as ak
import keras
import keras_tuner
import numpy as np
import pytest
from autokeras_projects import digits

import meta_nni
from meta_nni.adapters.autokeras_last_fit import better_of

pytestmark = pytest.mark.host


class Spoiling(keras.callbacks.Callback):
    """Makes the weights of a model useless as soon as it is trained without validation rows."""

    def on_train_end(self, logs=None):
        if "val_loss" not in (logs or {}):
            self.model.set_weights([np.zeros_like(w) for w in self.model.get_weights()])


def search(folder, *callbacks):
    model = ak.ImageClassifier(
        tuner=meta_nni.MetaAutoTuner,
        directory=folder,
        objective="val_accuracy",
        max_trials=2,
        seed=1,
        store=folder / "store.db",
        knowledge="none",
        max_model_size=100_000,
    )
    keras.utils.set_random_seed(1)
    x, y = digits()
    model.fit(x, y, epochs=5, validation_split=0.3, callbacks=[*callbacks], verbose=0)
    predicted = np.asarray(model.predict(x[210:], verbose=0)).reshape(-1).astype(float)
    (best,) = model.tuner.oracle.get_best_trials(1)
    return model, best.score, float(np.mean(predicted == y[210:]))


def test_a_spoilt_last_fit_is_replaced_by_the_best_trial(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        model, score, reached = search(tmp_path, Spoiling())
    assert "the trial's weights are kept" in caplog.text
    assert reached == pytest.approx(score)
    x, _ = digits()
    exported = model.export_model()  # with its preprocessing
    assert exported.predict(x[:2], verbose=0).shape == (2, 10)


class Told:
    """Stands in for preprocessing and model: its value on validation rows is told."""

    def __init__(self, value):
        self.value = value

    def transform(self, rows):
        return rows

    def evaluate(self, x, y, **settings):
        return {"accuracy": self.value}


@pytest.mark.parametrize(("direction", "value"), [("max", 0.8), ("max", 0.9), ("min", 0.7)])
def test_a_last_fit_that_is_as_good_is_kept(direction, value):
    objective = keras_tuner.Objective("val_accuracy", direction)
    trial = SimpleNamespace(score=0.8, trial_id="0")
    oracle = SimpleNamespace(objective=objective, get_best_trials=lambda count: [trial])
    tuner = SimpleNamespace(oracle=oracle)  # it cannot restore the trial's model: nobody asks it to
    fitted = (Told(value), Told(value))
    rows = {"x": None, "y": None, "validation_data": (np.zeros(3), np.zeros(3))}
    assert better_of(tuner, fitted, rows) is fitted


def test_a_worse_last_fit_is_all_there_is_when_the_trials_weights_are_gone(tmp_path):
    objective = keras_tuner.Objective("val_accuracy", "max")
    trial = SimpleNamespace(score=0.8, trial_id="0")
    oracle = SimpleNamespace(objective=objective, get_best_trials=lambda count: [trial])
    asked = []

    def weights(trial_id):
        asked.append(trial_id)
        return tmp_path / "gone.weights.h5"

    tuner = SimpleNamespace(oracle=oracle, _get_checkpoint_fname=weights)
    fitted = (Told(0.1), Told(0.1))
    rows = {"x": None, "y": None, "validation_data": (np.zeros(3), np.zeros(3))}
    assert better_of(tuner, fitted, rows) is fitted
    assert asked == ["0"]

"""The last fit of a search: what the best trial had reached is not lost by it."""

import logging

import autokeras as ak
import keras
import numpy as np
import pytest
from autokeras_projects import digits

import meta_nni

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


def test_a_last_fit_that_is_as_good_is_kept(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        _, score, reached = search(tmp_path)
    kept = "the trial's weights are kept" in caplog.text
    assert kept == (reached == pytest.approx(score))
    assert reached >= score - 1e-6  # it was trained on those rows

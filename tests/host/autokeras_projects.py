"""Small AutoKeras projects for tests: tiny data of each kind, and the models of its tasks."""

import autokeras as ak
import keras
import keras_tuner
import numpy as np
from autokeras.engine.tuner import AutoTuner
from sklearn.datasets import load_digits, load_iris

import meta_nni
from meta_nni.store import ExperienceStore


def rows(kind):
    """Sixty rows of one kind: 8x8 images, texts of two words, or tables of three columns."""
    rng = np.random.default_rng(0)
    if kind == "image":
        return rng.integers(0, 255, (60, 8, 8)).astype(np.uint8)
    if kind == "text":
        return np.array([f"{('red', 'green', 'blue')[i % 3]} w{i}" for i in range(60)])
    return rng.normal(size=(60, 3)).astype(np.float32)


def targets(target):
    return np.arange(60) % 3 if target == "classification" else np.arange(60) / 60.0


def digits(count=300):
    x, y = load_digits(return_X_y=True)
    return x[:count].reshape(-1, 8, 8), y[:count]


def iris():
    x, y = load_iris(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))
    return x[order], y[order]


MODELS = {
    ("image", "classification"): ak.ImageClassifier,
    ("image", "regression"): ak.ImageRegressor,
    ("text", "classification"): ak.TextClassifier,
    ("text", "regression"): ak.TextRegressor,
    ("tabular", "classification"): ak.StructuredDataClassifier,
    ("tabular", "regression"): ak.StructuredDataRegressor,
}


def tabular(folder, **arguments):
    """A classifier of iris, with MetaAutoTuner and a small limit unless told otherwise."""
    ours = {
        "tuner": meta_nni.MetaAutoTuner,
        "store": folder / "store.db",
        "knowledge": "none",
        "controller": "random",
        "max_model_size": 20_000,
    }
    if "tuner" in arguments:
        ours = {}
    return ak.StructuredDataClassifier(
        **{"directory": folder, "seed": 1, "max_trials": 2, **ours, **arguments}
    )


def fit_without_a_last_fit(model, *callbacks):
    """Searches on iris; as rows to validate on and early stopping are given, that is all."""
    x, y = iris()
    model.fit(
        x[:120],
        y[:120],
        validation_data=(x[120:], y[120:]),
        epochs=1,
        callbacks=[keras.callbacks.EarlyStopping(), *callbacks],
        verbose=0,
    )


def history_in(folder):
    """The one run of a project's store."""
    store = ExperienceStore.open(folder / "store.db")
    (run,) = store.runs()
    history = store.history(run.run_id)
    store.close()
    return history


class NoTuner:
    """Stands in for a tuner: an AutoModel needs no more to prepare its graph."""

    def __init__(self, hypermodel, **arguments):
        self.hypermodel = hypermodel


def prepared(model, x, y):
    """The graph of a model after it has seen the data."""
    dataset, _ = model._check_and_adapt(x=x, y=y, validation_data=None)
    model._analyze_data(dataset)
    model._build_hyper_pipeline()
    hyperparameters = keras_tuner.HyperParameters()
    AutoTuner._prepare_model_build(model.tuner, hyperparameters, x=dataset[0], y=dataset[1])
    model.tuner.hypermodel.set_fit_args(0, epochs=1)
    return model.tuner.hypermodel

"""Models that carry their preprocessing: the same predictions, of raw rows, with Keras alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from meta_nni.cli.spaces import shipped_spaces
from meta_nni.models import KerasEvaluator, to_hyperparameters

pytestmark = pytest.mark.host

SPACES = ("autokeras_image", "autokeras_tabular", "autokeras_text_regression", "nasbench201")
SPACES += ("text", "mlp", "sequence")
OURS = {
    "text": {"encoder": {"_name": "bag", "ngrams": 2}},
    "mlp": {"width": 16, "depth": 1},
    "sequence": {"stride": 1},
}
CELLS = {"width": 4, "cells": 1}
CODE = """
import json, sys, keras, numpy
for name, file in json.loads(sys.argv[1]).items():
    model, x = keras.models.load_model(f"{file}.keras"), numpy.load(f"{file}.npy")
    if x.dtype.kind == "U":
        import tensorflow
        x = tensorflow.constant(x)
    numpy.save(f"{file}.out.npy", model.predict(x, verbose=0))
assert not {"autokeras", "meta_nni"} & set(sys.modules)
"""


def rows(space):
    """Rows of the space's kind, a little of all that real ones have."""
    rng = np.random.default_rng(0)
    y = np.arange(60) % 3
    if "text" in space:
        words = np.array(["red", "green", "blue", "big", "small"])
        x = np.array([" ".join([words[i], *rng.choice(words, 4)]) for i in y])
        return np.concatenate([x, ["purple  red\tgreen", "", "big " * 300]]), y
    if space == "sequence":
        return (rng.normal(size=(60, 8, 3)) + y[:, None, None]).astype(np.float32), y
    if "tabular" in space or space == "mlp":  # numbers, numbers with gaps, categories with a gap
        x = np.stack([y + rng.normal(size=60), rng.normal(size=60), y * 1.5], axis=1)
        x[[3, 5], [1, 2]] = np.nan
        return np.concatenate([x, [[0.0, np.nan, np.nan], [1.0, 2.0, 7.0]]]), y
    return rng.integers(0, 255, (60, 8, 8)).astype(np.uint8), y


def small(space, rng):
    """Draws a config whose model is quickly built."""
    while True:
        config = shipped_spaces()[space].sample(rng)
        if not space.startswith("autokeras"):
            return config | OURS.get(space, {})
        values = to_hyperparameters(config)
        sizes = [v for k, v in values.items() if "filters" in k or "units" in k or "_dim" in k]
        block = values.get("image_block_1/block_type", "vanilla")
        if block == "vanilla" and max(sizes, default=0) <= 32:
            return config


def exported(space, folder):
    """Trains a model, saves it with the rows, and returns what the trained one predicts."""
    x, y = rows(space)
    targets = 100.0 * y if space.endswith("regression") else y
    kind = {"kind": np.str_("sequence")} if space == "sequence" else {}
    np.savez(folder / f"{space}.npz", x_train=x[: len(y)], y_train=targets, **kind)
    np.save(folder / f"{space}.npy", x)
    evaluator = KerasEvaluator(space, {"npz": folder / f"{space}.npz"}, epochs=1)
    evaluator.model = CELLS if space == "nasbench201" else {}
    seen = []
    evaluate = evaluator._evaluate

    def watched(config, report):
        seen.append(evaluate(config, report))
        return seen[-1]

    evaluator._evaluate = watched
    evaluator.export(small(space, np.random.default_rng(1)), folder / f"{space}.keras")
    candidate = seen[-1][1]
    return candidate.model.predict(candidate.transform(x), verbose=0)


def test_each_kind_of_space(tmp_path):
    expected = {space: exported(space, tmp_path) for space in SPACES}
    files = {space: str(tmp_path / space) for space in SPACES}
    subprocess.run(
        [sys.executable, "-c", CODE, json.dumps(files)],
        check=True,
        cwd=tmp_path,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    for space in SPACES:
        got = np.load(Path(f"{files[space]}.out.npy"))
        np.testing.assert_allclose(got, expected[space], atol=1e-5, err_msg=space)


def test_a_preprocessing_without_layers_is_refused(tmp_path, rng):
    import keras

    from meta_nni.models.standalone import standalone
    from meta_nni.models.training import Candidate

    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.layers.Dense(1)(inputs))
    x = np.zeros((2, 2))
    candidate = Candidate(model, x, x, x, x, lambda rows: rows + 1, batch_size=2)
    with pytest.raises(ValueError, match="is not made of layers"):
        standalone(candidate, None)


def test_a_layer_of_ones_own_that_cannot_be_taken_apart_is_refused():
    import keras

    from meta_nni.models.standalone import standalone
    from meta_nni.models.training import Candidate

    class Wrapped(keras.layers.Layer):
        def call(self, inputs):
            return inputs + 1

        def compute_output_shape(self, input_shape):
            return input_shape

    inputs = keras.Input((2, 1))
    model = keras.Model(inputs, keras.layers.TimeDistributed(Wrapped())(inputs))
    x = np.zeros((2, 2, 1))
    candidate = Candidate(model, x, x, x, x, None, 2, lambda: model)
    with pytest.raises(ValueError, match="not Keras's own: \\['Wrapped'\\]"):
        standalone(candidate, None)

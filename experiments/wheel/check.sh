#!/bin/bash
# Does the wheel work in an empty environment? Builds it, installs it with all it needs into
# a fresh environment, and uses it there: experiments/wheel/check.sh [FOLDER]
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
folder=$(realpath "${1:-$(mktemp -d)}")
python=${PYTHON:-python3.11}

# A copy, so that nothing is left in the source tree.
mkdir -p "$folder/source"
cp -r "$root"/{setup.py,pyproject.toml,README.md,LICENSE,meta_nni,search_spaces} "$folder/source"
"$python" -m venv "$folder/build"
"$folder/build/bin/pip" install --quiet --disable-pip-version-check build
"$folder/build/bin/python" -m build --wheel --outdir "$folder" "$folder/source" >"$folder/build.log"
wheel=$(ls "$folder"/*.whl)
echo "$(basename "$wheel"): $(stat -c %s "$wheel") bytes"

"$python" -m venv "$folder/empty"
began=$SECONDS
"$folder/empty/bin/pip" install --quiet --disable-pip-version-check "$wheel"
echo "installed in $((SECONDS - began)) s, $(du -sm "$folder/empty" | cut -f1) MB"

cd "$folder" # away from the source tree
export META_NNI_STORE=$folder/store.db
bin=$folder/empty/bin
"$bin/pip" check
"$bin/meta-nni" --version
"$bin/meta-nni" experience list --knowledge | tail -1
"$bin/python" - <<'PYTHON'
import time

import keras
import keras_tuner
import nni
from sklearn.datasets import load_digits

began = time.perf_counter()
import meta_nni

print(f"import meta_nni: {1000 * (time.perf_counter() - began):.1f} ms")
assert meta_nni.MetaTuner and meta_nni.MetaAutoTuner and meta_nni.run_trial
x, y = load_digits(return_X_y=True)


def build(hp):
    layers = [keras.Input((64,)), keras.layers.Dense(hp.Int("units", 8, 64, step=8), "relu")]
    model = keras.Sequential([*layers, keras.layers.Dense(10, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


oracle = meta_nni.MetaOracle(objective="val_accuracy", max_trials=3, task="digits", seed=1)
tuner = keras_tuner.Tuner(oracle=oracle, hypermodel=build, directory="tuner")
tuner.search(x[:1000], y[:1000], validation_data=(x[1000:], y[1000:]), epochs=2, verbose=0)
PYTHON
"$bin/meta-nni" experience list

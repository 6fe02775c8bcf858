"""One trial of any of the tasks: the model of a config, trained on a share of its data."""

import argparse
import os

from meta_nni import run_trial
from meta_nni.models import KerasEvaluator

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--data", required=True)
parser.add_argument("--model", required=True)
parser.add_argument("--epochs", type=int, required=True)
parser.add_argument("--samples", type=int, required=True)
parser.add_argument("--seconds", type=float, required=True)
options = parser.parse_args()

# Several trials run at once, each on a core of its own. TensorFlow is loaded by the first.
for variable in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

run_trial(
    KerasEvaluator(
        options.model,
        data={"npz": options.data},
        samples=options.samples,
        epochs=options.epochs,
        max_seconds=options.seconds,
    )
)

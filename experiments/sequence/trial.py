"""One trial: the network of a config, trained on spoken digits."""

from meta_nni import run_trial
from meta_nni.models import KerasEvaluator

run_trial(KerasEvaluator("sequence", data={"npz": "spoken_digits.npz"}, epochs=6, max_seconds=60))

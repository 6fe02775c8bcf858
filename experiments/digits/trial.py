"""One trial: the small CNN of a config, trained on scikit-learn's digits."""

from meta_nni import run_trial
from meta_nni.models import KerasEvaluator

run_trial(
    KerasEvaluator("cnn_small", data={"npz": "digits.npz"}, samples=2000, epochs=4, max_seconds=30)
)

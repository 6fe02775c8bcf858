"""One trial: the network of a config, trained on german credit."""

from meta_nni import run_trial
from meta_nni.models import KerasEvaluator

run_trial(
    KerasEvaluator(
        "mlp",
        data={"npz": "german_credit.npz"},
        epochs=20,
        max_seconds=60,
        balanced=True,
        metric="balanced_accuracy",
    )
)

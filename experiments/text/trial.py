"""One trial: the network of a config, trained on review sentences."""

from meta_nni import run_trial
from meta_nni.models import KerasEvaluator

run_trial(
    KerasEvaluator(
        "text", data={"npz": "review_sentences.npz"}, samples=1000, epochs=6, max_seconds=60
    )
)

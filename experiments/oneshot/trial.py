"""One trial: a whole one-shot search; its derived cell is trained anew and measured.

The search starts from what the store knows of the data, and adds what it saw; the store is
the tuner's by default, `$META_NNI_STORE` or the user's own.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nni

from meta_nni import ExperienceStore, Result, run_trial
from meta_nni.adapters.oneshot import search_from_store
from meta_nni.models import KerasEvaluator
from meta_nni.oneshot import DartsSearch, EnasSearch
from meta_nni.trial import Config

SPACE, DATA = "nasbench201", {"npz": "../fashion_mnist/fashion_mnist.npz"}
SAMPLES, SEARCH_EPOCHS, EPOCHS = 600, 6, 8


def evaluate(config: Config, report: Callable[[int, float], None]) -> Result:
    """Searches with the settings of `config`; the value is that of the retrained cell."""
    method, settings = config["method"]["_name"], dict(config["method"])
    del settings["_name"]
    # NNI runs an interrupted trial again in the same folder when its experiment is resumed.
    search = {"darts": DartsSearch, "enas": EnasSearch}[method](
        SPACE,
        DATA,
        epochs=SEARCH_EPOCHS,
        samples=SAMPLES,
        rate=config["rate"],
        checkpoint=Path(os.environ["NNI_OUTPUT_DIR"]) / "search.npz",
        **settings,
    )
    evaluator = KerasEvaluator(SPACE, DATA, epochs=EPOCHS, samples=SAMPLES)
    with contextlib.closing(ExperienceStore.open()) as store:
        found, result = search_from_store(
            search,
            evaluator,
            store,
            run_id=f"oneshot-{nni.get_experiment_id()}-{nni.get_trial_id()}",
            task=Path(DATA["npz"]).stem,
            report=lambda epoch, epochs, accuracy: report(epoch - 1, accuracy),
        )
    print(f"{method} found {found.config} in {found.seconds:.0f} s")
    return replace(result, seconds=found.seconds + (result.seconds or 0.0))


if __name__ == "__main__":
    run_trial(evaluate)

"""One trial: a whole one-shot search; its derived cell is trained anew and measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from meta_nni import Result, run_trial
from meta_nni.models import KerasEvaluator
from meta_nni.oneshot import DartsSearch, EnasSearch
from meta_nni.trial import Config

SPACE, DATA = "nasbench201", {"npz": "../fashion_mnist/fashion_mnist.npz"}
SAMPLES, SEARCH_EPOCHS, EPOCHS = 600, 6, 8


def evaluate(config: Config, report: Callable[[int, float], None]) -> Result:
    """Searches with the settings of `config`; the value is that of the retrained cell."""
    method, settings = config["method"]["_name"], dict(config["method"])
    del settings["_name"]
    search = {"darts": DartsSearch, "enas": EnasSearch}[method](
        SPACE, DATA, epochs=SEARCH_EPOCHS, samples=SAMPLES, rate=config["rate"], **settings
    )
    found = search.run(lambda epoch, epochs, accuracy: report(epoch - 1, accuracy))
    print(f"{method} found {found.config} in {found.seconds:.0f} s")
    result = KerasEvaluator(SPACE, DATA, epochs=EPOCHS, samples=SAMPLES)(found.config)
    seconds = found.seconds + (result.seconds or 0.0)
    return replace(result, seconds=seconds, curve=[*found.curve, *result.curve])


if __name__ == "__main__":
    run_trial(evaluate)

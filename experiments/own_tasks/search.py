"""One search under NNI, watched trial by trial."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Any

from experiments.experiment import Experiment
from experiments.own_tasks.setting import Setting
from meta_nni.store import ExperienceStore
from meta_nni.trial import History, Trial

__all__ = ["Progress", "search"]

_STARTS = 4
"""NNI gives its server and a tuner some seconds to start: a busy machine may need another try."""


class Progress:
    """Prints each trial as it ends, with the time that all those left will take.

    Args:
        total: Trials to run, of all searches.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._started = time.monotonic()

    def __call__(self, label: str, trial: Trial) -> None:
        """Takes note of a trial that ended."""
        self._done += 1
        minutes = (time.monotonic() - self._started) / 60
        left = minutes / self._done * (self._total - self._done)
        print(
            f"[{self._done}/{self._total}, about {left:.0f} min left] "
            f"{label} {trial.number}: {_line(trial)}",
            flush=True,
        )


def _line(trial: Trial) -> str:
    result, suggestion = trial.result, trial.suggestion
    assert result is not None
    measured = f"measured {result.value:.3f}" if result.value is not None else result.reason
    predicted = "" if suggestion.mean is None else f"predicted {suggestion.mean:.3f}, "
    return f"{suggestion.source}, {predicted}{measured}, {result.seconds or 0:.0f} s"


def search(
    setting: Setting,
    data: Path,
    tuner: dict[str, Any],
    store: ExperienceStore,
    trials: int,
    progress: Progress,
    label: str,
) -> History:
    """Runs one search to its end.

    Args:
        setting: How trials are trained.
        data: The data set's file; its stem names the task.
        tuner: MetaTuner's arguments for this search.
        store: Where the results go.
        trials: How many trials.
        progress: Told of each trial that ends.
        label: What to call the search.

    Returns:
        What the store then holds of it.

    Raises:
        SystemExit: NNI ended with an error, or no trial has a value; says why.
        RuntimeError: NNI did not start in several tries.
    """
    arguments = {**tuner, "store": store.name}
    folder = setting.output / "nni" / label.replace(" ", "_").replace(",", "")
    for tries_left in reversed(range(_STARTS)):
        try:
            with Experiment(setting.config(data, arguments, trials), folder) as experiment:
                print(f"{label}: {trials} trials; dashboard: {experiment.address}", flush=True)
                history = experiment.watch(store, partial(progress, label))
            break
        except RuntimeError as error:
            if tries_left == 0 or "did not start" not in str(error):
                raise
            print(f"{label}: NNI did not start in time", flush=True)
    if not history.completed:
        reasons = [trial.result.reason for trial in history.failed if trial.result]
        raise SystemExit(f"{label}: no trial has a value; {reasons[:1]}")
    return history

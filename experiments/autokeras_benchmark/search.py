"""One search in a process of its own: `run.py` starts it, and reads the record that it writes.

python -m experiments.autokeras_benchmark.search JOB.json RECORD.json
"""

from __future__ import annotations

import ctypes
import datetime
import importlib.metadata
import json
import os
import platform
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from experiments.autokeras_benchmark.arms import ARMS, OutOfTime, limited, make_project
from experiments.autokeras_benchmark.problem import EPOCHS, Rows, kind_of, load_rows
from meta_nni.adapters.autokeras_trial import TrialRecord
from meta_nni.policy import refresh

__all__ = ["accuracy", "main", "search"]

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_PACKAGES = ("autokeras", "keras-tuner", "keras", "tensorflow", "numpy", "scipy")


def main(arguments: list[str]) -> None:
    """Reads a job, searches, and writes the record in one go."""
    job, output = json.loads(Path(arguments[0]).read_text("utf-8")), Path(arguments[1])
    record = search(job)
    partial = output.with_suffix(".part")
    partial.write_text(json.dumps(record, allow_nan=False), encoding="utf-8")
    partial.rename(output)


def search(job: Mapping[str, Any]) -> dict[str, Any]:
    """Searches, fits the best again, and measures it on the test rows.

    Args:
        job: "arm", "task", "seed", "trials", "samples" (None is all), "epochs_factor",
            "seconds" per trial, "data" (a folder), "store" (a file to start from, or None).

    Returns:
        The record, see README.md.
    """
    kind, arm = kind_of(job["task"]), ARMS[job["arm"]]
    rows = load_rows(Path(job["data"]), job["task"], job["seed"], job["samples"])
    epochs = EPOCHS[kind] * job["epochs_factor"]
    keras.utils.set_random_seed(job["seed"])
    began = time.process_time()
    with tempfile.TemporaryDirectory(prefix="autokeras-benchmark-") as folder:
        store = _store(job["store"] if arm.warm else None, Path(folder))
        limit, seed = job["seconds"], job["seed"]
        project = make_project(
            arm, kind, job["task"], store, Path(folder), seed, job["trials"], limit
        )
        asked = _timed(project.tuner.oracle)
        total = limit * job["trials"] if job["arm"] == "stock" else None
        test, error = _outcome(project, rows, epochs, total)
        trials = _trials(project.tuner)
    return {
        "table": kind,
        **{name: job[name] for name in ("arm", "task", "seed", "trials")},
        "measured": trials,
        "test_accuracy": test,
        "error": error,
        "asked_seconds": [round(seconds, 3) for seconds in asked],
        "cpu_seconds": round(time.process_time() - began, 2),
        "rows": [len(rows.y), len(rows.y_test)],
        "epochs": epochs,
        "seconds_per_trial": limit,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
        "date": datetime.date.today().isoformat(),
        "versions": {name: importlib.metadata.version(name) for name in _PACKAGES},
    }


def _store(source: str | None, folder: Path) -> Path:
    """A store of this search alone: a copy of what is known, its network included."""
    store = folder / "store.db"
    if source is not None:
        shutil.copy(source, store)
        networks = Path(f"{source}.checkpoints")
        if networks.exists():
            shutil.copytree(networks, f"{store}.checkpoints")
    return store


def _timed(oracle: Any) -> list[float]:
    """Has an oracle's proposals timed; returns the list that fills, in processor seconds."""
    seconds: list[float] = []
    populate = oracle.populate_space

    def timed(trial_id: str) -> Any:
        began = time.process_time()
        try:
            return populate(trial_id)
        finally:
            seconds.append(time.process_time() - began)

    oracle.populate_space = timed
    return seconds


def _outcome(
    project: Any, rows: Rows, epochs: int, total: float | None
) -> tuple[float | None, str | None]:
    """Searches; returns the final model's accuracy on the test rows, or what went wrong."""
    try:
        with limited(total):
            project.fit(rows.x, rows.y, epochs=epochs, validation_split=0.2, verbose=0)
        predicted = project.predict(rows.x_test, verbose=0)  # by what was saved
    except OutOfTime:
        return None, f"not done after {total:g} processor seconds"
    except Exception as error:  # a search without a model is a result
        return None, f"{type(error).__name__}: {error}"[:500]
    return accuracy(predicted, rows.y_test), None


def accuracy(predicted: Any, y: Any) -> float:
    """Share of labels that were predicted.

    Args:
        predicted: As AutoKeras predicts labels that are numbers: texts of them, or floats where
            there are two classes, [T, 1].
        y: The labels, numbers, [T].
    """
    return float(np.mean(np.asarray(predicted).reshape(-1).astype(np.float64) == y))


def _trials(tuner: Any) -> list[dict[str, Any]]:
    """What each trial gave, in order."""
    return [_trial(tuner, trial) for _, trial in sorted(tuner.oracle.trials.items())]


def _trial(tuner: Any, trial: Any) -> dict[str, Any]:
    record = TrialRecord.read(tuner.get_trial_dir(trial.trial_id))
    done = trial.status == "COMPLETED"
    message = (trial.message or trial.status).strip().splitlines()[-1][:300]
    return {
        "value": float(trial.score) if done else None,
        "reason": None if done else record.reason or message,
        "seconds": round(record.seconds, 2),
        "epochs": len(record.curve),
        "values": dict(trial.hyperparameters.values),
    }


if __name__ == "__main__":
    # The network may take its time: whether it is ready must not depend on other work.
    refresh.MAX_SECONDS = float("inf")
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # nobody else reads the record
    main(sys.argv[1:])

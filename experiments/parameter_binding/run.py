"""How many trials run another config than NNI's page shows, with `meta-nni launch` and stock?

    python -m experiments.parameter_binding.run

Trivial trials, four at once, that report what they really ran. Each is compared with its
row on NNI's page, and with the store: the value of a trial is its config's `x`.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from experiments.experiment import ENDED, Experiment, free_port
from meta_nni.store import ExperienceStore

__all__ = ["LaunchedExperiment", "measure", "swapped"]

HERE = Path(__file__).parent
FIRST_PORT = 18500
SPACE = {"x": {"_type": "randint", "_value": [0, 1_000_000]}}


class LaunchedExperiment(Experiment):
    """The same, started by `meta-nni launch`."""

    def _nnictl(self, verb: str, *arguments: str) -> str:
        if verb not in ("create", "resume"):
            return super()._nnictl(verb, *arguments)
        arguments = arguments[1:] if verb == "create" else ("--resume", *arguments)
        command = [sys.executable, "-m", "meta_nni.cli", "launch", *arguments]
        done = subprocess.run(
            command, env=self._env, capture_output=True, text=True, timeout=120, check=False
        )
        return done.stdout + done.stderr


ARMS: dict[str, type[Experiment]] = {"meta-nni launch": LaunchedExperiment, "nnictl": Experiment}


def main() -> int:
    """Measures both arms and writes results.csv and rows.csv; fails if launch swapped any."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=200, help="of each arm")
    parser.add_argument("--concurrency", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1, help="of the configs")
    options = parser.parse_args()
    results, rows = [], []
    for arm, kind in ARMS.items():
        started = time.monotonic()
        trials = measure(kind, options.trials, options.concurrency, options.seed)
        rows += [{"arm": arm, **trial} for trial in trials]
        wrong = sum(trial["stored"] != trial["ran"] for trial in trials)
        results.append(
            {
                "arm": arm,
                "concurrency": options.concurrency,
                "seed": options.seed,
                "trials": len(trials),
                "swapped": swapped(trials),
                "wrong_in_store": wrong,
                "minutes": round((time.monotonic() - started) / 60, 1),
            }
        )
        print(json.dumps(results[-1]), flush=True)
        write(HERE / "results.csv", results)
        write(HERE / "rows.csv", rows)
    return int(any(row["wrong_in_store"] for row in results) or results[0]["swapped"] > 0)


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    """Writes rows of equal keys as CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def measure(
    kind: type[Experiment], trials: int, concurrency: int, seed: int
) -> list[dict[str, Any]]:
    """Runs one experiment.

    Returns:
        A row per trial: its job's id and the `x` that NNI's page shows, that it ran, and
        that the store has with its value.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = folder / "experience.db"
        arguments = {
            "store": str(store),
            "seed": seed,
            "controller": "random",
            "knowledge": "none",
            "task": "binding",
        }
        config = {
            "searchSpace": SPACE,
            "trialCommand": f"{sys.executable} trial.py",
            "trialCodeDirectory": str(HERE),
            "trialConcurrency": concurrency,
            "maxTrialNumber": trials,
            "tuner": {
                "className": "meta_nni.MetaTuner",
                "codeDirectory": ".",
                "classArgs": arguments,
            },
            "trainingService": {"platform": "local"},
        }
        with kind(config, folder, free_port(FIRST_PORT)) as experiment:
            while (state := experiment.status())["status"] not in ENDED:
                time.sleep(1)
            if state["status"] != "DONE":
                raise RuntimeError(f"the experiment ended as {state}:\n{experiment.log()}")
            return compare(experiment, store)


def compare(experiment: Experiment, store: Path) -> list[dict[str, Any]]:
    """Compares NNI's page, what the trials ran, and the store."""
    with urllib.request.urlopen(
        f"{experiment.address}/api/v1/nni/trial-jobs", timeout=20
    ) as answer:
        jobs = json.load(answer)
    opened = ExperienceStore.open(store)
    history = opened.history(f"nni-{experiment.id}")
    opened.close()
    stored = {trial.config["x"]: trial.value for trial in history.trials}
    rows = []
    for job in jobs:
        shown = json.loads(job["hyperParameters"][0])["parameters"]["x"]
        ran = json.loads(json.loads(job["finalMetricData"][0]["data"]))["config"]["x"]
        rows.append({"job": job["trialJobId"], "shown": shown, "ran": ran, "stored": stored[ran]})
    return rows


def swapped(rows: Iterable[dict[str, Any]]) -> int:
    """How many trials ran another config than NNI's page shows."""
    return sum(row["shown"] != row["ran"] for row in rows)


if __name__ == "__main__":
    sys.exit(main())

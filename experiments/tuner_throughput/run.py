"""How many trials a minute does NNI finish with MetaTuner, and with its own Random tuner?

    python -m experiments.tuner_throughput.run

Trivial trials, two at once, so that starting them is all that takes time. The two tuners
take turns within one run, since a shared machine is not equally fast all the time.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from experiments.experiment import ENDED, Experiment

HERE = Path(__file__).parent
SPACE = {
    "x": {"_type": "uniform", "_value": [0.0, 8.0]},
    "branch": {"_type": "choice", "_value": ["a", "b", "c"]},
}


def main() -> None:
    """Runs the experiments, prints trials per minute and writes results.csv."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=15, help="of one tuner in one round")
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    rows = []
    for number in range(1, options.rounds + 1):
        for name in ("Random", "MetaTuner"):
            found = measure(name, options.trials)
            rows.append((number, name, options.trials, f"{found:.1f}"))
            print(f"round {number}: {name:9} {found:5.1f} trials per minute", flush=True)
    with (HERE / "results.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("round", "tuner", "trials", "trials_per_minute"))
        writer.writerows(rows)
    for name in ("Random", "MetaTuner"):
        rates = [float(rate) for _, tuner, _, rate in rows if tuner == name]
        print(f"{name:9} {sum(rates) / len(rates):5.1f} trials per minute, mean")


def measure(tuner: str, trials: int) -> float:
    """Runs one experiment; returns trials per minute from the first start to the last end."""
    with tempfile.TemporaryDirectory() as folder:
        config = {
            "searchSpace": SPACE,
            "trialCommand": f"{sys.executable} trial.py",
            "trialCodeDirectory": str(HERE),
            "trialConcurrency": 2,
            "maxTrialNumber": trials,
            "tuner": tuner_config(tuner, Path(folder)),
            "trainingService": {"platform": "local"},
        }
        with Experiment(config, Path(folder)) as experiment:
            while (state := experiment.status())["status"] not in ENDED:
                time.sleep(1)
            if state["status"] != "DONE":
                raise RuntimeError(f"{tuner} ended as {state}:\n{experiment.log()}")
            return rate(experiment)


def tuner_config(name: str, folder: Path) -> dict[str, Any]:
    """The tuner's part of an experiment's config; MetaTuner starts with an empty store."""
    if name == "Random":
        return {"name": "Random", "classArgs": {"seed": 1}}
    arguments = {"store": str(folder / "experience.db"), "seed": 1, "task": "throughput"}
    return {"className": "meta_nni.MetaTuner", "codeDirectory": ".", "classArgs": arguments}


def rate(experiment: Experiment) -> float:
    """Trials per minute by NNI's own clock."""
    with urllib.request.urlopen(
        f"{experiment.address}/api/v1/nni/trial-jobs", timeout=20
    ) as answer:
        jobs = json.load(answer)
    failed = [job["status"] for job in jobs if job["status"] != "SUCCEEDED"]
    if failed:
        raise RuntimeError(f"{len(failed)} trials did not succeed: {failed}")
    seconds = max(job["endTime"] for job in jobs) - min(job["startTime"] for job in jobs)
    return 60.0 * len(jobs) / (seconds / 1000.0)


if __name__ == "__main__":
    main()

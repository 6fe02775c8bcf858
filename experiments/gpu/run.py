"""Runs the GPU experiment under real nnictl and says where its trials ran.

    python -m experiments.gpu.run

Writes `results.json`: each trial's value, seconds and number of GPUs, and what
`nvidia-smi` showed meanwhile. Fails where a completed trial saw no GPU.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from experiments.experiment import Experiment, load_config
from meta_nni.store import ExperienceStore
from meta_nni.trial import Trial

HERE = Path(__file__).parent
_QUERY = "name,utilization.gpu,memory.used"


def main() -> int:
    """Runs the experiment; returns the exit code."""
    if shutil.which("nvidia-smi") is None:
        raise SystemExit("nvidia-smi is not there: this experiment needs a machine with a GPU")
    with tempfile.TemporaryDirectory() as folder:
        found = run(Path(folder))
    (HERE / "results.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=1))
    gpus = [trial["gpus"] for trial in found["trials"] if trial["value"] is not None]
    return 0 if gpus and all(gpus) else 1


def run(folder: Path) -> dict[str, Any]:
    """Runs it with a store of its own; returns what `results.json` holds."""
    config = load_config(HERE / "config.yml")
    config["tuner"]["classArgs"] |= {"store": str(folder / "store.db"), "seed": 0}
    seen: list[dict[str, Any]] = []

    def on_trial(trial: Trial) -> None:
        seen.append(_row(trial))
        print(seen[-1], flush=True)

    started = time.monotonic()
    monitor = subprocess.Popen(
        ["nvidia-smi", f"--query-gpu={_QUERY}", "--format=csv,noheader,nounits", "-l", "1"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        with Experiment(config, folder) as experiment:
            experiment.watch(ExperienceStore.open(str(folder / "store.db")), on_trial)
    finally:
        monitor.terminate()
    lines = [line.split(", ") for line in monitor.communicate()[0].splitlines()]
    return {
        "gpu": lines[0][0],
        "python": sys.version.split()[0],
        "seconds": round(time.monotonic() - started, 1),
        "most_utilization_percent": max(int(line[1]) for line in lines),
        "most_memory_mib": max(int(line[2]) for line in lines),
        "trials": sorted(seen, key=lambda row: int(row["trial"])),
    }


def _row(trial: Trial) -> dict[str, Any]:
    result = trial.result
    assert result is not None
    return {
        "trial": trial.number,
        "value": trial.value,
        "seconds": None if result.seconds is None else round(result.seconds, 1),
        "gpus": (result.metrics or {}).get("gpus"),
        "reason": result.reason,
    }


if __name__ == "__main__":
    raise SystemExit(main())

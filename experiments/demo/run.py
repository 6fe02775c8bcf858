"""make demo: a search on one data set, and a search on the next that starts better for it.

Two experiments under real nnictl, one after the other, with one store: digits, then
Fashion-MNIST. A third one starts cold on Fashion-MNIST with the same seed, for three
trials, to compare with.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from experiments.demo.table import comparison, trials_table
from experiments.experiment import Experiment, load_config
from meta_nni.store import ExperienceStore
from meta_nni.trial import History, Trial

HERE = Path(__file__).parent
OUTPUT = HERE / "output"
_NUM_COMPARED = 3


def main() -> int:
    """Runs the demo; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=10, help="of each of the two experiments")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _interrupt)
    shutil.rmtree(OUTPUT, ignore_errors=True)
    started = time.monotonic()
    memory = OUTPUT / "experience.db"
    digits = search("digits", options.trials, options.seed, memory)
    warm = search("fashion_mnist", options.trials, options.seed, memory)
    cold = search("fashion_mnist", _NUM_COMPARED, options.seed, OUTPUT / "cold.db", cold=True)
    minutes = (time.monotonic() - started) / 60
    parts = [
        trials_table("1. digits, nothing known", digits),
        trials_table("2. fashion_mnist, after digits", warm),
        comparison(warm, cold, _NUM_COMPARED),
        f"{minutes:.1f} minutes. The experience is in {memory.relative_to(Path.cwd())}:",
        f"  meta-nni experience list --store {memory.relative_to(Path.cwd())}",
    ]
    text = "\n\n".join(parts[:3]) + "\n\n" + "\n".join(parts[3:])
    (OUTPUT / "result.txt").write_text(text + "\n", encoding="utf-8")
    print(f"\n{text}")
    return 0


def search(name: str, trials: int, seed: int, memory: Path, cold: bool = False) -> History:
    """Runs one experiment to its end and returns what the store then holds of it."""
    config = load_config(HERE.parent / name / "config.yml")
    config["maxTrialNumber"] = trials
    config["tuner"]["classArgs"] |= {"store": str(memory.resolve()), "seed": seed}
    if cold:
        config["tuner"]["classArgs"]["knowledge"] = "none"
    label = f"{name}, cold" if cold else name
    print(f"\n{label}: {trials} trials, two at once", flush=True)
    folder = OUTPUT / (f"{name}_cold" if cold else name)
    with Experiment(config, folder) as experiment:
        print(f"  dashboard while it runs: {experiment.address}", flush=True)
        numbers = itertools.count(1)

        def show(trial: Trial) -> None:
            print(f"  {label} {next(numbers):2}: {_line(trial)}", flush=True)

        return experiment.watch(ExperienceStore.open(memory), show)


def _line(trial: Trial) -> str:
    result, suggestion = trial.result, trial.suggestion
    assert result is not None
    measured = f"measured {result.value:.3f}" if result.value is not None else result.reason
    predicted = "" if suggestion.mean is None else f"predicted {suggestion.mean:.3f}, "
    return f"{suggestion.source}, {predicted}{measured}, {result.seconds or 0:.0f} s"


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\ninterrupted; the experiment was stopped", file=sys.stderr)
        sys.exit(130)

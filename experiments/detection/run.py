"""Searches a detector of playing cards without NNI's server; stopped, it goes on.

    python -m experiments.detection.run --store FILE.db [--trials 20] [--seed 1]

Trials, tuner and settings are those of `config.yml`, one after the other in this process.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from experiments.detection.trial import cards, evaluator
from meta_nni import ExperienceStore, Run, Search, SearchSpace, Task, compute_metafeatures
from meta_nni.controllers import make
from meta_nni.data import load_data
from meta_nni.trial import History

__all__ = ["HERE", "main", "open_run", "search"]

HERE = Path(__file__).parent
_SPACE = HERE.parents[1] / "search_spaces" / "detection.json"


def main(arguments: Sequence[str] | None = None) -> None:
    """Searches until the run has its trials."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--store", type=Path, required=True, help="results; goes on where it ended")
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    store = ExperienceStore.open(options.store)
    search(store, open_run(options.seed), options.trials, options.seed)


def open_run(seed: int) -> Run:
    """The run of a seed, with the metafeatures of the training rows."""
    features = compute_metafeatures(load_data(cards(HERE)), np.random.default_rng(0))
    space = SearchSpace.from_nni(json.loads(_SPACE.read_text(encoding="utf-8")))
    task = Task("playing_cards", "maximize", features)
    name = f"detection-{seed}"
    return Run(name, task, space, metric="val_map_50", recipe="detection-60-epochs-v1")


def search(store: ExperienceStore, run: Run, trials: int, seed: int) -> History:
    """Runs trials until there are as many as wanted, and returns all."""
    found = Search.open(store, run, make("meta"), seed=seed)
    measure = evaluator(cards(HERE))
    session = len(found.history.trials)
    while sum(trial.result is not None for trial in found.history.trials) < trials:
        session += 1
        host_id = f"{run.run_id}-{session}"
        suggestion = found.ask([host_id])[0]
        result = measure(suggestion.config)
        found.tell(host_id, result)
        value = result.reason if result.value is None else f"mAP@0.5 {result.value:.3f}"
        print(f"{session:3} {suggestion.source}: {value}, {result.seconds:.0f} s", flush=True)
    found.close()
    return store.history(run.run_id)


if __name__ == "__main__":
    main()

"""How long does the tuner take to decide?

Asks MetaTuner, driven through NNI's own methods, for configs of the small CNN space while
10, 200 and 500 trials of the run are finished, with an empty store and with one that holds
2,000 and 20,000 trials of other tasks. Values are synthetic: only time is measured.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from meta_nni import ExperienceStore, History, MetaTuner, Result, Run, SearchSpace, Task, Trial
from meta_nni.trial import Suggestion

ROOT = Path(__file__).parents[2]
SPACE = json.loads((ROOT / "search_spaces/cnn_small.json").read_text())
_TRIALS_PER_RUN = 100
_MILESTONES = (10, 200, 500)


def main() -> None:
    """Measures and prints one row per store size and number of finished trials."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stored", type=int, nargs="*", default=[0, 2000, 20000])
    parser.add_argument("--asks", type=int, default=30, help="measured at each milestone")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(f"{platform.machine()}, Python {platform.python_version()}, seed {options.seed}")
    print("stored  finished  first ask s  median ms  p95 ms")
    for stored in options.stored:
        with tempfile.TemporaryDirectory() as folder:
            for row in measure(Path(folder) / "store.db", stored, options.asks, options.seed):
                print("{:6}  {:8}  {:11.2f}  {:9.0f}  {:6.0f}".format(stored, *row), flush=True)


def measure(
    store: Path, stored: int, asks: int, seed: int
) -> list[tuple[int, float, float, float]]:
    """Returns finished trials, seconds of the first ask, median and p95 in milliseconds."""
    rng = np.random.default_rng(seed)
    fill(ExperienceStore.open(store), stored, rng)
    tuner = MetaTuner(store=str(store), knowledge="none", task="target", seed=seed)
    tuner.update_search_space(SPACE)
    started = time.perf_counter()
    answer(tuner, 0, rng)
    first = time.perf_counter() - started
    rows, finished = [], 1
    for milestone in _MILESTONES:
        while finished < milestone:
            finished += answer_many(tuner, finished, milestone, rng)
        times = []
        for _ in range(asks):
            started = time.perf_counter()
            config = tuner.generate_parameters(finished)
            times.append(1000 * (time.perf_counter() - started))
            tuner.receive_trial_result(finished, config, value(config, rng))
            finished += 1
        rows.append((milestone, first, float(np.median(times)), float(np.quantile(times, 0.95))))
    return rows


def answer(tuner: MetaTuner, number: int, rng: np.random.Generator) -> None:
    """Asks for one config and tells its value."""
    config = tuner.generate_parameters(number)
    tuner.receive_trial_result(number, config, value(config, rng))


def answer_many(tuner: MetaTuner, first: int, end: int, rng: np.random.Generator) -> int:
    """Takes over random results, which is faster than asking, up to `end` finished ones."""
    space = SearchSpace.from_nni(SPACE)
    configs = [space.sample(rng) for _ in range(end - first)]
    entries = [{"parameter": config, "value": value(config, rng)} for config in configs]
    tuner.import_data(entries)
    return end - first


def value(config: dict[str, Any], rng: np.random.Generator) -> dict[str, float]:
    """A synthetic accuracy: best at a learning rate of 0.003, better for more filters."""
    distance = abs(np.log10(config["learning_rate"]) + 2.5)
    score = 0.9 - 0.2 * distance + 0.003 * config["filters"] + 0.01 * rng.standard_normal()
    return {"default": float(score), "seconds": 5.0 + 0.1 * config["filters"]}


def fill(store: ExperienceStore, stored: int, rng: np.random.Generator) -> None:
    """Writes `stored` finished trials of other tasks."""
    space = SearchSpace.from_nni(SPACE)
    for number in range(stored // _TRIALS_PER_RUN):
        run = Run(f"source-{number}", Task(f"source-{number}", "maximize", {}), space)
        store.add_run(run)
        trials = [_trial(i, space.sample(rng), rng) for i in range(_TRIALS_PER_RUN)]
        store.add_trials(run.run_id, History(run, tuple(trials)).trials)


def _trial(number: int, config: dict[str, Any], rng: np.random.Generator) -> Trial:
    measured = value(config, rng)
    result = Result(measured["default"], seconds=measured["seconds"])
    return Trial(str(number), number, Suggestion(config, "random")).with_result(result)


if __name__ == "__main__":
    main()

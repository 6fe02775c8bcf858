"""Does a long run stay as fast and as small as it began?

One search with MetaController and a SQLite store, asked for and told 2,000 trials of a
synthetic task, one after another, with experience of other tasks to learn from. Resident
memory and the time of an ask are measured: seconds of the processor besides those of the
clock, which other work on the machine prolongs. Nothing of a host is involved.
"""

from __future__ import annotations

import argparse
import csv
import gc
import json
import platform
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from meta_nni import ExperienceStore, Result, Run, Search, SearchSpace, Suggestion, Task, Trial
from meta_nni.controllers import make

ROOT = Path(__file__).parents[2]
SPACE = SearchSpace.from_nni(json.loads((ROOT / "search_spaces/cnn_small.json").read_text()))
_COLUMNS = (
    "trials",
    "rss_mib",
    "objects",
    "ask_cpu_ms_median",
    "ask_cpu_ms_p95",
    "ask_ms_median",
    "tell_ms_median",
)
_SOURCES, _ROWS = 5, 100
_FAILS = 20  # one of so many


def main() -> None:
    """Prints a row for every so many trials."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=2_000)
    parser.add_argument("--every", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--store", help="path or URL of an empty store; default: a temporary file")
    parser.add_argument("--out", type=Path, help="CSV file for the figures, such as results.csv")
    options = parser.parse_args()
    print(f"{platform.machine()}, Python {platform.python_version()}, seed {options.seed}")
    print("  ".join(f"{name:>17}" for name in _COLUMNS))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        store = ExperienceStore.open(options.store or f"{folder}/store.db")
        for row in soak(store, options.trials, options.every, options.seed):
            rows.append(row)
            print("  ".join(f"{value:>17}" for value in row), flush=True)
        store.close()
    if options.out:
        with options.out.open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([_COLUMNS, *rows])


def soak(store: ExperienceStore, trials: int, every: int, seed: int) -> Any:
    """Yields the figures of each `every` trials."""
    rng = np.random.default_rng(seed)
    for number in range(_SOURCES):
        _add_source(store, f"source-{number}", rng)
    run = Run("soak", Task("soak", "maximize", {"n_train": 5_000.0}), SPACE)
    search = Search.open(store, run, make("meta"), seed=seed, knowledge="none")
    worked, asks, tells = [], [], []
    for number in range(trials):
        cpu, began = time.process_time(), time.perf_counter()
        (suggestion,) = search.ask([str(number)])
        asked = time.perf_counter()
        worked.append(1000 * (time.process_time() - cpu))
        search.tell(str(number), measured(suggestion.config, rng))
        asks.append(1000 * (asked - began))
        tells.append(1000 * (time.perf_counter() - asked))
        if len(asks) == every:
            gc.collect()
            cpu_times = (np.median(worked), np.quantile(worked, 0.95))
            times = (*cpu_times, np.median(asks), np.median(tells))
            memory = (round(_resident(), 1), len(gc.get_objects()))
            yield number + 1, *memory, *(round(float(each), 1) for each in times)
            worked, asks, tells = [], [], []
    search.close()


def _add_source(store: ExperienceStore, name: str, rng: np.random.Generator) -> None:
    store.add_run(Run(name, Task(name, "maximize", {"n_train": 1_000.0}), SPACE))
    trials = []
    for number in range(_ROWS):
        suggestion = Suggestion(SPACE.sample(rng), "random")
        result = measured(suggestion.config, rng)
        trials.append(Trial(str(number), number, suggestion).with_result(result))
    store.add_trials(name, trials)


def measured(config: dict[str, Any], rng: np.random.Generator) -> Result:
    """A synthetic accuracy with noise: best at a learning rate of 0.003; some trials fail."""
    if rng.integers(_FAILS) == 0:
        return Result.failed("out of memory", 2.0)
    distance = abs(np.log10(config["learning_rate"]) + 2.5)
    value = 0.9 - 0.2 * distance + 0.003 * config["filters"] + 0.01 * rng.standard_normal()
    curve = [float(value) * epoch / 10 for epoch in range(1, 11)]
    seconds = 5.0 + 0.1 * config["filters"]
    return Result(
        float(value), None, seconds, curve, {"loss": 1.0 - float(value)}, {"epochs": 10.0}
    )


def _resident() -> float:
    """Memory that this process holds, MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


if __name__ == "__main__":
    main()

"""What does MetaAutoTuner cost besides training, and how long do metafeatures take?

    python -m experiments.autokeras_overhead.run --data DIR

Real AutoKeras projects with the shipped knowledge and an empty store. Only the training of
candidates is left out: a trial takes no time and gives a number drawn at random. Writes
results.csv; the processor's seconds are those of the work, whatever else the machine does.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import autokeras
import numpy as np

from meta_nni import compute_metafeatures
from meta_nni.adapters.autokeras_tuner import MetaAutoTuner
from meta_nni.data import Dataset, load_data

__all__ = ["Stopwatch", "main", "metafeatures", "search"]

HERE = Path(__file__).parent
PROJECTS = {
    "image": (autokeras.ImageClassifier, "fashion_mnist"),
    "text": (autokeras.TextClassifier, "snips_intents"),
    "tabular": (autokeras.StructuredDataClassifier, "adult"),
}
_ROWS = 2_000
_TIMES = [f"{of} {how}" for of in ("clock", "processor") for how in ("median", "p95", "most")]
_COLUMNS = ("what", "number", *_TIMES, "load")


@dataclass
class Stopwatch:
    """Seconds of calls: on the clock, and of the processor.

    Attributes:
        clock: Of each call.
        processor: Of each call, all threads.
    """

    clock: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)

    def timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Returns the function with its calls timed."""

        def call(*args: Any, **kwargs: Any) -> Any:
            began = time.perf_counter(), time.process_time()
            try:
                return function(*args, **kwargs)
            finally:
                self.clock.append(time.perf_counter() - began[0])
                self.processor.append(time.process_time() - began[1])

        return call

    def row(self, what: str) -> dict[str, Any]:
        """One row of the table."""
        numbers = [f(of) for of in (self.clock, self.processor) for f in (np.median, _p95, max)]
        cells = [f"{number:.3f}" for number in numbers]
        load = f"{os.getloadavg()[0]:.1f}"
        return dict(zip(_COLUMNS, [what, len(self.clock), *cells, load], strict=True))


def _p95(seconds: Sequence[float]) -> float:
    return float(np.quantile(seconds, 0.95))


class _Done(BaseException):
    """The trials are over; nothing is left to be measured."""


class _Untrained(MetaAutoTuner):
    """MetaAutoTuner whose trials take no time."""

    _numbers = np.random.default_rng(0)

    def _run_and_update_trial(self, trial: Any, *args: Any, **kwargs: Any) -> None:
        value = {self.oracle.objective.name: float(self._numbers.random())}
        self.oracle.update_trial(trial.trial_id, value)

    def final_fit(self, **kwargs: Any) -> Any:
        raise _Done


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--kinds", nargs="+", choices=list(PROJECTS), default=list(PROJECTS))
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=HERE / "results.csv")
    options = parser.parse_args(arguments)
    rows = [metafeatures(options.seed)]
    for kind in options.kinds:
        rows += search(kind, options.data, options.trials, options.seed)
    with options.output.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, _COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    for row in rows:
        print(*row.values(), sep="  ")


def metafeatures(seed: int, count: int = 10_000) -> dict[str, Any]:
    """Computes the metafeatures of images of 32 x 32 x 3, without a limit of seconds."""
    rng = np.random.default_rng(seed)
    y = rng.integers(10, size=count)
    x = rng.integers(0, 200, (count, 32, 32, 3)) + 5 * y[:, None, None, None]
    data, watch = Dataset.from_arrays(x.astype(np.uint8), y), Stopwatch()
    watch.timed(compute_metafeatures)(data, rng, float("inf"))
    return watch.row(f"metafeatures of {count} images of 32 x 32 x 3")


def search(kind: str, data: Path, trials: int, seed: int) -> Iterator[dict[str, Any]]:
    """Runs a project of one kind of data; yields a row for each part of the work."""
    make, name = PROJECTS[kind]
    dataset = load_data({"npz": str(data / kind / f"{name}.npz")})
    parts = {part: Stopwatch() for part in ("explore", "run", "propose", "record")}
    with tempfile.TemporaryDirectory(prefix="autokeras-overhead-") as folder:
        project = make(
            tuner=_Untrained,
            max_trials=trials,
            directory=folder,
            seed=seed,
            store=Path(folder) / "store.db",
        )
        tuner = project.tuner
        tuner._explore = parts["explore"].timed(tuner._explore)
        tuner._run = parts["run"].timed(tuner._run)
        tuner.oracle.populate_space = parts["propose"].timed(tuner.oracle.populate_space)
        tuner.oracle.end_trial = parts["record"].timed(tuner.oracle.end_trial)
        with contextlib.suppress(_Done):
            project.fit(dataset.x[:_ROWS], dataset.y[:_ROWS], epochs=1, verbose=0)
    proposed = parts["propose"]
    first = Stopwatch(proposed.clock[:1], proposed.processor[:1])
    later = Stopwatch(proposed.clock[1:trials], proposed.processor[1:trials])
    yield parts["explore"].row(f"{kind}: finding the space")
    yield parts["run"].row(f"{kind}: metafeatures of {min(_ROWS, len(dataset.y))} rows")
    yield first.row(f"{kind}: first proposal, learning included")
    yield later.row(f"{kind}: each further proposal")
    yield parts["record"].row(f"{kind}: recording a trial")


if __name__ == "__main__":
    main()

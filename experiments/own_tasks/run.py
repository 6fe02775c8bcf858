"""From a folder of data sets to architectures for one that was never seen.

    python -m experiments.own_tasks.run --data FOLDER --space search_spaces/cnn_small.json \
        --leave-out NAME

1. measures architectures on every other data set, through NNI;
2. trains the controller on what was measured (`meta-nni train`);
3. proposes for the data set that was left out, runs these trials and explains them.

It can be stopped at any time and started again: what is measured is not measured again.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from experiments.own_tasks.search import Progress, search
from experiments.own_tasks.setting import HERE, Setting, ended, runs_of, store_without
from experiments.own_tasks.table import trials_table
from meta_nni.cli import main as meta_nni
from meta_nni.store import ExperienceStore
from meta_nni.trial import History

_OTHER_SEEDS = 1000  # the searches of the other tasks draw from this seed on


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the three steps; returns the exit code."""
    options = _parser().parse_args(argv)
    setting = _setting(options)
    left_out, others = _data_sets(options.data, options.leave_out)
    store = ExperienceStore.open(options.store or setting.output / "experience.db")
    todo = [max(0, setting.trials - ended(runs_of(store, setting, o.stem))) for o in others]
    starts = ("without", "cold") if options.cold else ("without",)
    ahead = [start for start in starts if _finished(setting, left_out, start) is None]
    progress = Progress(sum(todo) + setting.trials * len(ahead))
    for number, (data, trials) in enumerate(zip(others, todo, strict=True)):
        _measure(setting, data, store, trials, number, options.measure, progress)
    warm = _propose(setting, left_out, store, options.train_seconds, progress)
    cold = _propose_cold(setting, left_out, progress) if options.cold else None
    count = f"{len(others)} other task{'s' if len(others) > 1 else ''}"
    text = f"{left_out.stem}, after {count}\n\n{trials_table(warm, cold)}"
    (setting.output / f"{left_out.stem}.txt").write_text(f"{text}\n", encoding="utf-8")
    print(f"\n{text}\n")
    path = _path(setting, left_out, "without")
    return meta_nni(["explain", warm.run.run_id, "--store", str(path)])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder of .npz files with x_train and y_train")
    add("--space", type=Path, required=True, help="search space, NNI's JSON")
    add("--leave-out", required=True, metavar="NAME", help="data set to propose for")
    add("--trials", type=int, default=10, help="of each data set (default 10)")
    add("--measure", choices=("random", "meta"), default="random", help="who decides in step 1")
    add("--cold", action="store_true", help="search on the left-out data set without memory, too")
    add("--store", help="path or URL of the measurements; default: in the output folder")
    add("--knowledge", choices=("shipped", "none"), default="shipped")
    add("--model", help="whose configs they are; default: the search space's file name")
    add("--trial", help="your own trial's command instead; --data FILE is appended")
    add("--epochs", type=int, default=5)
    add("--samples", type=int, default=2000, help="most rows of a trial (default 2000)")
    add("--seconds", type=float, default=60.0, help="most seconds of a trial (default 60)")
    add("--train-seconds", type=float, default=60.0, help="most seconds of step 2 (default 60)")
    add("--at-once", type=int, default=2, help="trials at once (default 2)")
    add("--seed", type=int, default=1)
    add("--output", type=Path, default=HERE / "output")
    return parser


def _setting(options: argparse.Namespace) -> Setting:
    if not options.space.is_file():
        raise SystemExit(f"--space is {options.space}: no such file")
    options.output.mkdir(parents=True, exist_ok=True)
    return Setting(
        options.space.resolve(),
        options.trial,
        options.model or options.space.stem,
        options.epochs,
        options.samples,
        options.seconds,
        options.trials,
        options.at_once,
        options.knowledge,
        options.seed,
        options.output.resolve(),
    )


def _data_sets(folder: Path, left_out: str) -> tuple[Path, list[Path]]:
    """Returns the data set to leave out and the others, by name."""
    files = {file.stem: file.resolve() for file in sorted(folder.glob("*.npz"))}
    if left_out not in files or len(files) < 2:
        raise SystemExit(
            f"--data {folder} has the data sets {list(files)}, expected at least two .npz files, "
            f"one of them {left_out}.npz, which --leave-out names"
        )
    return files[left_out], [file for name, file in files.items() if name != left_out]


# 1. Measure


def _measure(
    setting: Setting,
    data: Path,
    store: ExperienceStore,
    trials: int,
    number: int,
    controller: str,
    progress: Progress,
) -> None:
    """Measures so many more architectures on the data set of this number."""
    if trials == 0:
        print(f"{data.stem}: measured before")
        return
    # Each search draws its own configs, also one that goes on where another was stopped.
    again = len(runs_of(store, setting, data.stem))
    seed = _OTHER_SEEDS * (setting.seed + 1) + 100 * again + number
    tuner = {"controller": controller, "seed": seed, "knowledge": setting.knowledge}
    search(setting, data, tuner, store, trials, progress, data.stem)


# 2. and 3. Train and propose


def _propose(
    setting: Setting, data: Path, store: ExperienceStore, seconds: float, progress: Progress
) -> History:
    """Trains on the other tasks' runs and searches on the left-out one."""
    found = _finished(setting, data, "without")
    if found is not None:
        print(f"{data.stem}: searched before")
        return found
    path = _path(setting, data, "without")
    copy = store_without(data.stem, store, path)
    command = [sys.executable, "-m", "meta_nni.cli", "train", "--space", str(setting.space_file)]
    command += ["--store", str(path), "--knowledge", setting.knowledge]
    command += ["--seconds", str(seconds), "--seed", str(setting.seed)]
    if subprocess.run(command, check=False).returncode:
        raise SystemExit("the controller was not trained; see above")
    tuner = {"seed": setting.seed, "knowledge": setting.knowledge}
    return search(setting, data, tuner, copy, setting.trials, progress, data.stem)


def _propose_cold(setting: Setting, data: Path, progress: Progress) -> History:
    """Searches on the left-out task from an empty memory, with the same seed."""
    found = _finished(setting, data, "cold")
    if found is not None:
        return found
    empty = ExperienceStore.open(_path(setting, data, "cold"))
    tuner = {"seed": setting.seed, "knowledge": "none"}
    return search(setting, data, tuner, empty, setting.trials, progress, f"{data.stem}, cold")


def _path(setting: Setting, data: Path, start: str) -> Path:
    """The store of a search on the left-out task: "without" its own runs, or "cold"."""
    return setting.output / f"{start}-{data.stem}.db"


def _finished(setting: Setting, data: Path, start: str) -> History | None:
    """The search on the left-out task that came to its end; an unfinished one is removed.

    What it measured would be known to the next one, which could not be compared.
    """
    path = _path(setting, data, start)
    if not path.exists():
        return None
    store = ExperienceStore.open(path)
    for history in runs_of(store, setting, data.stem):
        if ended([history]) >= setting.trials:
            return store.history(history.run.run_id)
    store.close()
    for ending in ("", "-wal", "-shm"):  # the checkpoint stays
        Path(f"{path}{ending}").unlink(missing_ok=True)
    return None


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\ninterrupted; started again, it goes on from here", file=sys.stderr)
        sys.exit(130)

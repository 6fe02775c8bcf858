"""What all searches of this experiment have in common, and what the store has of them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meta_nni.space import SearchSpace
from meta_nni.store import ExperienceStore
from meta_nni.trial import History

__all__ = ["Setting", "ended", "runs_of", "store_without"]

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Setting:
    """How every trial is trained, and how many are run.

    Attributes:
        space_file: The search space, NNI's JSON.
        trial: Command of a trial, without its data; None for the package's own models.
        model: Which of those, as `KerasEvaluator` names them.
        epochs: Most epochs of a trial.
        samples: Most rows a trial takes.
        seconds: After so long a trial's best epoch so far counts.
        trials: Trials of each data set.
        at_once: Trials that run at the same time.
        knowledge: "shipped" or "none".
        seed: Of the left-out task's search; the others draw from it.
        output: Folder of all that is written.
    """

    space_file: Path
    trial: str | None
    model: str
    epochs: int
    samples: int
    seconds: float
    trials: int
    at_once: int
    knowledge: str
    seed: int
    output: Path

    @property
    def space(self) -> SearchSpace:
        """The search space."""
        return SearchSpace.from_nni(json.loads(self.space_file.read_text(encoding="utf-8")))

    @property
    def recipe(self) -> str:
        """Name of how trials are trained: values of different recipes do not compare."""
        if self.trial is not None:
            return f"own-tasks-v1: {self.trial}"
        return f"own-tasks-v1: {self.model}, {self.epochs} epochs, {self.samples} samples"

    def command(self, data: Path) -> str:
        """The shell command of a trial on a data set."""
        if self.trial is not None:
            return f"{self.trial} --data {shlex.quote(str(data))}"
        own = {
            "data": data,
            "model": self.model,
            "epochs": self.epochs,
            "samples": self.samples,
            "seconds": self.seconds,
        }
        words = [str(word) for name, value in own.items() for word in (f"--{name}", value)]
        return shlex.join(["python", "trial.py", *words])

    def config(self, data: Path, tuner: dict[str, Any], trials: int) -> dict[str, Any]:
        """NNI's experiment config for a search on a data set.

        Args:
            data: The data set's file.
            tuner: MetaTuner's arguments besides those that all searches share.
            trials: How many trials.
        """
        shared = {"task": data.stem, "data": {"npz": str(data)}, "recipe": self.recipe}
        return {
            "experimentName": f"own_tasks {data.stem}",
            "searchSpaceFile": str(self.space_file),
            "trialCommand": self.command(data),
            "trialCodeDirectory": str(HERE / "trial"),
            "trialConcurrency": self.at_once,
            "maxTrialNumber": trials,
            "tuner": {
                "className": "meta_nni.MetaTuner",
                "codeDirectory": ".",
                "classArgs": {**shared, **tuner},
            },
            "trainingService": {"platform": "local"},
        }


def runs_of(store: ExperienceStore, setting: Setting, task: str) -> list[History]:
    """The store's runs of a task that were measured in this setting, oldest first."""
    return [
        history
        for history in store.histories()
        if history.run.task.name == task
        and history.run.recipe == setting.recipe
        and history.run.space == setting.space
    ]


def ended(runs: Sequence[History]) -> int:
    """The number of their trials that have a value or failed."""
    return sum(len(run.completed) + len(run.failed) for run in runs)


def store_without(task: str, store: ExperienceStore, path: Path) -> ExperienceStore:
    """Copies a store without a task's runs: what may be known when that task is left out.

    The copy may hold the task's own runs; they stay. Copying again adds what is new.

    Args:
        task: The task that is left out.
        store: The store of all measurements.
        path: Where the copy is kept, a SQLite file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    copy = ExperienceStore.open(path)
    others = [run.run_id for run in store.runs() if run.task != task]
    file = path.with_suffix(".jsonl.gz")
    store.export(file, others)
    copy.import_(file)
    file.unlink()
    return copy

"""The data sets of each kind of task, and how a config is measured on them."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from experiments.sequence.make_data import NAMES, make
from meta_nni import compute_metafeatures
from meta_nni.data import load_data
from meta_nni.models import KerasEvaluator
from meta_nni.space import SearchSpace
from meta_nni.task import Task
from meta_nni.trial import Config, Result, Run

__all__ = ["KINDS", "TRIALS", "DataSet", "Kind", "of_search"]

TRIALS = 15
_SPACES = Path(__file__).parents[2] / "search_spaces"


@dataclass(frozen=True)
class Kind:
    """A kind of task.

    Attributes:
        space: Name of the search space.
        data_sets: Each is left out in turn.
        training: Settings of `KerasEvaluator`; seconds are those of the processor.
    """

    space: str
    data_sets: tuple[str, ...]
    training: Mapping[str, Any]

    @cached_property
    def searched(self) -> SearchSpace:
        """The search space."""
        text = (_SPACES / f"{self.space}.json").read_text(encoding="utf-8")
        return SearchSpace.from_nni(json.loads(text))

    @cached_property
    def settings(self) -> dict[str, Any]:
        """What measurements are of: those of other settings do not compare."""
        return {"training": dict(self.training), "space": self.searched.fingerprint}


KINDS = {
    "tabular": Kind(
        "mlp",
        ("vehicle", "german_credit", "phoneme", "image_segment"),
        {"samples": 1000, "epochs": 15, "patience": 15, "max_seconds": 20},
    ),
    "text": Kind(
        "text",
        ("snips_intents", "subjectivity", "review_site", "customer_reviews"),
        {"samples": 1000, "epochs": 5, "patience": 5, "max_seconds": 30},
    ),
    "sequence": Kind("sequence", NAMES, {"epochs": 8, "patience": 8, "max_seconds": 30}),
    "detection": Kind(
        "detection",
        ("playing_cards", "raccoon"),
        {"epochs": 30, "patience": 30, "max_seconds": 90},
    ),
}
"""By name. Budgets were set before any search: a trial takes seconds, of detection a minute."""


def of_search(kind: str) -> dict[str, Any]:
    """The settings of a kind's searches: those of its measurements, and how long they are."""
    return {**KINDS[kind].settings, "trials": TRIALS}


@dataclass(frozen=True)
class DataSet:
    """One data set of a kind.

    Attributes:
        kind: Name of the kind.
        name: One of the kind's data sets.
        folder: Holds `<kind>/<name>.npz`, for sequences the spectrograms in `image/`.
        scratch: Where data that has to be made is kept.
    """

    kind: str
    name: str
    folder: Path
    scratch: Path

    @property
    def space(self) -> SearchSpace:
        """The search space."""
        return KINDS[self.kind].searched

    @cached_property
    def _data(self) -> dict[str, str]:
        if self.kind != "sequence":
            return {"npz": str(self.folder / self.kind / f"{self.name}.npz")}
        file = self.scratch / f"{self.name}.npz"
        if not file.exists():
            self.scratch.mkdir(parents=True, exist_ok=True)
            part = file.with_name(f"{self.name}-{os.getpid()}.npz")  # others may read the file
            np.savez_compressed(part, **make(self.name, self.folder / "image"))
            part.replace(file)
        return {"npz": str(file)}

    @cached_property
    def _evaluator(self) -> KerasEvaluator:
        settings = KINDS[self.kind].training
        space = KINDS[self.kind].space
        return KerasEvaluator(space, self._data, clock=time.process_time, **settings)

    @cached_property
    def task(self) -> Task:
        """The task, with the metafeatures of its training rows."""
        features = compute_metafeatures(load_data(self._data), np.random.default_rng(0))
        return Task(self.name, self._evaluator.measured.objective, features)

    def run(self, run_id: str) -> Run:
        """A run on it."""
        metric = self._evaluator.measured.on_validation
        return Run(run_id, self.task, self.space, metric, f"warm-start-{self.kind}-v1")

    def measure(self, config: Config) -> Result:
        """Trains a config and measures it on held-out training rows."""
        return self._evaluator(config)

"""What all one-shot searches are: common settings, the loop over epochs, checkpoints."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from meta_nni.checkpoint import CheckpointError, Limits, read_checkpoint, write_checkpoint
from meta_nni.models.problem import Problem, load_problem
from meta_nni.oneshot.ranges import Range
from meta_nni.oneshot.space import CellSpace, Start
from meta_nni.trial import Config, Result

if TYPE_CHECKING:
    from meta_nni.oneshot.engine import Engine, Score
    from meta_nni.oneshot.shared import SharedWeights

__all__ = ["Found", "OneShotSearch", "Report"]

Report = Callable[[int, int, float], None]
"""Called with the number of epochs done, of all epochs, and an accuracy, 0 to 1."""

_Saved = tuple[dict[str, Any], dict[str, Any]]  # the arrays of a checkpoint, and its text

# A supernet and its optimizer have many thousand arrays, and every scored child is noted.
_LIMITS = Limits(
    file_bytes=2**30,
    bytes=2**30,
    members=200_000,
    about_bytes=2**26,
    remedy="remove it to start the search anew",
)
_LAST_RATE = 0.04  # of the first one: 0.001 of 0.025, as in DARTS


@dataclass(frozen=True, slots=True)
class Found:
    """What a one-shot search found.

    Attributes:
        config: The derived config; train it anew, its shared weights say little of it.
        children: Every config that was scored and what it reached with the shared weights
            when it was scored last on most rows. These values compare with each other only:
            `budget["shared_weights"]` is 1.
        curve: Accuracy of the config that each epoch would have ended with.
        seconds: Duration, of earlier sessions too.
        stopped: Why it ended before its last epoch, or None.
        method: "darts" or "enas".
        recipe: Name of how the children's values came about.
    """

    config: Config
    children: tuple[tuple[Config, Result], ...]
    curve: tuple[float, ...]
    seconds: float
    stopped: str | None
    method: str
    recipe: str


@dataclass
class OneShotSearch(ABC):
    """Trains a supernet of a cell space, and derives one config.

    The training rows are divided in two halves: one trains the shared weights, the other
    the architecture. The test split is never read.

    Attributes:
        space: "nasbench201" or "darts_cell".
        data: Where the data is, such as `{"npz": file}`; labelled images.
        epochs: Passes over the training half.
        samples: Most training rows to take, of both halves; None takes all.
        width: Channels of the supernet's first stage.
        cells: Cells per stage.
        batch_size: Rows per step.
        rate: Learning rate of the shared weights at first; it falls by a cosine to a 25th.
        initial: Probabilities of the options of parameters to start from, by name, such as
            `start_of` counts in proposed configs; None is uniform. A search that is resumed
            keeps those that it began with.
        temperature: Flattens `initial` above 1, sharpens it below.
        max_seconds: The search ends after the epoch in which this time is up.
        checkpoint: File to save the search in after every epoch, and to resume it from.
        seed: Of all randomness, except for the division of rows.
    """

    method: ClassVar[str]
    _ranges: ClassVar[Mapping[str, Range]] = {
        **dict.fromkeys(("epochs", "batch_size", "width", "cells"), Range(1, whole=True)),
        "samples": Range(1, whole=True, optional=True),
        "rate": Range(0, above=True),
        "max_seconds": Range(0, above=True, optional=True),
        "seed": Range(0, whole=True),
    }

    space: str
    data: Mapping[str, Any]
    epochs: int = 20
    samples: int | None = None
    width: int = 8
    cells: int = 1
    batch_size: int = 64
    rate: float = 0.025
    initial: Start | None = None
    temperature: float = 1.0
    max_seconds: float | None = None
    checkpoint: Path | None = None
    seed: int = 0

    @property
    def recipe(self) -> str:
        """Name of how the values of scored configs come about."""
        return f"{self.space}-{self.method}-shared-weights-v1"

    @property
    def cell_space(self) -> CellSpace:
        """The space that is searched."""
        return CellSpace.named(self.space)

    def run(self, report: Report = lambda epoch, epochs, accuracy: None) -> Found:
        """Searches, or goes on with the search of the checkpoint.

        Args:
            report: Called after each epoch with the number of epochs done, of all epochs,
                and the accuracy of the config derived now, such as `ProgressBar`.

        Raises:
            ValueError: A setting is out of range or does not fit the data, or the
                checkpoint is of another search.
        """
        self._check()
        saved = self._saved()
        if saved is None:
            return self._run(report, None)
        with self._fitting():
            # What proposes the start may have learned since, and the start decides on in DARTS.
            search = replace(self, initial=saved[1]["settings"]["initial"])
            search._check()
        return search._run(report, saved)

    def _run(self, report: Report, saved: _Saved | None) -> Found:
        cells = self.cell_space
        problem = load_problem(self.data, self.samples, 0.5)
        engine = self._engine(cells, problem)
        log = _Log() if saved is None else self._resumed(engine, *saved)
        limit = math.inf if self.max_seconds is None else self.max_seconds
        started = time.monotonic() - log.seconds
        for number in range(len(log.curve), self.epochs):
            if engine.stopped or log.seconds >= limit:
                break
            rng = np.random.default_rng([self.seed, number])
            scores = engine.epoch(number, self._rate(number), rng)
            log.add(cells, number + 1, scores)
            log.curve.append(scores[-1].accuracy)
            log.seconds = time.monotonic() - started
            self._save(engine, log)
            report(number + 1, self.epochs, log.curve[-1])
        last = engine.finish(np.random.default_rng([self.seed, self.epochs]))
        log.add(cells, len(log.curve), last)
        log.seconds = time.monotonic() - started
        num_rows = len(problem.y) + len(problem.y_val)
        return self._found(last[-1].config, log, engine.stopped, num_rows)

    @abstractmethod
    def _engine(self, cells: CellSpace, problem: Problem) -> Engine:
        """Starts the method."""

    def _shared(self, cells: CellSpace, problem: Problem, sparse: bool) -> SharedWeights:
        if problem.kind != "image" or problem.target != "classification":
            raise ValueError(
                f"the data is {problem.kind} {problem.target}, expected image classification"
            )
        import keras

        from meta_nni.oneshot.shared import SharedWeights
        from meta_nni.oneshot.supernet import build

        keras.backend.clear_session()
        keras.utils.set_random_seed(self.seed)
        model = build(cells, problem, self.width, self.cells, sparse)
        return SharedWeights(model, problem, self.batch_size, self.seed)

    def _check(self) -> None:
        for setting in fields(self):
            value, expected = getattr(self, setting.name), self._ranges.get(setting.name)
            if expected is not None and value not in expected:
                raise ValueError(
                    f"{setting.name} is {value!r}, expected {expected}; leave it out for "
                    f"{setting.default}"
                )
        self.cell_space.probabilities(self.initial, self.temperature)

    def _rate(self, number: int) -> float:
        last = _LAST_RATE * self.rate
        return last + (self.rate - last) * (1 + math.cos(math.pi * number / self.epochs)) / 2

    def _found(self, config: Config, log: _Log, stopped: str | None, num_rows: int) -> Found:
        if stopped is None and len(log.curve) < self.epochs:
            stopped = f"the limit of {self.max_seconds:g} seconds was reached"
        spent = {"samples": float(num_rows), "shared_weights": 1.0}
        children = tuple(
            (child["config"], Result(child["accuracy"], budget={**child["budget"], **spent}))
            for child in log.children.values()
        )
        curve = tuple(log.curve)
        return Found(config, children, curve, log.seconds, stopped, self.method, self.recipe)

    # Checkpoints

    def _settings(self) -> dict[str, Any]:
        """What a checkpoint must agree with, as JSON."""
        free = {"checkpoint", "max_seconds", "initial"}
        fixed = {k: str(v) for k, v in asdict(self).items() if k not in free}
        data = {k: str(v) for k, v in sorted(self.data.items())}  # a path may be text or not
        return {**fixed, "method": self.method, "data": str(data)}

    def _save(self, engine: Engine, log: _Log) -> None:
        if self.checkpoint is not None:
            initial = self.initial and {k: np.asarray(v).tolist() for k, v in self.initial.items()}
            settings = {**self._settings(), "initial": initial}
            about = {"settings": settings, "log": asdict(log), "facts": engine.facts}
            arrays = {str(i): np.asarray(v) for i, v in enumerate(engine.variables)}
            write_checkpoint(self.checkpoint, arrays, about)

    def _saved(self) -> _Saved | None:
        if self.checkpoint is None or not Path(self.checkpoint).exists():
            return None
        arrays, about = read_checkpoint(self.checkpoint, _LIMITS)
        settings = self._settings()
        with self._fitting():
            known = about["settings"]
            other = {k: known.get(k) for k in settings if known.get(k) != settings[k]}
        if other:
            raise ValueError(
                f"{self.checkpoint} is of a search with {other}, expected "
                f"{ {k: settings[k] for k in other} }; take another file, or the same settings"
            )
        return arrays, about

    def _resumed(self, engine: Engine, arrays: Mapping[str, Any], about: Mapping[str, Any]) -> _Log:
        """Puts an engine in the state of a checkpoint."""
        with self._fitting():
            for number, variable in enumerate(engine.variables):
                variable.assign(arrays[str(number)])
            engine.facts = about["facts"]
            return _Log.read(self.cell_space, about["log"])

    @contextmanager
    def _fitting(self) -> Iterator[None]:
        """Refuses a checkpoint that its hash fits and the search does not, made to do harm."""
        try:
            yield
        except Exception as error:  # whatever arrays and texts of any shape lead to
            raise CheckpointError(
                f"{self.checkpoint} does not fit this search ({type(error).__name__}: {error}), "
                f"expected what this search wrote; {_LIMITS.remedy}"
            ) from None


@dataclass
class _Log:
    """What is known of a search so far, as JSON."""

    curve: list[float] = field(default_factory=list)
    seconds: float = 0.0
    children: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def read(cls, cells: CellSpace, text: dict[str, Any]) -> _Log:
        """Reads what a checkpoint has of it; raises whatever a text of another form leads to."""
        log = cls(**text)
        log.curve, log.seconds = [float(value) for value in log.curve], float(log.seconds)
        for child in log.children.values():
            cells.space.validate(child["config"])
            child["accuracy"] = float(child["accuracy"])
            child["budget"] = {k: float(child["budget"][k]) for k in ("epochs", "validation_rows")}
        return log

    def add(self, cells: CellSpace, epochs: int, scores: Sequence[Score]) -> None:
        """Takes note of scores; a later one replaces one on as many rows or fewer."""
        for config, accuracy, rows in scores:
            key = cells.space.key(config)
            known = self.children.get(key)
            if known is None or known["budget"]["validation_rows"] <= rows:
                budget = {"epochs": float(epochs), "validation_rows": float(rows)}
                self.children[key] = {"config": config, "accuracy": accuracy, "budget": budget}

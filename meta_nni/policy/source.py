"""One earlier run as a model: what it says about every config of the new space."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from meta_nni.policy.kernel import vectors
from meta_nni.policy.warp import Warp, normal_scores
from meta_nni.space import SearchSpace
from meta_nni.trial import History, Trial

__all__ = ["MAX_TRIALS", "MIN_TRIALS", "Source", "bears_on"]

Floats = npt.NDArray[np.float64]

MIN_TRIALS = 3
"""An earlier run with fewer ended trials, or without a completed one, says nothing."""

_MIN_SHARED = 1.0 / 3.0
"""An earlier run of a space with fewer of the new space's parameters says nothing: many such
runs, which know a learning rate and an optimizer, would outvote one of the space itself."""

MAX_TRIALS = 128
"""Rows of a source that enter its model: bounds the cost of a run."""


@dataclass(frozen=True)
class Source:
    """An earlier run, seen from the new run's space.

    Attributes:
        history: The run.
        trials: Its T trials that count, best first.
        x: Their `vectors`, shape (T, P, F).
        y: Normal scores of their values, higher is better, failures last, shape (T,).
        mask: Bool (P,): the parameters that both spaces have.
        warp: Location and scale of its values, turned so that higher is better.
    """

    history: History
    trials: tuple[Trial, ...]
    x: Floats
    y: Floats
    mask: npt.NDArray[np.bool_]
    warp: Warp

    @classmethod
    def from_history(
        cls,
        history: History,
        space: SearchSpace,
        rng: np.random.Generator,
        max_trials: int = MAX_TRIALS,
    ) -> Source | None:
        """Returns the source, or None where the run says nothing about `space`."""
        if not bears_on(history, space):
            return None
        origin = history.run.space
        ended = [*history.completed, *history.failed]
        if len(ended) > max_trials:
            ended = [ended[i] for i in rng.choice(len(ended), max_trials, replace=False)]
        sign = history.run.task.sign
        values = np.array([-np.inf if t.value is None else sign * t.value for t in ended])
        finite = values[np.isfinite(values)]
        if len(finite) == 0:
            return None
        order = np.argsort(-values, kind="stable")
        ended, values = [ended[i] for i in order], values[order]
        x = vectors(space, [trial.config for trial in ended], origin)
        mask = _shared(origin, space)
        return cls(history, tuple(ended), x, normal_scores(values), mask, Warp.fit(finite))

    @property
    def name(self) -> str:
        """The task's name."""
        return self.history.run.task.name


def bears_on(history: History, space: SearchSpace) -> bool:
    """Whether an earlier run has trials enough, and parameters enough of `space`."""
    num_ended = len(history.completed) + len(history.failed)
    shared = float(_shared(history.run.space, space).mean())
    return num_ended >= MIN_TRIALS and bool(history.completed) and shared >= _MIN_SHARED


def _shared(origin: SearchSpace, space: SearchSpace) -> npt.NDArray[np.bool_]:
    """Which parameters of `space` a run of `origin` has tried, (P,)."""
    theirs = {(p.path, p.type) for p in origin.parameters}
    return np.array([(p.path, p.type) in theirs for p in space.parameters])

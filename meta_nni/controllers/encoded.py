"""A run's trials as arrays, each trial encoded once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from meta_nni.policy.kernel import vectors
from meta_nni.policy.training import Policy
from meta_nni.space import SearchSpace
from meta_nni.trial import Config, Trial

__all__ = ["EncodedTrials"]

Floats = npt.NDArray[np.float64]


class EncodedTrials:
    """Encodes trials and keeps the rows: a cache, no state, since a config never changes.

    The arrays grow by doubling, so that thousands of trials are read in one step.
    """

    def __init__(self, space: SearchSpace, policy: Policy) -> None:
        self._space, self._policy = space, policy
        self._known: dict[str, _Known] = {}  # by the trial's id
        self._x = vectors(space, [])
        self._features = policy.features(self._x)

    def __call__(self, trials: Sequence[Trial]) -> tuple[Floats, Floats]:
        """Returns `vectors` (T, P, F) and the sources' predictions (T, S) of T trials."""
        rows = np.fromiter((known.row for known in self._encoded(trials)), int, len(trials))
        return self._x[rows], self._features[rows]

    def keys(self, trials: Sequence[Trial]) -> set[str]:
        """Returns the canonical keys of the trials' configs."""
        return {known.key for known in self._encoded(trials)}

    def _encoded(self, trials: Sequence[Trial]) -> Iterator[_Known]:
        for trial in trials:
            known = self._known.get(trial.trial_id)
            # Another history may use the same ids: the very config decides.
            if known is None or known.config is not trial.config:
                known = self._encode(trial, len(self._known) if known is None else known.row)
            yield known

    def _encode(self, trial: Trial, row: int) -> _Known:
        # One at a time: rounding depends on how many are computed together, and a
        # resumed run, which meets all its trials at once, is to go on as before.
        x = vectors(self._space, [trial.config])
        self._x = _put(self._x, row, x[0])
        self._features = _put(self._features, row, self._policy.features(x)[0])
        known = _Known(trial.config, self._space.key(trial.config), row)
        self._known[trial.trial_id] = known
        return known


class _Known(NamedTuple):
    config: Config
    key: str
    row: int


def _put(array: Floats, row: int, values: Floats) -> Floats:
    """Writes one row; an array that is full is replaced by one of twice as many."""
    if row == len(array):
        array = np.concatenate([array, np.zeros((max(row, 16), *values.shape))])
    array[row] = values
    return array

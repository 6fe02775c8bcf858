"""A run's trials as arrays, each trial encoded once."""

from __future__ import annotations

from collections.abc import Sequence
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
    """Encodes trials and keeps the rows: a cache, no state, since a config never changes."""

    def __init__(self, space: SearchSpace, policy: Policy) -> None:
        self._space, self._policy = space, policy
        self._rows: dict[str, _Row] = {}

    def __call__(self, trials: Sequence[Trial]) -> tuple[Floats, Floats]:
        """Returns `vectors` (T, P, F) and the sources' predictions (T, S) of T trials."""
        if not trials:
            x = vectors(self._space, [])
            return x, self._policy.features(x)
        rows = self._encoded(trials)
        return np.stack([row.x for row in rows]), np.stack([row.features for row in rows])

    def keys(self, trials: Sequence[Trial]) -> set[str]:
        """Returns the canonical keys of the trials' configs."""
        return {row.key for row in self._encoded(trials)}

    def _encoded(self, trials: Sequence[Trial]) -> list[_Row]:
        for trial in trials:
            if not self._is_known(trial):
                # One at a time: rounding depends on how many are computed together, and a
                # resumed run, which meets all its trials at once, is to go on as before.
                x = vectors(self._space, [trial.config])
                (predicted,) = self._policy.features(x)
                key = self._space.key(trial.config)
                self._rows[trial.trial_id] = _Row(trial.config, key, x[0], predicted)
        return [self._rows[trial.trial_id] for trial in trials]

    def _is_known(self, trial: Trial) -> bool:
        # Another history may use the same ids: the very config decides.
        row = self._rows.get(trial.trial_id)
        return row is not None and row.config is trial.config


class _Row(NamedTuple):
    config: Config
    key: str
    x: Floats
    features: Floats

"""A run's trials as arrays, each trial encoded once."""

from __future__ import annotations

from collections.abc import Sequence

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
        self._rows: dict[str, tuple[Config, Floats, Floats]] = {}

    def __call__(self, trials: Sequence[Trial]) -> tuple[Floats, Floats]:
        """Returns `vectors` (T, P, F) and the sources' predictions (T, S) of T trials."""
        new = [trial for trial in trials if not self._is_known(trial)]
        x = vectors(self._space, [trial.config for trial in new])
        features = self._policy.features(x)
        for trial, own, row in zip(new, x, features, strict=True):
            self._rows[trial.trial_id] = (trial.config, own, row)
        if not trials:
            return x, features
        rows = [self._rows[trial.trial_id] for trial in trials]
        return np.stack([row[1] for row in rows]), np.stack([row[2] for row in rows])

    def _is_known(self, trial: Trial) -> bool:
        # Another history may use the same ids: the config decides.
        known = self._rows.get(trial.trial_id)
        return known is not None and known[0] == trial.config

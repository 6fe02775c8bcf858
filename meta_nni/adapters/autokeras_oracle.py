"""The oracle of MetaAutoTuner: what an AutoKeras trial gave, besides its score."""

from __future__ import annotations

from typing import Any

from meta_nni.adapters.autokeras_trial import TrialRecord
from meta_nni.adapters.kerastuner_search import SearchOracle
from meta_nni.trial import Result

__all__ = ["MetaOracle"]


class MetaOracle(SearchOracle):
    """Tells the search what lies in the folders of AutoKeras's trials.

    Args:
        kwargs: As `keras_tuner.Oracle` takes them.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("autokeras", **kwargs)

    def _result(self, trial: Any) -> Result | None:
        record = TrialRecord.read(self._get_trial_dir(trial.trial_id))
        if record.cut:
            return None
        if record.reason is None and trial.message:
            record.reason = trial.message.strip().splitlines()[-1]
        return record.result(trial.score if trial.status == "COMPLETED" else None)

    def _known_result(self, trial: Any) -> Result | None:
        return self._result(trial)  # the trial's folder keeps it

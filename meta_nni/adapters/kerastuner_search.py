"""SearchOracle: KerasTuner's calls, turned into asking and telling a search."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from typing import Any

import keras_tuner

from meta_nni.adapters.kerastuner_space import KerasTunerSpace, complete
from meta_nni.adapters.nni_aims import missing
from meta_nni.limits import Limit, keeps, limits_of
from meta_nni.search import Search, SpaceExhausted
from meta_nni.trial import Config, Result

__all__ = ["SearchOracle"]

_log = logging.getLogger(__name__)


class SearchOracle(keras_tuner.Oracle):  # type: ignore[misc] # KerasTuner has no types
    """Proposes what a search proposes, and tells it what trials gave.

    Where several processes share a search it lives on the chief. KerasTuner's files hold
    the trials as it needs them, and the name of the run; the run is in the store.

    Args:
        host: What the name of a new run begins with.
        kwargs: As `keras_tuner.Oracle` takes them.

    Attributes:
        run_id: Name of the run in the store.
        limits: What the best trials keep.
    """

    def __init__(self, host: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.run_id = f"{host}-{uuid.uuid4().hex}"
        self.limits: tuple[Limit, ...] = ()
        self._search: Search | None = None
        self._asked: set[str] = set()

    def begin(
        self, search: Search, space: KerasTunerSpace, is_over: Callable[[], bool] = lambda: False
    ) -> None:
        """Begins to decide; what KerasTuner knows and the search does not is told to it.

        Args:
            search: The open run.
            space: Its space.
            is_over: Whether no further trial is to begin.
        """
        self._search, self._space, self._is_over = search, space, is_over
        self.limits = limits_of(search.run)  # a run that goes on keeps its own
        search.running_again(
            [config for each in self._retry_queue if (config := self._config(each)) is not None]
        )
        for trial_id in self.end_order:
            self._tell(trial_id)

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Proposes the values of one trial, every active one, or says that there is none."""
        if self._search is None:
            raise RuntimeError("no search is open; call begin first, as the tuner's search does")
        if self._is_over():
            return {"status": "STOPPED"}
        try:
            (suggestion,) = self._search.ask([trial_id])
        except SpaceExhausted as exhausted:
            _log.info("%s", exhausted)
            return {"status": "STOPPED"}
        self._asked.add(trial_id)
        _log.info("trial %s, %s: %s", trial_id, suggestion.source, suggestion.why)
        values = self._space.to_values(suggestion.config)
        return {"status": "RUNNING", "values": complete(values, self.hyperparameters)}

    def end_trial(self, trial: Any) -> None:
        """Records a trial that is over, in KerasTuner's files and in the store."""
        try:
            super().end_trial(trial)
        finally:
            self._tell(trial.trial_id)

    def get_best_trials(self, num_trials: int = 1) -> list[Any]:
        """Returns the best trials, without those that break the limits.

        As KerasTuner's, with others than completed ones where there are too few of these.
        """
        ranked = super().get_best_trials(max(num_trials, len(self.trials)))
        best = [each for each in ranked if each.status != "COMPLETED" or self._keeps(each)]
        return best[:num_trials]

    def _keeps(self, trial: Any) -> bool:
        return not self.limits or keeps(self.limits, self._known_result(trial))

    def _tell(self, trial_id: str) -> None:
        trial = self.trials[trial_id]
        if self._search is None or trial.status not in ("COMPLETED", "FAILED"):
            return  # to be tried again
        result = self._result(trial)
        if result is None:
            _log.warning("trial %s had no time left, which says nothing of its config", trial_id)
            return  # it is lost when the search is closed
        if result.value is None:
            _log.warning("trial %s failed: %s", trial_id, result.reason)
        elif lacking := missing(self._search.run, result):
            _log.warning(
                "trial %s measured no %s, so that it keeps no limit on it; it measured %s",
                trial_id,
                " and no ".join(lacking),
                sorted(result.metrics),
            )
        if trial_id in self._asked:
            self._search.tell(trial_id, result)
        elif (config := self._config(trial_id)) is not None:
            self._search.adopt(config, result)

    def _result(self, trial: Any) -> Result | None:
        """What a trial gave that KerasTuner says is completed or failed; None if nothing."""
        raise NotImplementedError

    def _known_result(self, trial: Any) -> Result | None:
        """What a completed trial of this or an earlier session gave."""
        raise NotImplementedError

    def _config(self, trial_id: str) -> Config | None:
        """The config of a trial of an earlier session; None if another tuner chose it."""
        try:
            return self._space.to_config(self.trials[trial_id].hyperparameters.values)
        except ValueError as error:
            _log.info("trial %s is not of this space: %s", trial_id, error)
            return None

    def get_state(self) -> dict[str, Any]:
        """Returns the state that KerasTuner keeps in `oracle.json`."""
        return {**super().get_state(), "meta_nni_run_id": self.run_id}

    def set_state(self, state: dict[str, Any]) -> None:
        """Restores it; a project that another tuner began gets a run of its own."""
        super().set_state(state)
        self.run_id = state.get("meta_nni_run_id", self.run_id)

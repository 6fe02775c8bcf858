"""Search: ask and tell. The only object that adapters know.

It turns a host's calls into history: every proposal is committed to the store before it
is returned, every result as it arrives, so that a search can be killed at any moment and
opened again without losing or repeating a trial.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from meta_nni.controllers.base import Controller
from meta_nni.knowledge import shipped_knowledge
from meta_nni.metrics import in_metric, measured_by, metric_of
from meta_nni.space import SpaceError
from meta_nni.store import ExperienceStore
from meta_nni.trial import Config, History, Result, Run, Suggestion, Trial

__all__ = ["KNOWLEDGE", "Search", "SearchError", "SpaceExhausted", "ended_reason"]

KNOWLEDGE = ("shipped", "none")
"""Experience besides the store's: the package's own, or none."""

_log = logging.getLogger(__name__)


class SearchError(ValueError):
    """A call does not fit the search, or a controller broke its contract."""


class SpaceExhausted(Exception):
    """Every config of the space has been proposed.

    Attributes:
        suggestions: The last ones, fewer than were asked for.
    """

    def __init__(self, suggestions: list[Suggestion]) -> None:
        super().__init__("every config of the search space has been proposed")
        self.suggestions = suggestions


class Search:
    """One run, open for asking and telling. Safe to call from several threads.

    Attributes:
        run: The run, as the store has it.
        seed: The seed that all proposals of the run depend on.
    """

    def __init__(
        self,
        store: ExperienceStore,
        history: History,
        controller: Controller,
        seed: int,
        knowledge: str,
    ) -> None:
        self.run = history.run
        self.seed = seed
        self._store = store
        self._controller = controller
        self._knowledge = knowledge
        self._trials = {trial.trial_id: _light(trial) for trial in history.trials}
        self._by_key = {self.run.space.key(t.config): t.trial_id for t in history.trials}
        self._rows: dict[str, str] = {}  # the host's id of this session -> trial_id
        self._unresolved = [t.trial_id for t in history.trials if t.result is None]
        self._learned = False
        self._metric = metric_of(self.run.metric)
        self._lock = threading.RLock()

    @classmethod
    def open(
        cls,
        store: ExperienceStore,
        run: Run,
        controller: Controller,
        *,
        seed: int | None = None,
        knowledge: str = "shipped",
    ) -> Search:
        """Opens a run, new or known to the store.

        Trials of a known run that have no result wait to be proposed again.

        Args:
            store: Where the run is kept, and where earlier runs are read from.
            run: The run; a known one must have the same space and task.
            controller: Decides; learns from earlier runs at the first `ask`.
            seed: Of all proposals; a known run keeps its own, None draws one.
            knowledge: One of `KNOWLEDGE`.

        Raises:
            SearchError: if `knowledge` is none of these.
            StoreError: if the store knows the run with another space or task.
        """
        if knowledge not in KNOWLEDGE:
            raise SearchError(f"knowledge is {knowledge!r}, expected one of {list(KNOWLEDGE)}")
        drawn = secrets.randbits(31) if seed is None else seed
        store.add_run(run, seed=drawn, controller=type(controller).__name__, origin="own")
        known = store.seed(run.run_id)
        history = store.history(run.run_id)
        # The store keeps the space as JSON, which does not say what configs are alike.
        history = replace(history, run=replace(history.run, space=run.space))
        search = cls(
            store,
            history,
            controller,
            drawn if known is None else known,
            knowledge,
        )
        _log.info("run %s opened with seed %d", run.run_id, search.seed)
        return search

    @property
    def history(self) -> History:
        """The run so far; its suggestions come without their evidence, which the store has."""
        with self._lock:
            return History(self.run, tuple(self._trials.values()))

    def ask(self, host_ids: Sequence[str]) -> list[Suggestion]:
        """Proposes a config for each of the host's ids; all are committed on return.

        Raises:
            SpaceExhausted: with those that are left, if there are fewer than ids.
            SearchError: if an id was asked for before.
        """
        with self._lock:
            for position, host_id in enumerate(host_ids):
                if host_id in self._rows or host_id in host_ids[:position]:
                    raise SearchError(f"trial id {host_id!r} was asked for before; use a new one")
            revived = self._revive(host_ids)
            fresh_ids = host_ids[len(revived) :]
            suggestions = revived + (self._propose(fresh_ids) if fresh_ids else [])
            if len(suggestions) < len(host_ids):
                raise SpaceExhausted(suggestions)
            return suggestions

    def _revive(self, host_ids: Sequence[str]) -> list[Suggestion]:
        """Hands out trials that an earlier session left without a result."""
        suggestions = []
        for host_id in host_ids[: len(self._unresolved)]:
            trial_id = self._unresolved.pop(0)
            self._mark(trial_id, "proposed")
            self._rows[host_id] = trial_id
            suggestions.append(self._trials[trial_id].suggestion)
        return suggestions

    def _propose(self, host_ids: Sequence[str]) -> list[Suggestion]:
        self._learn()
        number = len(self._trials)
        # A generator per ask, so that a resumed run goes on as if it had not stopped.
        rng = np.random.default_rng([self.seed, number])
        suggestions = self._controller.propose(self.history, len(host_ids), rng)
        self._check(suggestions, len(host_ids))
        new = [
            Trial(self._new_id(host_id), number + i, suggestion)
            for i, (host_id, suggestion) in enumerate(zip(host_ids, suggestions, strict=False))
        ]
        self._add(new)
        for host_id, trial in zip(host_ids, new, strict=False):
            self._rows[host_id] = trial.trial_id
        return suggestions

    def _learn(self) -> None:
        if self._learned:
            return
        sources = self._store.histories(exclude=self.run.run_id)
        if self._knowledge == "shipped":
            sources = [*sources, *shipped_knowledge()]
        if self._metric is not None:
            sources = [measured_by(source, self._metric) for source in sources]
        self._controller.learn(self.run, sources, np.random.default_rng(self.seed))
        self._learned = True

    def _check(self, suggestions: Sequence[Suggestion], count: int) -> None:
        name = type(self._controller).__name__
        keys = [self.run.space.key(suggestion.config) for suggestion in suggestions]
        if len(keys) > count:
            raise SearchError(f"{name} proposed {len(keys)} configs, expected at most {count}")
        if len(set(keys)) < len(keys) or any(key in self._by_key for key in keys):
            raise SearchError(f"{name} proposed a config twice; expected untried ones")

    def _new_id(self, host_id: str) -> str:
        """The host's own id, made unique: NNI counts from 0 again after a resume."""
        trial_id, again = host_id, 1
        while trial_id in self._trials:
            again += 1
            trial_id = f"{host_id}#{again}"
        return trial_id

    def _add(self, trials: Sequence[Trial]) -> None:
        self._store.add_trials(self.run.run_id, trials)
        for trial in trials:
            self._trials[trial.trial_id] = _light(trial)
            self._by_key[self.run.space.key(trial.config)] = trial.trial_id

    def tell(self, host_id: str, result: Result) -> None:
        """Records a result. Telling again changes nothing; a value beats a failure.

        The value of a run that names one of `meta_nni.metrics.METRICS` is that metric, where
        the result has it.

        Raises:
            SearchError: if the id was never asked for.
        """
        with self._lock:
            self._finish(self._row(host_id), result)

    def ended(self, host_id: str, success: bool) -> None:
        """Records that the host is done with a trial; a result, even a later one, beats it.

        Raises:
            SearchError: if the id was never asked for.
        """
        reason = ended_reason(success)
        with self._lock:
            trial_id = self._row(host_id)
            if self._trials[trial_id].result is None:
                self._store.end(self.run.run_id, trial_id, "failed", reason)
                self._trials[trial_id] = self._trials[trial_id].with_result(Result.failed(reason))
                self._resolve(trial_id)

    def adopt(self, config: Config, result: Result, source: str = "imported") -> None:
        """Records a result that this session did not ask for.

        It belongs to the run's trial of that config, since no two have the same, and is
        a new trial where there is none.

        Args:
            config: What was measured.
            result: The outcome.
            source: Where a new trial's config comes from.

        Raises:
            SpaceError: if the config does not belong to the space.
        """
        with self._lock:
            trial_id = self._by_key.get(self.run.space.key(config))
            if trial_id is None:
                number = len(self._trials)
                trial_id = self._new_id(f"{source}-{number}")
                self._add([Trial(trial_id, number, Suggestion(config, source))])
            self._finish(trial_id, result)

    def running_again(self, configs: Sequence[Config]) -> None:
        """Names unresolved trials that the host itself runs again after a resume.

        They are not proposed again; their results arrive by `adopt`. Configs that are
        not this run's are ignored.
        """
        with self._lock:
            for config in configs:
                try:
                    trial_id = self._by_key.get(self.run.space.key(config))
                except SpaceError:
                    continue
                if trial_id is not None and trial_id in self._unresolved:
                    self._unresolved.remove(trial_id)
                    self._mark(trial_id, "running")

    def close(self) -> None:
        """Marks the trials that are still awaited as lost. Opening the run revives them."""
        with self._lock:
            for trial_id, trial in self._trials.items():
                if trial.result is None:
                    self._store.end(self.run.run_id, trial_id, "lost", "the search was closed")

    def _row(self, host_id: str) -> str:
        trial_id = self._rows.get(host_id, host_id)
        if trial_id not in self._trials:
            raise SearchError(
                f"trial id {host_id!r} is unknown to run {self.run.run_id}; "
                "results belong to ids that were asked for"
            )
        return trial_id

    def _finish(self, trial_id: str, result: Result) -> None:
        if self._metric is not None:
            result = in_metric(result, self._metric)
        if self._store.finish(self.run.run_id, trial_id, result):
            self._trials[trial_id] = self._trials[trial_id].with_result(result)
        self._resolve(trial_id)

    def _resolve(self, trial_id: str) -> None:
        if trial_id in self._unresolved:
            self._unresolved.remove(trial_id)

    def _mark(self, trial_id: str, state: Literal["proposed", "running"]) -> None:
        """Awaits a trial again, also one that was lost: a controller sees it as pending."""
        self._store.mark(self.run.run_id, trial_id, state)
        self._trials[trial_id] = replace(self._trials[trial_id], state=state)


def ended_reason(success: bool) -> str:
    """Returns why a trial that reported nothing has no value; `success` as the host says."""
    how = "ended" if success else "failed or was stopped"
    return f"the trial {how} without reporting a result"


def _light(trial: Trial) -> Trial:
    """A trial without its evidence: two thirds of its memory, and nobody decides upon it."""
    return replace(trial, suggestion=replace(trial.suggestion, evidence={}))

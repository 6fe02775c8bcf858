"""MetaTuner: NNI's calls, turned into asking and telling a search."""

from __future__ import annotations

import copy
import json
import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import nni
import numpy as np
from nni.tuner import Tuner

from meta_nni.adapters.environment import environment
from meta_nni.adapters.nni_aims import counter, missing
from meta_nni.adapters.nni_arguments import TunerArguments, refuse_unknown
from meta_nni.adapters.nni_import import read_import
from meta_nni.adapters.nni_process import (
    enter_trial_folder,
    experiment_id,
    recovered_configs,
    reported,
)
from meta_nni.adapters.nni_result import from_final
from meta_nni.controllers import make
from meta_nni.data import load_data
from meta_nni.metafeatures import compute_metafeatures
from meta_nni.models.cells.canonical import merge_isomorphic
from meta_nni.search import Search, SpaceExhausted
from meta_nni.space import SearchSpace, SpaceError
from meta_nni.store_checkpoints import first_checkpoint
from meta_nni.task import Task
from meta_nni.trial import Config, Result, Run, Suggestion

__all__ = ["MetaTuner"]

_METAFEATURE_SECONDS = 30.0  # generous: a guard that cuts in makes runs differ

_log = logging.getLogger(__name__)


class MetaTuner(Tuner):  # type: ignore[misc]
    """An NNI tuner that remembers earlier searches and proposes from them.

    In an experiment's config::

        tuner:
          className: meta_nni.MetaTuner
          codeDirectory: .
          classArgs:
            store: experience.db
            task: digits
            data: {npz: digits.npz}

    All state is in the store and is committed as it changes, so an experiment that was
    stopped or killed goes on with `nnictl resume`: no result is lost and no config is
    proposed twice. Outside NNI the methods can be called as NNI calls them.

    Args:
        store: Path or URL of the store; None: `$META_NNI_STORE`, else the user's own.
            Relative paths, here and in `data`, start at the folder that the trials run in
            (`trialCodeDirectory`, by default the config file's).
        knowledge: "shipped" to use the package's own experience too, or "none".
        task: A name, or `{"name": …, "metafeatures": {…}}`; None: the experiment's id.
        data: Where the training rows are, such as `{"npz": file}`, to compute metafeatures
            from; those given in `task` take precedence.
        controller: "meta", "portfolio", "evolution", "reinforce" or "random".
        optimize_mode: "maximize" or "minimize"; None: the metric's, or "maximize".
        metric: Which of the trials' metrics is the value, such as "f1" (see
            `meta_nni.metrics.METRICS`); earlier runs that measured it are read by it, too.
            None: what the trials report as `default`.
        limits: The most that metrics of a trial may be, such as `{"parameters": 100000,
            "latency_ms": 5}`, or `{"recall": {"min": 0.8}}`: trials beyond them are kept,
            but are none of the best. What a limit needs a trial has to report.
        objectives: Two or more, such as `["value", {"latency_ms": "minimize"}]`: the search is
            for the Pareto front, see `meta-nni best --front`.
        space: Name of the shipped space, where it is not equal to one, or `{name: settings}`
            with `samples` and `validation_fraction` of the trials' `KerasEvaluator` and its
            `model` settings, where it has any: with `data` and a limit on parameters these are
            counted by building each model before it is proposed. Where a trial measures
            another number the limit is learned instead.
        seed: Of all proposals; None draws one and logs it. A resumed run keeps its own.
        recipe: Name of how the trials train and measure, recorded with the run.

    Raises:
        ValueError, TypeError: naming the argument, what came and what was expected.
    """

    def __init__(
        self,
        store: Any = None,
        knowledge: Any = "shipped",
        task: Any = None,
        data: Any = None,
        controller: Any = "meta",
        optimize_mode: Any = None,
        metric: Any = None,
        seed: Any = None,
        recipe: Any = None,
        limits: Any = None,
        objectives: Any = None,
        space: Any = None,
        **unknown: Any,
    ) -> None:
        given = {
            "store": store,
            "knowledge": knowledge,
            "task": task,
            "data": data,
            "controller": controller,
            "optimize_mode": optimize_mode,
            "metric": metric,
            "seed": seed,
            "recipe": recipe,
            "limits": limits,
            "objectives": objectives,
            "space": space,
        }
        refuse_unknown(unknown, list(given))
        enter_trial_folder()
        name = experiment_id() or uuid.uuid4().hex
        self._run_id = f"nni-{name}"
        self._arguments = TunerArguments.check(given, default_task=name)
        self._search: Search | None = None
        self._resumed = False  # whether NNI's own reruns were taken note of

    def update_search_space(self, search_space: Any) -> None:
        """Opens the run, when NNI sends the space; a space cannot change later.

        Raises:
            ValueError: if the space is malformed, or not the one that the run has.
        """
        with reported():
            space = merge_isomorphic(SearchSpace.from_nni(search_space))
            if self._search is None:
                self._search = self._open(space)
            elif space != self._search.run.space:
                raise SpaceError(
                    f"the search space of run {self._run_id} changed; expected the one that it "
                    "began with: start a new experiment, which learns from this one's results"
                )

    def _run(self, space: SearchSpace) -> Run:
        given = self._arguments
        return Run(
            self._run_id,
            self._task(),
            space,
            metric=None if given.metric is None else given.metric.on_validation,
            recipe=given.recipe,
            environment=environment(),
            extra=given.aims,
        )

    def _open(self, space: SearchSpace) -> Search:
        given, run = self._arguments, self._run(space)
        network = first_checkpoint(given.store.name, space, given.knowledge)
        count = counter(given.space, space, given.data, given.aims)
        controller = make(given.controller, network, count)
        return Search.open(given.store, run, controller, seed=given.seed, knowledge=given.knowledge)

    def _task(self) -> Task:
        """The task with the metafeatures of its data; a known run has them already."""
        task, data = self._arguments.task, self._arguments.data
        known = any(run.run_id == self._run_id for run in self._arguments.store.runs())
        if data is None or known:
            return task
        computed = compute_metafeatures(
            load_data(data), np.random.default_rng(0), seconds=_METAFEATURE_SECONDS
        )
        return replace(task, metafeatures={**computed, **task.metafeatures})

    @property
    def _opened(self) -> Search:
        if self._search is None:
            raise RuntimeError("no search space yet; call update_search_space first")
        return self._search

    def generate_parameters(self, parameter_id: int, **kwargs: Any) -> Config:
        """Proposes one config.

        Raises:
            nni.NoMoreTrialError: if every config of the space has been proposed.
        """
        with reported():
            configs = self._ask([parameter_id])
            if not configs:
                raise nni.NoMoreTrialError("every config of the search space has been proposed")
            return configs[0]

    def generate_multiple_parameters(
        self, parameter_id_list: Sequence[int], **kwargs: Any
    ) -> list[Config]:
        """Proposes a config per id; fewer if no more are left, by which NNI knows."""
        with reported():
            return self._ask(parameter_id_list)

    def _ask(self, parameter_ids: Sequence[int]) -> list[Config]:
        search = self._opened
        if not self._resumed:
            search.running_again(recovered_configs())
            self._resumed = True
        try:
            suggestions = search.ask([str(each) for each in parameter_ids])
        except SpaceExhausted as exhausted:
            suggestions = exhausted.suggestions
            _log.info("%s", exhausted)
        for parameter_id, suggestion in zip(parameter_ids, suggestions, strict=False):
            _log.info("trial %s: %s", parameter_id, _described(suggestion))
        return [copy.deepcopy(suggestion.config) for suggestion in suggestions]

    def receive_trial_result(
        self, parameter_id: int, parameters: Any, value: Any, **kwargs: Any
    ) -> None:
        """Records a result. Only the id says whose it is: NNI overwrites `parameters`.

        Args:
            parameter_id: The id that the config was generated for.
            parameters: Not used.
            value: Whatever the trial reported; see `nni_result.from_final`.
            kwargs: Not used.
        """
        with reported():
            result, _ = from_final(value)
            if result.value is None:
                _log.warning("trial %s failed: %s", parameter_id, result.reason)
            else:
                _log.info("trial %s: measured %g", parameter_id, result.value)
                self._warn_of_missing(parameter_id, result)
            self._opened.tell(str(parameter_id), result)

    def _warn_of_missing(self, parameter_id: int, result: Result) -> None:
        """Says which numbers that limits and objectives need a trial did not report."""
        if lacking := missing(self._opened.run, result):
            _log.warning(
                "trial %s reported no %s, so that it keeps no limit on it; report it beside "
                '"default", or with KerasEvaluator(latency_batch=...) for latency_ms',
                parameter_id,
                " and no ".join(lacking),
            )

    def trial_end(self, parameter_id: int | None, success: bool, **kwargs: Any) -> None:
        """Records that a trial is over, in case it reported nothing itself."""
        if parameter_id is not None:  # None: a trial that the user added on NNI's page
            with reported():
                self._opened.ended(str(parameter_id), success)

    def import_data(self, data: Sequence[Mapping[str, Any]]) -> None:
        """Takes over results of NNI's resume, of trials that it ran again, and of users.

        Within an experiment, entries that cannot be used are logged as errors and left
        out: NNI would send them again at each resume. Outside, nothing is stored then.

        Raises:
            ValueError: outside an experiment, if an entry is malformed or its config does
                not belong to the space.
        """
        with reported():
            search = self._opened
            imported, problems = read_import(data, search.run.space)
            if problems and experiment_id() is None:
                raise ValueError("; ".join(problems))
            for problem in problems:
                _log.error("%s", problem)
            key = search.run.space.key
            waiting = {key(t.config) for t in search.history.trials if t.result is None}
            for entry in imported:
                # Better measured once more than attributed to the wrong config.
                if entry.is_certain or key(entry.config) not in waiting:
                    search.adopt(entry.config, entry.result)

    def _on_exit(self) -> None:
        """Called by NNI when the experiment is stopped; NNI waits half a minute for its end."""
        if self._search is not None:
            from meta_nni.report import leave_report

            self._search.close()
            leave_report(self._arguments.store, self._run_id)


def _described(suggestion: Suggestion) -> str:
    """One line for the log: where a config comes from, what is expected of it, and why."""
    parts = [suggestion.source]
    if suggestion.mean is not None:
        spread = "" if suggestion.std is None else f" ± {suggestion.std:.3g}"
        parts.append(f"predicted {suggestion.mean:.4g}{spread}")
    if suggestion.why:
        parts.append(suggestion.why)
    return f"{', '.join(parts)}: {json.dumps(suggestion.config)}"

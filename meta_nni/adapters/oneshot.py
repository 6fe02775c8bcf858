"""One-shot searches and the store: where they start from, and what they leave behind.

found, retrained = search_from_store(search, evaluator, store, run_id="s1", task="clothing")
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from meta_nni.adapters.environment import environment
from meta_nni.controllers.fidelity import at_full_budget
from meta_nni.data import load_data
from meta_nni.metafeatures import compute_metafeatures
from meta_nni.models import KerasEvaluator
from meta_nni.oneshot import CellSpace, Found, OneShotSearch, start_of
from meta_nni.oneshot.search import Report
from meta_nni.oneshot.space import Start
from meta_nni.policy.neural import NeuralPolicy
from meta_nni.report import leave_report
from meta_nni.space import SearchSpace
from meta_nni.store import ExperienceStore
from meta_nni.task import Task
from meta_nni.trial import Config, History, Result, Run, Suggestion, Trial

__all__ = ["learned_start", "record", "search_from_store"]

_DRAWS = 1_000  # of the generator: shares of options are known to within some 0.015


def search_from_store(
    search: OneShotSearch,
    evaluator: KerasEvaluator,
    store: ExperienceStore,
    *,
    run_id: str,
    task: str,
    report: Report = lambda epoch, epochs, accuracy: None,
) -> tuple[Found, Result]:
    """Searches from what a store says of the data, adds what came of it, and leaves reports.

    Args:
        search: What to run; its `initial` gives way to `learned_start`.
        evaluator: Trains the derived config anew and measures its accuracy.
        store: Where earlier runs are, and where those of `record` go.
        run_id: Unique name of the search; the same again for one that is resumed.
        task: Name of the data.
        report: See `OneShotSearch.run`.

    Returns:
        What was found, and what it reached when it was trained by itself.
    """
    metafeatures = compute_metafeatures(load_data(search.data), np.random.default_rng(0))
    about = Task(task, "maximize", metafeatures)
    space, seed = search.cell_space.space, search.seed
    initial = learned_start(space, about, store.histories(), seed=seed)
    found = replace(search, initial=initial).run(report)
    retrained = evaluator(found.config)
    recipe = f"{search.space}-{evaluator.epochs}-epochs-v1"
    names = run_id, about, search.space
    record(store, *names, found, seed=seed, retrained=retrained, recipe=recipe)
    leave_report(store, f"{run_id}-shared")
    leave_report(store, run_id)
    return found, retrained


def learned_start(
    space: SearchSpace,
    task: Task,
    sources: Sequence[History],
    *,
    seed: int,
    steps: int | None = None,
) -> Start:
    """How likely the generator, trained on earlier runs, takes each option on a task.

    Runs of shared weights are left out: what a supernet says of a config is a poor guess of
    what it is worth, and the generator would take it at its word.

    Args:
        space: A cell space.
        task: What is searched for next.
        sources: Earlier runs, such as `ExperienceStore.histories()`.
        seed: Of the training and of the draws.
        steps: Of the training; None leaves it to `NeuralPolicy.train`.

    Returns:
        What `DartsSearch` and `EnasSearch` take as `initial`; empty, which is uniform,
        where no source teaches anything about the space.
    """
    trained = [at_full_budget(history) for history in sources if not history.shares_weights]
    policy = NeuralPolicy.train(space, trained, seed=seed, steps=steps)
    if not policy.trained_on:
        return {}
    return start_of(space, policy.sample(task, _DRAWS, np.random.default_rng(seed)))


def record(
    store: ExperienceStore,
    run_id: str,
    task: Task,
    space: str,
    found: Found,
    *,
    seed: int,
    retrained: Result | None = None,
    recipe: str | None = None,
) -> None:
    """Adds what a one-shot search saw to the store; again changes nothing.

    Values of shared weights compare with each other only, so they are a run of their own,
    `<run_id>-shared`, with the search's recipe. The retrained config is run `run_id`.

    Args:
        store: Where to.
        run_id: Unique name of the search.
        task: What was searched for; to be maximised, as accuracies are.
        space: The search's space.
        found: Its result.
        seed: Its seed.
        retrained: What the derived config reached when it was trained by itself.
        recipe: How it was trained.

    Raises:
        ValueError: The task is to be minimised.
        StoreError: The store knows one of the runs with another task or space.
    """
    if task.objective != "maximize":
        raise ValueError(f"task {task.name!r} is to be minimised, expected one to maximise")
    cells = CellSpace.named(space)
    shared = _run(f"{run_id}-shared", task, cells.space, found.recipe)
    _add(store, shared, found.method, seed, found.children)
    if retrained is not None:
        own = _run(run_id, task, cells.space, recipe)
        _add(store, own, found.method, seed, [(found.config, retrained)])


def _run(run_id: str, task: Task, space: SearchSpace, recipe: str | None) -> Run:
    return Run(run_id, task, space, "val_accuracy", recipe, environment())


def _add(
    store: ExperienceStore,
    run: Run,
    method: str,
    seed: int,
    results: Sequence[tuple[Config, Result]],
) -> None:
    """Adds the trials of a run whose configs it does not have yet."""
    store.add_run(run, seed=seed, controller=method)
    key = run.space.key
    known = store.history(run.run_id).trials
    seen = {key(trial.config) for trial in known}
    new = [(config, result) for config, result in results if key(config) not in seen]
    store.add_trials(
        run.run_id,
        [
            Trial(f"{method}-{number}", number, Suggestion(config, method)).with_result(result)
            for number, (config, result) in enumerate(new, len(known))
        ],
    )

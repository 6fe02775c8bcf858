"""`meta-nni propose`: what a search would try first on new data, without searching."""

from __future__ import annotations

import argparse
import json
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from meta_nni.cli.arguments import CommandError, Commands, add_store
from meta_nni.cli.data import DATA_HELP, data_name, data_spec
from meta_nni.cli.explanation import INTERVAL, Explanation, explain_trial
from meta_nni.cli.numbers import at_least, seed
from meta_nni.cli.quiet import load_keras
from meta_nni.cli.reasons import reasons
from meta_nni.cli.spaces import named_space
from meta_nni.cli.text import labelled, shown
from meta_nni.knowledge import shipped_knowledge
from meta_nni.policy.source import bears_on
from meta_nni.space import SearchSpace
from meta_nni.store import ExperienceStore
from meta_nni.store_checkpoints import first_checkpoint
from meta_nni.store_engine import parse_store
from meta_nni.task import Task
from meta_nni.trial import History, Run, Suggestion, Trial

__all__ = ["add_command"]

_RUN = "meta-nni propose"  # no run of a store: nothing is stored
_METAFEATURE_SECONDS = 30.0


def add_command(verbs: Commands) -> None:
    """Adds the verb."""
    parser = verbs.add_parser(
        "propose",
        help="the configs that a search would try first on new data, and what to expect",
        description="Reads the data, and proposes configs from all that was learned earlier: "
        "the same as the first trials of a search with this seed. Each comes with its "
        "predicted value and interval, predicted seconds, and what speaks for it. Nothing is "
        "trained on the data and nothing is stored.",
    )
    parser.add_argument("--data", required=True, metavar="DATA", help=DATA_HELP)
    parser.add_argument(
        "--space",
        required=True,
        metavar="SPACE",
        help="search space: a name that ships, such as autokeras_image, or a file of NNI's JSON",
    )
    parser.add_argument(
        "-n", "--count", type=at_least(1), default=1, metavar="N", help="configs (default 1)"
    )
    add_store(parser)
    parser.add_argument(
        "--knowledge",
        choices=("shipped", "none"),
        default="shipped",
        help="whether to use the package's own experience too (default shipped)",
    )
    parser.add_argument("--task", help="the task's name; default the data file's")
    parser.add_argument("--seed", type=seed, default=0, help="of the proposals (default 0)")
    parser.add_argument("--json", action="store_true", help="for programs: one JSON object")
    parser.set_defaults(verb=_propose)


def _propose(arguments: argparse.Namespace) -> None:
    space = named_space(arguments.space)
    run = Run(_RUN, _task(arguments), space)
    sources, name = _sources(arguments)
    load_keras()
    suggestions = _suggestions(run, sources, name, arguments)
    trials = [
        explain_trial(Trial(str(number), number, suggestion))
        for number, suggestion in enumerate(suggestions)
    ]
    if arguments.json:
        print(json.dumps(_document(run, sources, trials, suggestions), indent=1))
        return
    print(f"{shown(run.task.name)}: {_known(space, sources)}")
    for trial, suggestion in zip(trials, suggestions, strict=True):
        print()
        for label, text in _described(trial, suggestion):
            print("\n".join(labelled(label, text)))


def _task(arguments: argparse.Namespace) -> Task:
    from meta_nni.data import DataError, load_data
    from meta_nni.metafeatures import compute_metafeatures
    from meta_nni.models.evaluator import check_fit

    spec = data_spec(arguments.data)
    try:
        data = load_data(spec)
    except DataError as error:
        raise CommandError(str(error)) from None
    try:
        check_fit(arguments.space, data.kind, data.target)
    except ValueError as error:
        raise CommandError(str(error)) from None
    rng = np.random.default_rng(0)  # MetaTuner's: the same data, the same metafeatures
    metafeatures = compute_metafeatures(data, rng, seconds=_METAFEATURE_SECONDS)
    try:
        return Task(arguments.task or data_name(spec), "maximize", metafeatures)
    except ValueError as error:
        raise CommandError(str(error)) from None


def _sources(arguments: argparse.Namespace) -> tuple[list[History], str]:
    """Earlier runs, and the store's name. The default store need not be there yet."""
    url = parse_store(arguments.store)
    known: list[History] = []
    is_missing = url.drivername == "sqlite" and not Path(str(url.database)).exists()
    if arguments.store is not None or not is_missing:
        with closing(ExperienceStore.open(arguments.store, create=False)) as store:
            known = store.histories()
    if arguments.knowledge == "shipped":
        known = [*known, *shipped_knowledge()]
    return known, url.render_as_string(hide_password=False)


def _suggestions(
    run: Run, sources: list[History], store: str, arguments: argparse.Namespace
) -> list[Suggestion]:
    """Asks as `Search` does, so that a search with this seed begins alike."""
    from meta_nni.controllers import make

    controller = make("meta", first_checkpoint(store, run.space, arguments.knowledge))
    controller.learn(run, sources, np.random.default_rng(arguments.seed))
    rng = np.random.default_rng([arguments.seed, 0])
    return controller.propose(History(run), arguments.count, rng)


def _document(
    run: Run,
    sources: list[History],
    trials: list[Explanation],
    suggestions: list[Suggestion],
) -> dict[str, Any]:
    return {
        "task": run.task.name,
        "metafeatures": dict(run.task.metafeatures),
        "sources": sum(bears_on(source, run.space) for source in sources),
        "proposals": [
            {
                "config": trial.config,
                "source": trial.source,
                "predicted": trial.predicted,
                "interval": trial.interval,
                "predicted_seconds": suggestion.seconds,
                "why": trial.why,
                "evidence": dict(trial.evidence),
            }
            for trial, suggestion in zip(trials, suggestions, strict=True)
        ],
    }


def _known(space: SearchSpace, sources: list[History]) -> str:
    known = [source for source in sources if bears_on(source, space)]
    if not known:
        return f"none of {len(sources)} earlier runs knows enough of this space; a cold start"
    trials = sum(len(history.completed) for history in known)
    return f"proposed from {trials} trials of {len(known)} earlier runs"


def _described(trial: Explanation, suggestion: Suggestion) -> list[tuple[str, str]]:
    value = "nothing is known" if trial.predicted is None else f"{trial.predicted:.4g}"
    if trial.interval is not None:
        low, high = trial.interval
        value += f", {INTERVAL:.0%} interval {low:.4g} to {high:.4g}"
    seconds = "" if suggestion.seconds is None else f", in about {suggestion.seconds:.3g} s"
    head = [(f"proposal {trial.number + 1}", trial.source), ("predicted", value + seconds)]
    return [*head, *reasons(trial, whole=True)]

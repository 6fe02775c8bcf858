"""`meta-nni train`: the neural policy learns from the whole store, for one search space."""

from __future__ import annotations

import argparse
import contextlib
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from meta_nni.cli.arguments import CommandError, Commands, add_store
from meta_nni.cli.numbers import seconds, seed
from meta_nni.cli.quiet import load_keras
from meta_nni.cli.spaces import named_space
from meta_nni.cli.text import shown
from meta_nni.knowledge import shipped_knowledge
from meta_nni.space import SearchSpace
from meta_nni.store import ExperienceStore
from meta_nni.store_checkpoints import checkpoint_path
from meta_nni.trial import History

if TYPE_CHECKING:
    from meta_nni.policy.neural import NeuralPolicy

__all__ = ["add_command"]

_NUM_NAMED = 8  # tasks that the last line names


def add_command(verbs: Commands) -> None:
    """Adds the verb."""
    parser = verbs.add_parser(
        "train",
        help="learn from a store for a search space",
        description="Trains the network that proposes and predicts configs of a space on all "
        "earlier runs that share a parameter with it. Its checkpoint lies beside the store, "
        "where searches find it; training again goes on from there.",
    )
    parser.add_argument(
        "--space",
        required=True,
        metavar="SPACE",
        help="search space: a name that ships, such as cnn_small, or a file of NNI's JSON",
    )
    add_store(parser)
    parser.add_argument(
        "--knowledge",
        choices=("shipped", "none"),  # search.KNOWLEDGE, whose import would slow all verbs
        default="shipped",
        help="whether to learn from the package's own experience too (default shipped)",
    )
    parser.add_argument(
        "--seconds", type=seconds, default=60.0, help="stop after so long (default 60)"
    )
    parser.add_argument("--seed", type=seed, default=0, help="of all that is drawn (default 0)")
    parser.add_argument(
        "--fresh", action="store_true", help="begin anew instead of going on from the checkpoint"
    )
    parser.add_argument("--json", action="store_true", help="for programs: one JSON object")
    parser.set_defaults(verb=_train)


def _train(arguments: argparse.Namespace) -> None:
    space = named_space(arguments.space)
    with contextlib.closing(ExperienceStore.open(arguments.store, create=False)) as store:
        histories = _sources(store, space, arguments.knowledge)
        path = checkpoint_path(store.name, space)
    load_keras()  # its greetings would break the bar
    from meta_nni.checkpoint import CheckpointError
    from meta_nni.policy.neural import NeuralPolicy

    try:
        start = None if arguments.fresh or not path.exists() else NeuralPolicy.load(path, space)
        policy = _trained(space, histories, start, path, arguments)
        if not policy.trained_on:
            raise CommandError(
                f"none of the {len(histories)} runs that share a parameter with the space has "
                "enough ended trials to learn from; search further"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        policy.save(path)
    except CheckpointError as error:
        raise CommandError(f"{error}; or begin anew with --fresh") from None
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror or error}") from None
    if arguments.json:
        print(json.dumps({"checkpoint": str(path), "trained_on": dict(policy.trained_on)}))
        return
    print(_learned(policy, histories))
    print(path)


def _sources(store: ExperienceStore, space: SearchSpace, knowledge: str) -> list[History]:
    """Returns the runs that measured something and share a parameter with the space."""
    known = store.histories()
    if knowledge == "shipped":
        known = [*known, *shipped_knowledge()]
    measured = [history for history in known if history.completed]
    sharing = [each for each in measured if space.shared_fraction(each.run.space) > 0]
    if not sharing:
        problem = (
            f"none of its {len(measured)} runs shares a parameter with the space"
            if measured
            else "no run has a measured trial"
        )
        raise CommandError(
            f"there is nothing to learn from in {store.name}: {problem}; search first, or "
            "meta-nni experience import"
        )
    return sharing


def _trained(
    space: SearchSpace,
    histories: Sequence[History],
    start: NeuralPolicy | None,
    path: Path,
    arguments: argparse.Namespace,
) -> NeuralPolicy:
    from meta_nni.cli.progress import ProgressBar
    from meta_nni.controllers.fidelity import at_full_budget
    from meta_nni.policy.neural import NeuralPolicy

    histories = [at_full_budget(history) for history in histories]
    try:
        with ProgressBar("training") as bar:
            return NeuralPolicy.train(
                space,
                histories,
                seed=arguments.seed,
                start=start,
                max_seconds=arguments.seconds,
                progress=bar,
            )
    except KeyboardInterrupt:
        left = f"{path} is as it was" if path.exists() else "no checkpoint was written"
        raise KeyboardInterrupt(left) from None


def _learned(policy: NeuralPolicy, histories: Sequence[History]) -> str:
    """One line: what a policy was trained on, by task."""
    tasks = {history.run.run_id: history.run.task.name for history in histories}
    trials: Counter[str] = Counter()
    for run_id, count in policy.trained_on.items():
        trials[tasks.get(run_id, run_id)] += count
    named = [f"{shown(name, 32)} ({count})" for name, count in trials.most_common(_NUM_NAMED)]
    if len(trials) > len(named):
        named.append(f"{len(trials) - len(named)} more")
    return (
        f"trained on {trials.total()} measured trials of {len(policy.trained_on)} runs: "
        f"{', '.join(named)}"
    )

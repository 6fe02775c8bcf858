"""`meta-nni demo`: two small searches in this process, the second with the first's memory."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from meta_nni.cli.arguments import CommandError, Commands
from meta_nni.cli.numbers import at_least, seed
from meta_nni.cli.quiet import load_keras
from meta_nni.cli.spaces import named_space
from meta_nni.store import ExperienceStore
from meta_nni.task import Task
from meta_nni.trial import History, Result, Run, Suggestion

__all__ = ["add_command"]

_SPACE = "cnn_small"
_EPOCHS = 4
_TASKS = {"digits_0_to_4": range(5), "digits_5_to_9": range(5, 10)}


def add_command(verbs: Commands) -> None:
    """Adds the verb."""
    parser = verbs.add_parser(
        "demo",
        help="two small searches, the second with the memory of the first; about a minute",
        description="Searches small CNNs for scikit-learn's digits 0 to 4, from an empty "
        "memory, then for its digits 5 to 9, with the memory of the first search. It trains in "
        "this process, without NNI; `make demo` in the project's folder runs under NNI.",
    )
    parser.add_argument(
        "--trials", type=at_least(1), default=4, metavar="N", help="of each search (default 4)"
    )
    parser.add_argument("--seed", type=seed, default=0, help="of all proposals (default 0)")
    parser.add_argument(
        "--folder",
        default="meta-nni-demo",
        metavar="DIR",
        help="new folder for data, store and report (default meta-nni-demo)",
    )
    parser.add_argument("--json", action="store_true", help="for programs: one JSON object")
    parser.set_defaults(verb=_demo)


def _demo(arguments: argparse.Namespace) -> None:
    from meta_nni.report import ReportError, write_report

    folder = Path(arguments.folder)
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise CommandError(
            f"the folder {str(folder)!r} cannot be made ({error.strerror}); "
            "name a new one with --folder"
        ) from None
    load_keras()
    with closing(ExperienceStore.open(folder / "experience.db")) as store:
        histories = [_search(store, name, arguments) for name in _TASKS]
        page = folder / "report.html"
        try:
            write_report(histories[-1], store.name, page)
        except ReportError as error:
            raise CommandError(str(error)) from None
    if arguments.json:
        print(json.dumps(_document(histories, folder, page), indent=1))
    else:
        print("\n".join(_next_steps(histories[-1], folder, page)))


def _search(store: ExperienceStore, name: str, arguments: argparse.Namespace) -> History:
    from meta_nni.controllers import make
    from meta_nni.models import KerasEvaluator
    from meta_nni.search import Search
    from meta_nni.store_checkpoints import checkpoint_path

    data = _save(name, Path(arguments.folder))
    evaluator = KerasEvaluator(_SPACE, data, epochs=_EPOCHS, max_seconds=30)
    space = named_space(_SPACE)
    run = Run(f"demo-{name}", _task(name, data), space, evaluator.measured.on_validation, "demo-v1")
    controller = make("meta", checkpoint_path(store.name, space))
    stream = sys.stderr if arguments.json else sys.stdout
    with closing(
        Search.open(store, run, controller, seed=arguments.seed, knowledge="none")
    ) as search:
        for number in range(arguments.trials):
            (suggestion,) = search.ask([str(number)])
            result = evaluator(suggestion.config)
            search.tell(str(number), result)
            print(f"{name}, trial {number}: {_told(suggestion, result)}", file=stream, flush=True)
    return store.history(run.run_id)  # with its evidence, which a search does not keep


def _save(name: str, folder: Path) -> dict[str, Any]:
    """Writes the images of some digits, 8 x 8 pixels, 0 to 1, as any user's data."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    chosen = np.isin(y, _TASKS[name])
    file = folder / f"{name}.npz"
    images = (x[chosen] / 16).astype(np.float32).reshape(-1, 8, 8)
    np.savez(file, x_train=images, y_train=y[chosen])
    return {"npz": str(file)}


def _task(name: str, data: dict[str, Any]) -> Task:
    from meta_nni.data import load_data
    from meta_nni.metafeatures import compute_metafeatures

    return Task(name, "maximize", compute_metafeatures(load_data(data), np.random.default_rng(0)))


def _told(suggestion: Suggestion, result: Result) -> str:
    parts = [suggestion.source]
    if suggestion.mean is not None:
        spread = "" if suggestion.std is None else f" ± {suggestion.std:.2g}"
        parts.append(f"predicted {suggestion.mean:.3f}{spread}")
    parts.append(result.reason or f"measured {result.value:.3f}")
    return f"{', '.join(parts)}, {result.seconds or 0:.0f} s"


def _document(histories: Sequence[History], folder: Path, page: Path) -> dict[str, Any]:
    return {
        "store": str(folder / "experience.db"),
        "report": str(page),
        "runs": [
            {"run_id": h.run.run_id, "values": [trial.value for trial in h.trials]}
            for h in histories
        ],
    }


def _next_steps(last: History, folder: Path, page: Path) -> list[str]:
    run, store = last.run.run_id, f"--store {folder / 'experience.db'}"
    data = folder / f"{last.run.task.name}.npz"
    return [
        "",
        f"report: {page}",
        "Now try:",
        f"  meta-nni explain {run} {store}",
        f"  meta-nni best {run} {store} --data {data} --export {folder / 'model.keras'}",
        f"  meta-nni propose --data {data} --space {_SPACE} {store}",
    ]

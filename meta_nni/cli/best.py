"""`meta-nni best`: the best config of a run, and its model as a file."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meta_nni.cli.arguments import CommandError, Commands, add_store, known_history
from meta_nni.cli.data import DATA_HELP, data_spec
from meta_nni.cli.numbers import at_least, seed
from meta_nni.cli.quiet import load_keras
from meta_nni.cli.spaces import spaces_of
from meta_nni.limits import limits_of, measured
from meta_nni.metrics import metric_of
from meta_nni.objectives import front, objectives_of
from meta_nni.store import ExperienceStore
from meta_nni.trial import History, Result, Trial

if TYPE_CHECKING:
    from meta_nni.models import KerasEvaluator

__all__ = ["add_command"]

# The rest of a budget sizes the model, such as a cell network's width.
_TRAINING = ("epochs", "samples", "seconds", "parameters", "batch_size", "balanced")
_EPOCHS = 10  # where the trial does not say how many it had


def add_command(verbs: Commands) -> None:
    """Adds the verb."""
    parser = verbs.add_parser(
        "best",
        help="the best config of a run, and its model as a file",
        description="Shows the best config of a run. With --export it is trained again on the "
        "data, a fifth of which is held out to choose the best epoch, and saved with its "
        "preprocessing: keras.models.load_model(FILE).predict(x) takes rows as the data has "
        "them. The store holds configs and values, no weights.",
    )
    parser.add_argument("run", metavar="RUN", help="the run's id, see meta-nni experience list")
    add_store(parser)
    parser.add_argument("--export", metavar="FILE", help="save the model there, FILE.keras")
    parser.add_argument("--data", metavar="DATA", help=f"to train on: {DATA_HELP}")
    parser.add_argument("--space", metavar="NAME", help="the run's space, where it has to be told")
    parser.add_argument(
        "--epochs",
        type=at_least(1),
        metavar="N",
        help="most epochs; default as many as the trial had",
    )
    parser.add_argument("--seed", type=seed, default=0, help="of weights and order (default 0)")
    parser.add_argument(
        "--front", action="store_true", help="the trials of the Pareto front of its objectives"
    )
    parser.add_argument("--json", action="store_true", help="for programs: one JSON object")
    parser.set_defaults(verb=_best)


def _best(arguments: argparse.Namespace) -> None:
    if (arguments.export is None) != (arguments.data is None):
        raise CommandError("--export and --data belong together: a model is trained on data")
    with closing(ExperienceStore.open(arguments.store, create=False)) as store:
        history = known_history(store, arguments.run)
    if history.best is None:
        which = " that keeps its limits" if limits_of(history.run) and history.completed else ""
        raise CommandError(
            f"run {history.run.run_id!r} has no measured trial{which} among its "
            f"{len(history.trials)}"
        )
    if arguments.front:
        _print_front(history, arguments.json)
        return
    document = _document(history, history.best)
    if arguments.export is not None:
        document["model"] = _export(arguments, history, history.best)
    if arguments.json:
        print(json.dumps(document, indent=1))
    else:
        print("\n".join(_lines(document)))


def _print_front(history: History, as_json: bool) -> None:
    names = [goal.name for goal in objectives_of(history.run)] or ["value"]
    points = [
        {
            "trial": trial.number,
            **{name: measured(trial.result, name) for name in names},
            "config": trial.config,
        }
        for trial in front(history)
    ]
    for point in [json.dumps({"front": points}, indent=1)] if as_json else map(json.dumps, points):
        print(point)


def _document(history: History, best: Trial) -> dict[str, Any]:
    result, run = best.result or Result(None), history.run
    return {
        "run_id": run.run_id,
        "task": run.task.name,
        "objective": run.task.objective,
        "metric": run.metric,
        "recipe": run.recipe,
        "trial": best.number,
        "value": best.value,
        "seconds": result.seconds,
        "metrics": dict(result.metrics),
        "budget": dict(result.budget),
        "config": best.config,
    }


def _lines(document: dict[str, Any]) -> list[str]:
    metric = document["metric"] or "value"
    lines = [
        f"trial {document['trial']} of {document['run_id']}: {metric} {document['value']:.6g}",
        json.dumps(document["config"], indent=1),
    ]
    if model := document.get("model"):
        held_out = f"{model['metric']} {model['value']:.6g} on rows that were held out"
        lines.append(f"{model['file']}: {held_out}, after epoch {model['best_epoch'] + 1:.0f}")
        if model["classes"]:
            lines.append(f"classes, in the order of the outputs: {json.dumps(model['classes'])}")
    return lines


def _export(arguments: argparse.Namespace, history: History, best: Trial) -> dict[str, Any]:
    file = Path(arguments.export)
    if file.suffix != ".keras":
        raise CommandError(f"--export is {str(file)!r}, expected a file that ends in .keras")
    if not file.absolute().parent.is_dir():
        raise CommandError(f"--export is {str(file)!r}, but its folder does not exist")
    evaluator = _evaluator(arguments, history, best)

    def report(epoch: int, value: float) -> None:
        print(f"epoch {epoch + 1}: {value:.4f}", file=sys.stderr, flush=True)

    try:
        result = evaluator.export(best.config, file, report)
    except (ValueError, OSError) as error:
        raise CommandError(f"no model of trial {best.number}: {error}") from None
    problem = evaluator.problem
    return {
        "file": str(file),
        "metric": evaluator.measured.on_validation,
        "value": result.value,
        "best_epoch": result.metrics["best_epoch"],
        "seconds": result.seconds,
        "classes": problem.classes.tolist(),
    }


def _evaluator(arguments: argparse.Namespace, history: History, best: Trial) -> KerasEvaluator:
    fitting = [arguments.space] if arguments.space else spaces_of(history.run.space, best.config)
    if not fitting:
        raise CommandError(
            f"the space of run {history.run.run_id!r} is none that ships, so only your own code "
            "can make a model of its configs; without --export the config is shown. If it is a "
            "shipped one with other values, name it with --space"
        )
    load_keras()
    from meta_nni.models import KerasEvaluator

    budget = best.result.budget if best.result else {}
    settings = {name: _count(size) for name, size in budget.items() if name not in _TRAINING}
    epochs = arguments.epochs or int(budget.get("epochs", _EPOCHS))
    return KerasEvaluator(
        fitting[0],
        data=data_spec(arguments.data),
        epochs=epochs,
        patience=epochs,  # the last fit: the best of all epochs
        batch_size=int(budget.get("batch_size", 32)),
        balanced=bool(budget.get("balanced")),
        metric=_metric(history),
        seed=arguments.seed,
        model=settings,
    )


def _metric(history: History) -> str | None:
    metric = metric_of(history.run.metric)
    return None if metric is None else metric.name


def _count(number: float) -> float:
    return int(number) if float(number).is_integer() else number

"""`meta-nni explain`: why each config was proposed, and how the prediction held."""

from __future__ import annotations

import argparse
import json
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict
from typing import Any

from meta_nni.cli.arguments import CommandError, Commands, add_store, known_history
from meta_nni.cli.explanation import INTERVAL, Calibration, Explanation, explain_trial
from meta_nni.cli.reasons import reasons
from meta_nni.cli.text import WIDTH, labelled, shown, table
from meta_nni.store import ExperienceStore
from meta_nni.trial import History

__all__ = ["add_command"]

_HEADINGS = ("TRIAL", "SOURCE", "PREDICTED", f"{INTERVAL:.0%} INTERVAL", "MEASURED", "INSIDE")


def add_command(verbs: Commands) -> None:
    """Adds the verb."""
    parser = verbs.add_parser(
        "explain",
        help="why a run's configs were proposed",
        description="Shows what was predicted of each config of a run, the earlier tasks, trials "
        "and decisions that spoke for it, and how the predictions held.",
    )
    parser.add_argument("run", metavar="RUN", help="the run's id, see meta-nni experience list")
    add_store(parser)
    parser.add_argument(
        "--trial", type=int, metavar="N", help="this trial alone, with all of its evidence"
    )
    parser.add_argument("--json", action="store_true", help="for programs: one JSON object")
    parser.set_defaults(verb=_explain)


def _explain(arguments: argparse.Namespace) -> None:
    with closing(ExperienceStore.open(arguments.store, create=False)) as store:
        history = known_history(store, arguments.run)
    trials = [
        explain_trial(trial) for trial in history.trials if arguments.trial in (None, trial.number)
    ]
    if not trials and arguments.trial is not None:
        raise _unknown_trial(history, arguments.trial)
    calibration = Calibration.of(history)
    if arguments.json:
        print(json.dumps(_document(history, trials, calibration), indent=1))
        return
    print("\n".join(_lines(history, trials, calibration, whole=arguments.trial is not None)))


def _unknown_trial(history: History, number: int) -> CommandError:
    numbers = [trial.number for trial in history.trials]
    known = f"{min(numbers)} to {max(numbers)}" if numbers else "none yet"
    return CommandError(f"run {history.run.run_id!r} has no trial {number}, only {known}")


def _document(
    history: History, trials: Sequence[Explanation], calibration: Calibration
) -> dict[str, Any]:
    run = history.run
    return {
        "run_id": run.run_id,
        "task": run.task.name,
        "objective": run.task.objective,
        "metric": run.metric,
        "trials": [asdict(trial) for trial in trials],
        "calibration": asdict(calibration),
    }


# Text


def _lines(
    history: History, trials: Sequence[Explanation], calibration: Calibration, whole: bool
) -> Iterator[str]:
    run = history.run
    title = f"{shown(run.run_id)}: {shown(run.task.name)}, {run.task.objective}"
    yield f"{title} {shown(run.metric)}" if run.metric else title
    yield ""
    heading, *rows = table([_HEADINGS, *map(_row, trials)])
    yield heading
    for row, trial in zip(rows, trials, strict=True):
        yield row
        for label, text in reasons(trial, whole):
            yield from labelled(label, text)
    yield ""
    yield from textwrap.wrap(calibration.in_words(), WIDTH)


def _row(trial: Explanation) -> tuple[str, ...]:
    interval = inside = "-"
    if trial.interval is not None:
        interval = " to ".join(f"{end:.4g}" for end in trial.interval)
    if trial.inside is not None:
        inside = "yes" if trial.inside else "no"
    measured = trial.state if trial.measured is None else f"{trial.measured:.4g}"
    if trial.reason is not None:
        measured = f"{trial.state}: {trial.reason}"
    predicted = "-" if trial.predicted is None else f"{trial.predicted:.4g}"
    cells = (predicted, interval, shown(measured, 30), inside)
    return (str(trial.number), shown(trial.source, 16), *cells)

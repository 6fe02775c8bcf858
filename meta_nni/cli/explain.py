"""`meta-nni explain`: why each config was proposed, and how the prediction held."""

from __future__ import annotations

import argparse
import itertools
import json
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict
from typing import Any

from meta_nni.cli.arguments import CommandError, Commands, add_store, near
from meta_nni.cli.evidence import Evidence, TaskEvidence, TrialEvidence
from meta_nni.cli.explanation import INTERVAL, Calibration, Explanation, explain_trial
from meta_nni.cli.text import shown, table
from meta_nni.store import ExperienceStore, StoreError
from meta_nni.trial import History

__all__ = ["add_command"]

_WIDTH = 100  # columns
_LABEL = 14  # columns of the indented words before what they label
_MOST = 3  # tasks, own trials and decisions of each where all trials are shown
_MOST_TRIALS = 2  # trials of each task there
_HOLD = "\N{NO-BREAK SPACE}"  # where a line is not to be broken, until it is shown
_HEADINGS = ("TRIAL", "SOURCE", "PREDICTED", f"{INTERVAL:.0%} INTERVAL", "MEASURED", "INSIDE")


def add_command(verbs: Commands) -> None:
    """Adds the verb."""
    parser = verbs.add_parser("explain", help="why a run's configs were proposed")
    parser.add_argument("run", metavar="RUN", help="the run's id, see meta-nni experience list")
    add_store(parser)
    parser.add_argument(
        "--trial", type=int, metavar="N", help="this trial alone, with all of its evidence"
    )
    parser.add_argument("--json", action="store_true", help="for programs: one JSON object")
    parser.set_defaults(verb=_explain)


def _explain(arguments: argparse.Namespace) -> None:
    with closing(ExperienceStore.open(arguments.store, create=False)) as store:
        history = _history(store, arguments.run)
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


def _history(store: ExperienceStore, run_id: str) -> History:
    known = [run.run_id for run in store.runs()]
    if run_id in known:
        return store.history(run_id)
    names = [repr(name) for name in near(run_id, known) or known[-3:]]
    hint = f"did you mean {' or '.join(names)}?" if names else "it has no runs"
    raise StoreError(f"run {run_id!r} is not in {store.name}; {hint} See: meta-nni experience list")


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
        for label, text in _reasons(trial, whole):
            yield from _labelled(label, text)
    yield ""
    yield from textwrap.wrap(_summary(calibration), _WIDTH)


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


def _reasons(trial: Explanation, whole: bool) -> Iterator[tuple[str, str]]:
    """Yields what speaks for a proposal, as labels and texts; all of it if `whole`."""
    evidence, most = Evidence.read(trial.evidence), None if whole else _MOST
    if whole:
        yield "config", json.dumps(trial.config)
    if trial.why and (whole or not evidence):
        yield "why", shown(trial.why)
    labels = itertools.chain(["past tasks"], itertools.repeat(""))
    for task in evidence.tasks[:most]:
        yield next(labels), _task(task, whole)
    if evidence.no_transfer is not None:
        chance = f"{_share(evidence.no_transfer)} chance that none of them bears on this one"
        yield next(labels), chance
    if evidence.own:
        yield "this run", _trials(evidence.own[:most])
    if evidence.decisions:
        effects = [
            f"{shown(each.parameter, 40)}={_value(each.value)}{_HOLD}{each.effect:+.2g}"
            for each in evidence.decisions[:most]
        ]
        yield "decisions", ", ".join(effects)


def _task(task: TaskEvidence, whole: bool) -> str:
    name = f"{_share(task.weight)} {shown(task.task, 32)}"
    if whole and task.run_id:
        name = f"{name} ({shown(task.run_id, 32)})"
    trials = _trials(task.trials if whole else task.trials[:_MOST_TRIALS])
    return f"{name}: {trials}" if trials else name


def _share(share: float) -> str:
    return f"{round(share, 2) + 0.0:>4.0%}"  # + 0.0: without a minus before zero


def _trials(trials: Sequence[TrialEvidence]) -> str:
    return ", ".join(
        _HOLD.join(("trial", str(each.number), _measured(each), f"{each.weight:+.2g}"))
        for each in trials
    )


def _measured(trial: TrialEvidence) -> str:
    return "(failed)" if trial.value is None else f"({trial.value:.4g})"


def _value(value: Any) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else value
    return shown(text if isinstance(text, str) else json.dumps(text), 24)


def _labelled(label: str, text: str) -> list[str]:
    """Returns a text of any length as lines, indented below their label."""
    lines = textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=f"  {label:<{_LABEL - 2}}",
        subsequent_indent=" " * _LABEL,
    )
    return [line.replace(_HOLD, " ") for line in lines]


def _summary(calibration: Calibration) -> str:
    count, error = calibration.num_measured, calibration.mean_absolute_error
    if error is None:
        return "No trial has been both predicted and measured yet."
    parts = [f"mean absolute error {error:.4g}"]
    if calibration.num_intervals:
        share = calibration.num_inside / calibration.num_intervals
        held = f"{calibration.num_inside} of {calibration.num_intervals} ({share:.0%})"
        parts.insert(0, f"{INTERVAL:.0%} intervals hold {held}")
    if calibration.rank_correlation is not None:
        parts.append(f"rank correlation {calibration.rank_correlation:.2f}")
    return f"{count} predicted and measured: {', '.join(parts)}."

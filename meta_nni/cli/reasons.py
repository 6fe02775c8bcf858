"""What speaks for a proposal, in words: as labels and texts, for terminals and pages."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from typing import Any

from meta_nni.cli.evidence import Evidence, TaskEvidence, TrialEvidence
from meta_nni.cli.explanation import Explanation
from meta_nni.cli.text import HOLD, shown

__all__ = ["reasons"]

_MOST = 3  # tasks, own trials and decisions of each where all trials are shown
_MOST_TRIALS = 2  # trials of each task there


def reasons(trial: Explanation, whole: bool) -> Iterator[tuple[str, str]]:
    """Yields what speaks for a proposal, as labels and texts; all of it if `whole`.

    An empty label means that the one before goes on.
    """
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
    matter = [each for each in evidence.decisions if each.effect]
    if matter:
        effects = [
            f"{shown(each.parameter, 40)}={_value(each.value)}{HOLD}{each.effect:+.2g}"
            for each in matter[:most]
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
        HOLD.join(("trial", str(each.number), _measured(each), f"{each.weight:+.2g}"))
        for each in trials
    )


def _measured(trial: TrialEvidence) -> str:
    return "(failed)" if trial.value is None else f"({trial.value:.4g})"


def _value(value: Any) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else value
    return shown(text if isinstance(text, str) else json.dumps(text), 24)

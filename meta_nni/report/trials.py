"""The list of a run's trials: a line each, which opens to its config and its reasons."""

from __future__ import annotations

from collections.abc import Sequence

from meta_nni.cli.explanation import INTERVAL, Explanation
from meta_nni.cli.reasons import reasons
from meta_nni.cli.text import HOLD
from meta_nni.report.markup import Element, tag
from meta_nni.trial import History

__all__ = ["listed", "trial_list"]

_MOST = 200  # trials; more would make a page that no browser shows with ease


def listed(history: History, trials: Sequence[Explanation]) -> list[Explanation]:
    """Returns the trials that are listed, in their order: all, or the best and the last."""
    if len(trials) <= _MOST:
        return list(trials)
    best = {trial.number for trial in history.ranked[: _MOST // 2]}
    rest = [trial.number for trial in trials if trial.number not in best]
    chosen = best.union(rest[len(best) - _MOST :])
    return [trial for trial in trials if trial.number in chosen]


def trial_list(history: History, trials: Sequence[Explanation]) -> Element:
    """Returns the list of some trials of a run."""
    seconds = {t.number: t.result.seconds if t.result else None for t in history.trials}
    best = None if history.best is None else history.best.number
    heading = _cells("trial", "measured", f"predicted, {INTERVAL:.0%}", "seconds", "source")
    entries = [
        tag("details", _summary(t, seconds[t.number], t.number == best), _reasons(t))
        for t in trials
    ]
    return tag("div", tag("div", heading, class_="heading"), entries, class_="trials")


def _summary(trial: Explanation, seconds: float | None, is_best: bool) -> Element:
    measured = trial.state if trial.measured is None else f"{trial.measured:.4g}"
    predicted = "–" if trial.predicted is None else f"{trial.predicted:.4g}"
    if trial.interval is not None:
        low, high = trial.interval
        predicted += f" ({low:.3g} to {high:.3g})"
    took = "–" if seconds is None else f"{seconds:.3g}"
    kind = "chosen" if is_best else "miss" if trial.inside is False else None
    return tag("summary", _cells(str(trial.number), measured, predicted, took, trial.source, kind))


def _cells(
    number: str, measured: str, predicted: str, seconds: str, source: str, kind: str | None = None
) -> list[Element]:
    return [
        tag("span", number),
        tag("span", measured, class_=kind),
        tag("span", predicted),
        tag("span", seconds, class_="optional"),
        tag("span", source, class_="optional more"),
    ]


def _reasons(trial: Explanation) -> Element:
    rows: list[Element] = []
    if trial.reason is not None:
        rows += [tag("dt", trial.state), tag("dd", trial.reason)]
    for label, held in reasons(trial, whole=True):
        text = held.replace(HOLD, " ")  # which browsers break where they like
        rows += [tag("dt", label), tag("dd", tag("code", text) if label == "config" else text)]
    return tag("dl", rows)

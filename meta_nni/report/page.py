"""The page: a heading with the result, a section per question, and how to get the model."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator

import meta_nni
from meta_nni.cli.explanation import INTERVAL, Calibration, Explanation, explain_trial
from meta_nni.limits import limits_of
from meta_nni.objectives import objectives_of
from meta_nni.report.charts import (
    best_so_far,
    cost,
    num_off,
    pareto,
    pareto_front,
    predicted_and_measured,
)
from meta_nni.report.decisions import Importance, expected_effects, explained_shares
from meta_nni.report.markup import Child, Element, serialise, tag
from meta_nni.report.sources import based_on
from meta_nni.report.style import STYLE
from meta_nni.report.trials import listed, trial_list
from meta_nni.trial import History, Trial

__all__ = ["costs", "render"]

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"  # no request leaves the page
_MOST_DECISIONS = 8
_LEGENDS = {
    "measured": "measured",
    "spent": "took",
    "miss": "measured, outside",
    "failed": "failed",
    "predicted": "predicted",
    "interval": f"{INTERVAL:.0%} interval",
}


def costs(history: History) -> dict[str, list[tuple[Trial, float]]]:
    """Returns what can be held against the values: seconds and metrics, of completed trials.

    Only numbers above 0 count, and only names that two trials have.
    """
    found: dict[str, list[tuple[Trial, float]]] = {}
    for trial in history.completed:
        if trial.result is None:
            continue
        numbers = {"seconds": trial.result.seconds, **trial.result.metrics}
        for name, number in numbers.items():
            if isinstance(number, int | float) and 0 < number < float("inf"):
                found.setdefault(name, []).append((trial, float(number)))
    return {name: points for name, points in found.items() if len(points) > 1}


def render(history: History, store: str, against: str | None = None) -> str:
    """Returns the report of a run as one HTML page.

    Args:
        history: The run.
        store: Path or URL of its store, for the commands that are shown; no password.
        against: What the Pareto front holds against the values, one of `costs`, of which
            less is better; None takes the run's own objective, else parameters, else seconds.

    Raises:
        KeyError: `against` is none of these.
    """
    trials = [explain_trial(trial) for trial in history.trials]
    points = costs(history)
    if against is None:
        own = [goal.name for goal in objectives_of(history.run) if goal.objective == "minimize"]
        against = next((name for name in (*own, "parameters", "seconds") if name in points), None)
    sections = [
        _progress(history),
        _predictions(history, trials),
        _sources(trials),
        _decisions(history, trials),
        _cost(history),
        None if against is None else _pareto(history, points[against], against),
        _trials(history, trials),
        _model(history, store),
    ]
    body = tag("body", _heading(history), tag("main", sections), _footer())
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("title", f"{history.run.task.name}: search report"),
    )
    style = tag("style")
    style.text = STYLE
    head.append(style)
    return f"<!DOCTYPE html>\n{serialise(tag('html', head, body, lang='en'))}\n"


def _heading(history: History) -> Element:
    run = history.run
    facts = [f"run {run.run_id}", f"{run.task.objective} {run.metric or 'the value'}"]
    facts += [f"recipe {run.recipe}"] if run.recipe else []
    facts += [str(limit) for limit in limits_of(run)]
    tiles = [tag("div", tag("b", value), tag("span", label)) for value, label in _tiles(history)]
    return tag(
        "header",
        tag("p", "Search report", class_="eyebrow"),
        tag("h1", run.task.name),
        tag("p", " · ".join(facts)),
        tag("div", tiles, class_="tiles"),
    )


def _tiles(history: History) -> Iterator[tuple[str, str]]:
    best, calibration = history.best, Calibration.of(history)
    if best is not None:
        yield f"{best.value:.4g}", f"best value, trial {best.number}"
    failed = f", {len(history.failed)} failed" if history.failed else ""
    yield str(len(history.trials)), f"trials, {len(history.completed)} measured{failed}"
    if calibration.num_intervals:
        held = f"{calibration.num_inside} of {calibration.num_intervals}"
        yield held, f"values inside their {INTERVAL:.0%} interval"
    seconds = [t.result.seconds for t in history.trials if t.result and t.result.seconds]
    if seconds:
        yield _duration(sum(seconds)), "spent in trials"


def _section(title: str, text: str, *content: Child, wide: bool = False) -> Element:
    kind = "wide" if wide else None
    return tag("section", tag("h2", title), tag("p", text), *content, class_=kind)


def _legend(*kinds: str) -> Element:
    entries = [tag("li", tag("i", class_=f"swatch key-{k}"), _LEGENDS[k]) for k in kinds]
    return tag("ul", entries, class_="legend")


def _kinds(history: History, ended: str = "measured") -> list[str]:
    return [ended, *(["failed"] if history.failed else [])]


def _progress(history: History) -> Element:
    if history.best is None:
        return _section("Best so far", "No trial has been measured yet.", wide=True)
    first = history.completed[0]
    text = f"{history.best.value:.4g} at trial {history.best.number}, "
    if first is not history.best:
        text = f"From {first.value:.4g} at trial {first.number} to {text}"
    text += "the best. The line is the best value up to each trial."
    if off := num_off(history):
        text += f" {off} hollow {'dot lies' if off == 1 else 'dots lie'} farther off than drawn."
    return _section("Best so far", text, best_so_far(history), _legend(*_kinds(history)))


def _predictions(history: History, trials: list[Explanation]) -> Element | None:
    chart = predicted_and_measured(history, trials)
    if chart is None:
        text = "The controller predicted no values."
        return _section("Predicted and measured", text) if trials else None
    legend = _legend("interval", "predicted", "measured", "miss")
    return _section("Predicted and measured", Calibration.of(history).in_words(), chart, legend)


def _sources(trials: list[Explanation]) -> Element | None:
    drawn = based_on(trials)
    if drawn is None:
        return None
    text = "How much each prediction owes to earlier tasks, and to this run's own results as they "
    text += "come in. Evidence names what adds most; the rest are many small parts."
    return _section("What each proposal was based on", text, *drawn)


def _decisions(history: History, trials: list[Explanation]) -> Element | None:
    found, unit = expected_effects(history, trials), history.run.metric or "units of the value"
    text = "How much the controller expected of a decision beside its alternatives, "
    text += f"mean over the proposals, in {unit}. Under each name: its value in the best trial."
    if not found:
        found = explained_shares(history)
        text = "Share of the values' variance that each decision explains alone (omega squared). "
        text += "Under each name: its value in the best trial."
    if not found:
        return None
    most = found[0].size or 1.0
    bars = [cell for each in found[:_MOST_DECISIONS] for cell in _bar(each, most)]
    return _section("Which decisions matter", text, tag("div", bars, class_="bars"))


def _bar(importance: Importance, most: float) -> list[Element]:
    value = importance.best
    best = "–" if value is None else value if isinstance(value, str) else json.dumps(value)
    best = f"{value:.4g}" if isinstance(value, float) else best
    name = importance.parameter.rpartition("/")[2]
    label = tag("div", name, tag("div", best, class_="best-value"), title=importance.parameter)
    filled = tag("i", style=f"width: {100 * importance.size / most:.1f}%")
    size = tag("div", f"{importance.size:.2g}", class_="size")
    return [label, tag("div", filled, class_="meter"), size]


def _cost(history: History) -> Element | None:
    chart = cost(history)
    if chart is None:
        return None
    took = [t.result.seconds for t in history.trials if t.result and t.result.seconds is not None]
    text = f"{_duration(sum(took))} in {len(took)} trials, the longest {_duration(max(took))}. "
    text += "Bars are what a trial took, rings what was expected."
    return _section("Cost in seconds", text, chart, _legend(*_kinds(history, "spent"), "predicted"))


def _pareto(history: History, points: list[tuple[Trial, float]], name: str) -> Element:
    front = pareto_front(points, history.run.task.sign)
    numbers = ", ".join(str(trial.number) for trial, _ in front)
    text = f"The Pareto front is trials {numbers}: no other has a better value for as few {name}."
    if len(front) == 1:
        text = f"Trial {numbers} has the best value for the fewest {name}."
    return _section(f"Value against {name}", text, pareto(history, points, name))


def _trials(history: History, trials: list[Explanation]) -> Element:
    shown = listed(history, trials)
    text = "Open a trial to see its config and all that spoke for it."
    if len(shown) < len(trials):
        text = f"The best and the last {len(shown)} of {len(trials)}. {text}"
    return _section("Trials", text, trial_list(history, shown), wide=True)


def _model(history: History, store: str) -> Element | None:
    best = history.best
    if best is None:
        return None
    run = shlex.quote(history.run.run_id)
    where = f"--store {shlex.quote(store)}"
    command = f"meta-nni best {run} {where} --data train.npz --export model.keras"
    code = 'import keras\n\nmodel = keras.models.load_model("model.keras")\nmodel.predict(x)'
    text = f"Trial {best.number} is the best. Its config is trained again on your data and saved "
    text += "with its preprocessing, so that it takes rows as they are:"
    why = f"meta-nni explain {run} {where} --trial {best.number}"
    return _section(
        "How to get the model",
        text,
        tag("pre", command),
        tag("pre", code),
        tag("p", "The config, and why it was proposed:"),
        tag("pre", f"{json.dumps(best.config, indent=1)}"),
        tag("pre", why),
        wide=True,
    )


def _footer() -> Element:
    return tag("footer", f"meta_nni {meta_nni.__version__}. The page holds all that it shows.")


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"

"""The metrics that a search may optimise: their names, and which direction is better.

How they are computed stands in `meta_nni.models.metrics`. Every trial keeps all of them, so
that a run may be read as if it had been searched for another one: `measured_by`.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from typing import Literal

from meta_nni.trial import History, Objective, Result, Trial

__all__ = [
    "DEFAULT_METRICS",
    "METRICS",
    "Metric",
    "find_metric",
    "in_metric",
    "measured_by",
    "metric_of",
]

_VALIDATION = "val_"
"""What names of metrics begin with where they were measured on held-out training rows."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric.

    Attributes:
        name: Its name, a key of `Result.metrics`.
        objective: Whether larger or smaller values are better.
        target: What it measures: "classification", "regression" or "detection".
        meaning: One line for people.
    """

    name: str
    objective: Objective
    target: Literal["classification", "regression", "detection"]
    meaning: str

    @property
    def sign(self) -> float:
        """+1.0 if larger values are better, else -1.0."""
        return 1.0 if self.objective == "maximize" else -1.0

    @property
    def on_validation(self) -> str:
        """Its name where it is measured on held-out training rows: "val_accuracy"."""
        return _VALIDATION + self.name


def _metrics() -> dict[str, Metric]:
    better: Objective = "maximize"
    worse: Objective = "minimize"
    over = "mean over the classes"
    share = "mean weighed by the rows of each class"
    return {
        metric.name: metric
        for metric in (
            Metric("accuracy", better, "classification", "share of rows that are right"),
            Metric("balanced_accuracy", better, "classification", "recall of the true classes"),
            Metric("precision", better, "classification", f"precision, {over}"),
            Metric("precision_weighted", better, "classification", f"precision, {share}"),
            Metric("recall", better, "classification", f"recall, {over}"),
            Metric("recall_weighted", better, "classification", f"recall, {share}"),
            Metric("f1", better, "classification", f"F1, {over}"),
            Metric("f1_weighted", better, "classification", f"F1, {share}"),
            Metric("auc", better, "classification", "area under ROC, each class against the rest"),
            Metric("log_loss", worse, "classification", "cross-entropy in nats"),
            Metric("r2", better, "regression", "share of the variance that is explained"),
            Metric("mean_absolute_error", worse, "regression", "in units of the target"),
            Metric("mean_squared_error", worse, "regression", "in squared units of the target"),
            Metric("map_50", better, "detection", "mean average precision, boxes overlapping 50%"),
            Metric("map_50_95", better, "detection", "the same, mean over overlaps of 50 to 95%"),
        )
    }


METRICS: dict[str, Metric] = _metrics()
"""All metrics by name."""

DEFAULT_METRICS = {"classification": "accuracy", "regression": "r2", "detection": "map_50"}
"""The metric of each target where none is asked for."""

_ALIASES = {
    "f1_macro": "f1",
    "map": "map_50_95",
    "mae": "mean_absolute_error",
    "mse": "mean_squared_error",
    "precision_macro": "precision",
    "recall_macro": "recall",
    "roc_auc": "auc",
}


def find_metric(name: str) -> Metric:
    """Returns the metric that users call `name`: its own name or an alias, such as "mae".

    Raises:
        ValueError: There is none; names the nearest.
    """
    found = _known(name)
    if found is None:
        near = difflib.get_close_matches(str(name), [*METRICS, *_ALIASES], n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"metric is {name!r}, expected one of {list(METRICS)}{hint}")
    return found


def metric_of(run_metric: str | None) -> Metric | None:
    """Returns the metric that a run's values are, such as of "val_accuracy"; None if unknown."""
    return None if run_metric is None else _known(run_metric.removeprefix(_VALIDATION))


def _known(name: str) -> Metric | None:
    return METRICS.get(_ALIASES.get(name, name))


def measured_by(history: History, metric: Metric) -> History:
    """Reads a history as if its search had been for `metric`.

    Args:
        history: Any run.
        metric: The metric wanted.

    Returns:
        The history with the values, direction and name of that metric; as it is where a
        completed trial did not measure it, or where it is the run's metric already. Curves,
        which are those of the old metric, are left out.
    """
    run = history.run
    if run.metric == metric.on_validation or not history.completed:
        return history
    if any(t.result is None or _found(t.result, metric) is None for t in history.completed):
        return history
    task = replace(run.task, objective=metric.objective)
    run = replace(run, task=task, metric=metric.on_validation)
    return History(run, tuple(_measured(trial, metric) for trial in history.trials))


def _measured(trial: Trial, metric: Metric) -> Trial:
    return trial if trial.result is None else replace(trial, result=in_metric(trial.result, metric))


def in_metric(result: Result, metric: Metric) -> Result:
    """Returns a result whose value is `metric`, where it was measured; else it as it is."""
    value = _found(result, metric)
    if result.value is None or value is None or value == result.value:
        return result
    return replace(result, value=value, curve=())


def _found(result: Result, metric: Metric) -> float | None:
    """The measured number. Where names say "val_", the plain ones are of the rows to fit."""
    by_split = any(name.startswith(_VALIDATION) for name in result.metrics)
    return result.metrics.get(metric.on_validation if by_split else metric.name)

"""Which decisions matter: by the controller's own word, else by the run's values."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from meta_nni.cli.evidence import Evidence
from meta_nni.cli.explanation import Explanation
from meta_nni.trial import History

__all__ = ["Importance", "expected_effects", "explained_shares"]

_MIN_TRIALS = 8  # completed, for shares that are not mere chance
_MAX_GROUPS = 4  # more distinct numbers than this are divided into three ranges


@dataclass(frozen=True, slots=True)
class Importance:
    """How much one parameter matters.

    Attributes:
        parameter: Its name.
        size: From 0 on, in units of the metric or as a share of variance.
        best: Its value in the best trial; None where it has none there.
    """

    parameter: str
    size: float
    best: Any


def expected_effects(history: History, trials: Sequence[Explanation]) -> list[Importance]:
    """Returns the mean size of the effect that proposals expected of their own decisions.

    In the units of the metric, largest first. A proposal that does not name a parameter
    counts as one that expects nothing of it; empty where no proposal expects anything of any.
    """
    evidence = [Evidence.read(trial.evidence).decisions for trial in trials]
    naming = [decisions for decisions in evidence if decisions]
    sums: defaultdict[str, float] = defaultdict(float)
    for decisions in naming:
        for each in decisions:
            sums[each.parameter] += abs(each.effect) / len(naming)
    best = _best_values(history)
    found = [Importance(name, size, best.get(name)) for name, size in sums.items() if size]
    return sorted(found, key=lambda each: -each.size)


def explained_shares(history: History) -> list[Importance]:
    """Returns the share of the values' variance that each parameter explains alone.

    Omega squared of a one-way analysis of variance (Hays 1963, section 12.18), which
    takes off what chance explains: `(SSB - (k - 1) MSW) / (SST + MSW)` for k groups. More
    than four different numbers become three ranges of equal count. Largest first, without
    those at 0; empty for fewer than eight measured trials.
    """
    trials = history.completed
    if len(trials) < _MIN_TRIALS:
        return []
    values = np.array([trial.value for trial in trials])
    configs = [history.run.space.flatten(trial.config) for trial in trials]
    best = _best_values(history)
    found = []
    for parameter in history.run.space.parameters:
        share = _omega_squared(values, _groups([c.get(parameter.path) for c in configs]))
        if share > 0:
            found.append(Importance(parameter.name, share, best.get(parameter.name)))
    return sorted(found, key=lambda each: -each.size)


def _groups(values: Sequence[Any]) -> list[str]:
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    if len(set(numbers)) <= _MAX_GROUPS:
        return [json.dumps(value, sort_keys=True) for value in values]
    edges = np.quantile(numbers, (1 / 3, 2 / 3))
    return [str(np.searchsorted(edges, v)) if v in numbers else json.dumps(v) for v in values]


def _omega_squared(values: np.ndarray[Any, Any], groups: Sequence[str]) -> float:
    _, codes = np.unique(groups, return_inverse=True)
    counts = np.bincount(codes)
    if not 1 < len(counts) < len(values):
        return 0.0
    scaled = values / (np.abs(values).max() or 1.0)  # squares of any number are finite
    means = np.bincount(codes, scaled) / counts
    within = float(((scaled - means[codes]) ** 2).sum())
    total = float(((scaled - scaled.mean()) ** 2).sum())
    error = within / (len(values) - len(counts))
    if total + error == 0:
        return 0.0
    return max((total - within - (len(counts) - 1) * error) / (total + error), 0.0)


def _best_values(history: History) -> dict[str, Any]:
    if history.best is None:
        return {}
    values, space = history.run.space.flatten(history.best.config), history.run.space
    return {p.name: values[p.path] for p in space.parameters if p.path in values}

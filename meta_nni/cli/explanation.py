"""What was predicted of a run's trials, beside what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from meta_nni.trial import Config, History, State, Trial

__all__ = ["INTERVAL", "Calibration", "Explanation", "explain_trial"]

INTERVAL = 0.9
"""Probability that predicted intervals are to hold: from the 5% to the 95% quantile."""

_DEVIATIONS = 1.6448536269514722  # the 95% quantile of the standard normal distribution


@dataclass(frozen=True, slots=True)
class Explanation:
    """One trial: what the controller expected, why, and what came.

    Attributes:
        number: Order in the run, from 0.
        trial_id: The host's id.
        source: Where the proposal comes from, see `Suggestion.source`.
        config: The proposed config.
        predicted: Predicted value in the units of the metric, or None.
        interval: The predicted 90% interval, mean ± 1.645 standard deviations, or None.
        state: The trial's state.
        measured: The measured value, or None.
        reason: Why there is none, or None.
        inside: Whether the interval holds the measured value; None unless both are known.
        why: The controller's own line.
        evidence: What it named as evidence, as stored.
    """

    number: int
    trial_id: str
    source: str
    config: Config
    predicted: float | None
    interval: tuple[float, float] | None
    state: State
    measured: float | None
    reason: str | None
    inside: bool | None
    why: str
    evidence: Mapping[str, Any]


def explain_trial(trial: Trial) -> Explanation:
    """Returns what is known of a trial and of the proposal that it came from."""
    suggestion, measured = trial.suggestion, trial.value
    interval = inside = None
    if suggestion.mean is not None and suggestion.std is not None:
        width = _DEVIATIONS * suggestion.std
        interval = (suggestion.mean - width, suggestion.mean + width)
        inside = None if measured is None else interval[0] <= measured <= interval[1]
    return Explanation(
        trial.number,
        trial.trial_id,
        suggestion.source,
        trial.config,
        suggestion.mean,
        interval,
        trial.state,
        measured,
        trial.result.reason if trial.result else None,
        inside,
        suggestion.why,
        suggestion.evidence,
    )


@dataclass(frozen=True, slots=True)
class Calibration:
    """How well a run's predictions held.

    Attributes:
        num_measured: Trials that were both predicted and measured.
        num_intervals: Those of them whose prediction came with a deviation.
        num_inside: Those of these whose 90% interval holds the measured value.
        mean_absolute_error: Of the predicted values, in the units of the metric; None
            without a measured trial.
        rank_correlation: Spearman's, of predicted and measured values; None for fewer than
            three, or where either does not vary.
    """

    num_measured: int
    num_intervals: int
    num_inside: int
    mean_absolute_error: float | None
    rank_correlation: float | None

    @classmethod
    def of(cls, history: History) -> Calibration:
        """Returns how the predictions of a run held so far."""
        explained = [explain_trial(trial) for trial in history.completed]
        pairs = [
            (each.predicted, each.measured)
            for each in explained
            if each.predicted is not None and each.measured is not None
        ]
        inside = [each.inside for each in explained if each.inside is not None]
        predicted, measured = np.array(pairs, float).reshape(-1, 2).T
        with np.errstate(over="ignore"):  # of numbers near the largest one it is infinite
            error = float(np.abs(predicted - measured).mean()) if pairs else None
        return cls(len(pairs), len(inside), sum(inside), error, _spearman(predicted, measured))

    def in_words(self) -> str:
        """Says it in one sentence."""
        if self.mean_absolute_error is None:
            return "No trial has been both predicted and measured yet."
        parts = [f"mean absolute error {self.mean_absolute_error:.4g}"]
        if self.num_intervals:
            share = self.num_inside / self.num_intervals
            held = f"{self.num_inside} of {self.num_intervals} ({share:.0%})"
            parts.insert(0, f"{INTERVAL:.0%} intervals hold {held}")
        if self.rank_correlation is not None:
            parts.append(f"rank correlation {self.rank_correlation:.2f}")
        return f"{self.num_measured} predicted and measured: {', '.join(parts)}."


def _spearman(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> float | None:
    """Pearson's correlation of ranks, equal values sharing their mean rank."""
    ranks = np.array([_ranks(a), _ranks(b)])
    if ranks.shape[1] < 3 or (ranks.std(axis=1) == 0).any():
        return None
    return float(np.corrcoef(ranks)[0, 1])


def _ranks(values: Sequence[float] | npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(sizes)
    return np.asarray((last - (sizes - 1) / 2)[group], float)

"""Short trainings read as what they would have become: the budget of each row counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from meta_nni.trial import History, Trial

__all__ = ["at_full_budget"]


def at_full_budget(history: History) -> History:
    """Returns the history with the values of short trainings brought to the full budget.

    A completed trial whose budget has fewer epochs than the longest of its run was stopped
    early, such as by successive halving. What it would have reached is estimated as its best
    value so far plus the mean of what the fully trained trials of the run still gained from the
    same epoch on, by their curves: a learning curve is taken for a common one, shifted
    (the additive trend of freeze-thaw optimisation, Swersky et al. 2014). Without such
    a curve the value stays.

    A trial whose budget says no epochs was trained in full, for as many as its curve is long:
    `AshaAssessor` says them of those that it stops. Where no full training has a curve, short
    ones are brought as far as the longest of them. A history without short trainings is
    returned as it is.

    Args:
        history: Of any run.
    """
    completed = history.completed
    full = max(map(_epochs, completed), default=0.0)
    short = {trial.trial_id for trial in completed if 0 < _said(trial) < full}
    if not short:
        return history
    sign = float(history.run.task.sign)
    trained = [t for t in completed if t.trial_id not in short and t.result and t.result.curve]
    trials = tuple(
        _extended(trial, trained, sign) if trial.trial_id in short else trial
        for trial in history.trials
    )
    return replace(history, trials=trials)


def _said(trial: Trial) -> float:
    """The epochs of its budget; 0 if it says none."""
    return float(trial.result.budget.get("epochs", 0.0)) if trial.result else 0.0


def _epochs(trial: Trial) -> float:
    """The epochs of its budget, else of its curve; 0 if neither is known."""
    return _said(trial) or float(len(trial.result.curve) if trial.result else 0)


def _extended(trial: Trial, trained: Sequence[Trial], sign: float) -> Trial:
    assert trial.result is not None
    assert trial.result.value is not None
    epochs = int(_said(trial))
    gains = [
        sign * t.result.value - max(sign * value for value in t.result.curve[:epochs])
        for t in trained
        if t.result is not None and t.result.value is not None and len(t.result.curve) >= epochs
    ]
    if not gains or epochs < 1:
        return trial
    value = trial.result.value + sign * float(np.mean(gains))
    return replace(trial, result=replace(trial.result, value=value))

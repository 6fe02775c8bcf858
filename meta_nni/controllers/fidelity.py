"""Short trainings read as what they would have become: the budget of each row counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from meta_nni.trial import History, Trial

__all__ = ["at_full_budget"]


def at_full_budget(history: History) -> History:
    """Returns the history with the values of short trainings brought to the full budget.

    A completed trial whose budget has fewer epochs than the largest of its run was stopped
    early, such as by successive halving. What it would have reached is estimated as its best
    value so far plus the mean of what the fully trained trials of the run still gained from the
    same epoch on, by their curves: a learning curve is taken for a common one, shifted
    (the additive trend of freeze-thaw optimisation, Swersky et al. 2014). Without such
    a curve the value stays. A history whose trials all have the same budget is returned as it is.

    Args:
        history: Of any run.
    """
    completed = history.completed
    full = max(map(_epochs, completed), default=0.0)
    short = {trial.trial_id for trial in completed if 0 < _epochs(trial) < full}
    if not short:
        return history
    sign = float(history.run.task.sign)
    trained = [t for t in completed if _epochs(t) == full and t.result and t.result.curve]
    trials = tuple(
        _extended(trial, trained, sign) if trial.trial_id in short else trial
        for trial in history.trials
    )
    return replace(history, trials=trials)


def _epochs(trial: Trial) -> float:
    return float(trial.result.budget.get("epochs", 0.0)) if trial.result else 0.0


def _extended(trial: Trial, trained: Sequence[Trial], sign: float) -> Trial:
    assert trial.result is not None
    assert trial.result.value is not None
    epochs = int(_epochs(trial))
    gains = [
        sign * t.result.value - max(sign * value for value in t.result.curve[:epochs])
        for t in trained
        if t.result is not None and t.result.value is not None and len(t.result.curve) >= epochs
    ]
    if not gains or epochs < 1:
        return trial
    value = trial.result.value + sign * float(np.mean(gains))
    return replace(trial, result=replace(trial.result, value=value))

"""Whether the last fit of AutoKeras kept what the best trial had.

AutoKeras trains the best candidate anew, from other random weights and without early stopping,
on training and validation rows together. That usually helps, and sometimes fails: the training
diverges, or is cut short. A model that is worse on rows that it was trained on than the trial's
was when it had not seen them has lost something; the trial's weights are then the better model.
"""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

from autokeras import pipeline as pipelines

__all__ = ["better_of"]

_LOGGER = logging.getLogger(__name__)


def better_of(tuner: Any, fitted: tuple[Any, Any], rows: dict[str, Any]) -> tuple[Any, Any]:
    """Returns the last fit, or the best trial's model where that is better on validation rows.

    Both are measured alike, on the rows that the trials were compared by.

    Args:
        tuner: AutoKeras's tuner, after its last fit.
        fitted: Preprocessing and model of the last fit.
        rows: "x", "y" and "validation_data" of the search, "batch_size" if it was given.

    Returns:
        Preprocessing and model.
    """
    trial, objective = tuner.oracle.get_best_trials(1)[0], tuner.oracle.objective
    sign = 1.0 if objective.direction == "max" else -1.0
    if rows.get("validation_data") is None or trial.score is None:
        return fitted
    value = _value(fitted, objective, rows)
    if value is None or sign * value >= sign * trial.score:
        return fitted
    kept = _of_trial(tuner, trial, rows)
    restored = None if kept is None else _value(kept, objective, rows)
    if kept is None or restored is None or sign * restored <= sign * value:
        return fitted
    _LOGGER.warning(
        "the last fit reaches %s %.4f, trial %s had reached %.4f: the trial's weights are kept",
        objective.name,
        value,
        trial.trial_id,
        restored,
    )
    return kept


def _value(pair: tuple[Any, Any], objective: Any, rows: dict[str, Any]) -> float | None:
    """The objective on the validation rows; None if it cannot be measured after training."""
    pipeline, model = pair
    x, y = pipeline.transform(rows["validation_data"])
    measured = model.evaluate(x, y, batch_size=rows.get("batch_size"), verbose=0, return_dict=True)
    logs = {f"val_{name}": value for name, value in measured.items()}
    return float(objective.get_value(logs)) if objective.has_value(logs) else None


def _of_trial(tuner: Any, trial: Any, rows: dict[str, Any]) -> tuple[Any, Any] | None:
    """Preprocessing and model of a trial's best epoch; None if its weights are gone."""
    weights = Path(tuner._get_checkpoint_fname(trial.trial_id))
    if not weights.exists():
        return None
    pipeline = pipelines.load_pipeline(tuner._pipeline_path(trial.trial_id))
    x, _ = pipeline.transform((rows["x"], rows["y"]))
    model = tuner._try_build(trial.hyperparameters)
    tuner.adapt(model, x)  # vocabularies are not among the weights
    with warnings.catch_warnings():
        # The optimizer of a model that was not trained has no state to load, nor needs it.
        warnings.filterwarnings("ignore", "Skipping variable loading for optimizer")
        model.load_weights(weights)
    return pipeline, model

"""How long a trained candidate of AutoKeras takes to predict."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tree
from autokeras import pipeline as pipelines

from meta_nni.adapters.nni_arguments import ArgumentError
from meta_nni.limits import LIMITS
from meta_nni.models.size import median_ms
from meta_nni.objectives import OBJECTIVES

__all__ = ["check_latency_batch", "latency"]

_METRIC = "latency_ms"


def check_latency_batch(value: Any, aims: Mapping[str, Any]) -> int | None:
    """Checks the argument `latency_batch`.

    Args:
        value: As given.
        aims: Limits and objectives as given, see `nni_aims.read_aims`.

    Raises:
        ArgumentError: It is no number of rows, or missing where latency is aimed at.
    """
    if value is None:
        if _METRIC in aims.get(LIMITS, {}) or _METRIC in _names(aims.get(OBJECTIVES, ())):
            raise ArgumentError(
                f"limits or objectives name {_METRIC}, which is measured with latency_batch alone; "
                "say how many rows are predicted at once, such as latency_batch=32"
            )
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ArgumentError(f"latency_batch is {value!r}, expected a number of rows, or None")
    return value


def _names(objectives: Any) -> set[str]:
    return {name for each in objectives for name in ([each] if isinstance(each, str) else each)}


def latency(model: keras.Model, pipeline: str | Path, rows: tuple[Any, Any], batch: int) -> float:
    """Median milliseconds of one prediction, after warm-up; see `models.size.latency_ms`.

    Args:
        model: Trained.
        pipeline: The folder of the trial's preprocessing, which is not measured.
        rows: Inputs and targets before preprocessing; the first rows are repeated as needed.
        batch: Rows predicted together.
    """
    few = tree.map_structure(lambda array: array[np.arange(batch) % len(array)], rows)
    x, _ = pipelines.load_pipeline(str(pipeline)).transform(few)
    return median_ms(lambda: model.predict_on_batch(x))

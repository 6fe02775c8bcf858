"""The trial's side of NNI: one call that turns an evaluator into a trial script."""

from __future__ import annotations

import copy
import math
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import replace

import nni
import nni.trial

from meta_nni.adapters.nni_result import to_final
from meta_nni.trial import Config, Result

__all__ = ["run_trial"]

_MAX_REASON = 500  # characters


def run_trial(evaluator: Callable[[Config, Callable[[int, float], None]], Result]) -> None:
    """Evaluates the config that NNI hands to this process, and reports the result.

    Args:
        evaluator: Called as `evaluator(config, report)`; trains and measures, calls
            `report(epoch, value)` after each epoch (the curve on NNI's page) and returns
            the result. What it raises is reported as the reason of a failure.

    Raises:
        RuntimeError: if this process is no NNI trial.
        SystemExit: with code 1 after a failure, so that NNI shows the trial as failed.
    """
    if nni.get_trial_id() == "STANDALONE":
        raise RuntimeError(
            "this process is no NNI trial, so there is no config to evaluate; start an "
            'experiment with "nnictl create --config …", or call evaluator(config, report)'
        )
    # Before anything else: NNI gives the next config in line to whichever trial asks first.
    config = nni.get_next_parameter()
    if config is None:
        sys.exit("NNI's manager closed the connection before it gave this trial a config")
    result = _evaluate(evaluator, config)
    nni.report_final_result(to_final(result, config, nni.trial._params["parameter_id"]))
    if result.value is None:
        print(f"the trial failed: {result.reason}", file=sys.stderr)
        sys.exit(1)


def _evaluate(
    evaluator: Callable[[Config, Callable[[int, float], None]], Result], config: Config
) -> Result:
    start = time.perf_counter()
    try:
        result = evaluator(copy.deepcopy(config), _report)
        if not isinstance(result, Result):
            raise TypeError(f"the evaluator returned {result!r}, expected a meta_nni.Result")
    except Exception as error:  # MemoryError too; KeyboardInterrupt is how NNI cancels
        traceback.print_exc()
        result = Result.failed(_reason(error))
    if result.seconds is None:
        result = replace(result, seconds=time.perf_counter() - start)
    return result


def _report(epoch: int, value: float) -> None:
    """Sends one point of the curve. NNI counts epochs itself, in the order of the calls."""
    if math.isfinite(value):  # NNI's page cannot read NaN
        nni.report_intermediate_result(float(value))


def _reason(error: Exception) -> str:
    first_line = str(error).strip().partition("\n")[0]
    name = type(error).__name__
    return (f"{name}: {first_line}" if first_line else name)[:_MAX_REASON]

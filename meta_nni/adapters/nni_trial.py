"""The trial's side of NNI: one call that turns an evaluator into a trial script."""

from __future__ import annotations

import copy
import math
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import replace

import nni
import nni.trial

from meta_nni.adapters.nni_limits import limited_memory, limited_time
from meta_nni.adapters.nni_result import to_final
from meta_nni.trial import Config, Result

__all__ = ["run_trial"]

_MAX_REASON = 500  # characters


def run_trial(
    evaluator: Callable[[Config, Callable[[int, float], None]], Result],
    *,
    max_seconds: float | None = None,
    max_memory_mb: float | None = None,
) -> None:
    """Evaluates the config that NNI hands to this process, and reports the result.

    A trial that hangs or takes all memory ends as a failure with that reason, and the search
    goes on; one that the kernel has to end is a failure without one.

    Args:
        evaluator: Called as `evaluator(config, report)`; trains and measures, calls
            `report(epoch, value)` after each epoch (the curve on NNI's page) and returns
            the result. What it raises is reported as the reason of a failure.
        max_seconds: Of the evaluation; then the process ends. None is no limit.
        max_memory_mb: Most private memory of the process, in 2**20 bytes; allocations
            beyond it fail. Not what lies on a GPU, whose framework takes 1 to 4 GB of the
            process; what does not fit on the GPU fails by itself. None is no limit.

    Raises:
        ValueError: if a limit is not above 0.
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
    final = _Final(config)
    too_long = f"the trial took longer than max_seconds={max_seconds}"
    late = Result(None, reason=too_long, seconds=max_seconds)
    with limited_time(max_seconds, lambda: final.report(late)):
        with limited_memory(max_memory_mb):
            result = _evaluate(evaluator, config)
        final.report(result)
    if result.value is None:
        sys.exit(1)


class _Final:
    """Reports the result of this trial: the first that comes, whichever thread it is from."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._is_sent = False

    def report(self, result: Result) -> bool:
        """Reports the result; returns False if there was one before."""
        with self._lock:
            if self._is_sent:
                return False
            self._is_sent = True
            parameter_id = nni.trial._params["parameter_id"]
            nni.report_final_result(to_final(result, self._config, parameter_id))
        if result.value is None:
            print(f"the trial failed: {result.reason}", file=sys.stderr, flush=True)
        return True


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

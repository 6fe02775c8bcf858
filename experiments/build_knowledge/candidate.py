"""One candidate in a process of its own: forked, limited, and recorded whatever happens.

TensorFlow takes five seconds to import, so the parent imports it once and forks. That is
safe as long as the parent never runs an operation: TensorFlow starts its threads with the
first one. The parent checks that it has one thread before each fork.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recipes import MAX_MEMORY_BYTES, Recipe

from meta_nni.trial import Config, Result

__all__ = ["measure"]

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_POLL_SECONDS = 0.1
_GRACE_SECONDS = 30  # of the processor, beyond the recipe's limit: one batch may be long
_STUCK_SECONDS = 1800  # of the clock on the wall, pauses not counted


def measure(
    recipe: Recipe, space: str, file: Path, config: Config, paused: Callable[[], bool]
) -> Result:
    """Trains one config in a forked process and returns its result, which may be a failure.

    Args:
        recipe: How to train.
        space: Name of the search space.
        file: The task's `.npz` file.
        config: What to train.
        paused: Tells whether the process is to stand still.
    """
    threads = len(os.listdir("/proc/self/task"))
    if threads != 1:
        raise RuntimeError(f"the parent has {threads} threads; forking is safe with one only")
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _run_child(writer, recipe, space, file, config)
    os.close(writer)
    try:
        reason, seconds = _wait(child, paused)
    except BaseException:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise
    finally:
        with os.fdopen(reader, "rb") as pipe:
            text = pipe.read()
    if reason is not None:
        return Result.failed(reason, seconds)
    fields: dict[str, Any] = json.loads(text)
    return Result(**fields)


def _run_child(writer: int, recipe: Recipe, space: str, file: Path, config: Config) -> None:
    """Evaluates, writes the result as JSON to the pipe, and never returns."""
    code = 1
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # end with the parent
        cpu = int(recipe.max_seconds) + _GRACE_SECONDS
        resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + 5))
        with os.fdopen(writer, "w") as pipe:
            json.dump(_fields(_evaluate(recipe, space, file, config)), pipe)
        code = 0
    finally:
        os._exit(code)


def _evaluate(recipe: Recipe, space: str, file: Path, config: Config) -> Result:
    from meta_nni.models import KerasEvaluator

    evaluator = KerasEvaluator(
        space,
        {"npz": str(file)},
        epochs=recipe.epochs,
        samples=recipe.samples,
        patience=recipe.patience,
        batch_size=recipe.batch_size,
        max_parameters=recipe.max_parameters,
        max_seconds=recipe.max_seconds,
        clock=time.process_time,
    )
    try:
        return evaluator(config)
    except Exception as error:  # AutoKeras may fail in any way; the row says how
        message = str(error).strip() or "no details"
        reason = f"{type(error).__name__}: {message.splitlines()[0][:300]}"
        return Result.failed(reason, time.process_time())


def _fields(result: Result) -> dict[str, Any]:
    return {name: getattr(result, name) for name in Result.__dataclass_fields__} | {
        "metrics": dict(result.metrics),
        "budget": dict(result.budget),
    }


def _wait(child: int, paused: Callable[[], bool]) -> tuple[str | None, float]:
    """Waits for the child's end.

    Returns:
        Why it left no result, None if it did; and its processor seconds.
    """
    waited, reason = 0.0, None
    while True:
        pid, status, usage = os.wait4(child, os.WNOHANG)
        if pid:
            return reason or _reason(status), usage.ru_utime + usage.ru_stime
        if paused():
            with _stopped(child):
                while paused():
                    time.sleep(_POLL_SECONDS)
        if _resident_bytes(child) > MAX_MEMORY_BYTES:
            reason = f"out of memory: more than {MAX_MEMORY_BYTES >> 20} MiB"
        elif waited > _STUCK_SECONDS:
            reason = f"no result after {_STUCK_SECONDS} s by the clock"
        if reason is not None:
            os.kill(child, signal.SIGKILL)
        time.sleep(_POLL_SECONDS)
        waited += _POLL_SECONDS


@contextmanager
def _stopped(child: int) -> Iterator[None]:
    os.kill(child, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(child, signal.SIGCONT)


def _reason(status: int) -> str | None:
    if os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        if name in ("SIGXCPU", "SIGKILL"):
            return f"no epoch ended in time: killed by {name} at the limit of processor seconds"
        return f"the process died of {name}"
    code = os.WEXITSTATUS(status)
    return f"the process ended with exit code {code}" if code else None


def _resident_bytes(pid: int) -> int:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):  # it has just ended
        return 0
    return pages * resource.getpagesize()

"""Limits of a trial's own process: its time and its memory.

The kernel keeps both, so that code which never returns to Python is limited as well; before
it ends a process, there is time to report why.
"""

from __future__ import annotations

import os
import resource
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["limited_memory", "limited_time"]

_GRACE = 10.0  # seconds to report that time is up


@contextmanager
def limited_time(seconds: float | None, on_end: Callable[[], bool]) -> Iterator[None]:
    """Ends this process with status 1 if the block takes longer.

    Args:
        seconds: The limit; None is none.
        on_end: Called in a thread of its own when time is up; says whether the process is
            to end. If it does not answer, as where the block keeps Python's lock, the
            kernel ends the process ten seconds later.

    Raises:
        ValueError: `seconds` is not above 0.
    """
    if seconds is None:
        yield
        return
    if not seconds > 0:
        raise ValueError(f"max_seconds is {seconds}, expected more than 0, or None for no limit")

    def end() -> None:
        if on_end():
            os._exit(1)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    signal.setitimer(signal.ITIMER_REAL, seconds + _GRACE)  # by default SIGALRM ends a process
    try:
        yield
    finally:
        timer.cancel()
        signal.setitimer(signal.ITIMER_REAL, 0)


@contextmanager
def limited_memory(megabytes: float | None) -> Iterator[None]:
    """Lets allocations fail, as MemoryError in Python, beyond a limit.

    Args:
        megabytes: Most 2**20 bytes of private memory: heap and stacks, as Linux counts them
            for RLIMIT_DATA; libraries and what lies on a GPU do not count. None is no limit.

    Raises:
        ValueError: `megabytes` is not above 0.
    """
    if megabytes is None:
        yield
        return
    if not megabytes > 0:
        raise ValueError(
            f"max_memory_mb is {megabytes}, expected more than 0, or None for no limit"
        )
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = int(megabytes * 2**20)
    resource.setrlimit(
        resource.RLIMIT_DATA,
        (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard),
    )
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))

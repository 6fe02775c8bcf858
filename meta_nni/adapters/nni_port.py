"""Ports for NNI's managers, so that several may be started at the same time.

nnictl looks whether a port is free and starts a manager, which takes seconds to listen; then it
talks to whatever answers at that port. Of two experiments that start at once the second's
manager ends in silence, and its config goes to the first's, which starts a second tuner.
"""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

__all__ = ["free_port", "listens", "reserved_port"]

_FIRST_PORT = 8080  # nnictl's own
_TRIED = 1000


@contextmanager
def reserved_port(wanted: int | None = None) -> Iterator[tuple[int, Callable[[], None]]]:
    """Reserves a port among the launches of this user that have not finished starting.

    Args:
        wanted: The port; then another launch that has reserved it is waited for. None takes
            the first free one, see `free_port`.

    Yields:
        The port, and what ends the reservation early: once the manager listens it is needless.

    Raises:
        OSError: No port is free.
    """
    with ExitStack() as locks:
        if wanted is None:
            port = free_port(reserve=lambda each: _lock(each, locks))
        else:
            port = wanted
            _lock(port, locks, waits=True)
        yield port, locks.close


def free_port(first: int = _FIRST_PORT, reserve: Callable[[int], bool] = lambda port: True) -> int:
    """Returns the first port from `first` on that is free, and the next one too.

    NNI's remote services take two.

    Args:
        first: Where to begin.
        reserve: Called with both; whether nobody else has reserved the port.

    Raises:
        OSError: None of the next thousand is free.
    """
    for port in range(first, min(first + _TRIED, 65535)):
        pair = (port, port + 1)
        if not any(map(_taken, pair)) and all(map(reserve, pair)) and not any(map(_taken, pair)):
            return port
    raise OSError(f"no two free ports from {first} on; end what listens there")


def listens(process: subprocess.Popen[bytes], port: int, seconds: float = 30.0) -> bool:
    """Whether a process is the one that listens at a port, or will be before it ends.

    Args:
        process: Just started.
        port: At which some process listens.
        seconds: How long to wait for it to try.
    """
    import psutil

    until = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < until:
        with suppress(psutil.Error):
            connections = psutil.Process(process.pid).net_connections("tcp")
            if any(c.status == psutil.CONN_LISTEN and c.laddr.port == port for c in connections):
                return True
        time.sleep(0.1)
    return False


def _taken(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _lock(port: int, locks: ExitStack, waits: bool = False) -> bool:
    """Locks a file that stands for the port; it is free again when this process ends."""
    folder = Path(tempfile.gettempdir()) / f"meta-nni-ports-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    file = (folder / str(port)).open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX if waits else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return False
    locks.enter_context(file)
    return True

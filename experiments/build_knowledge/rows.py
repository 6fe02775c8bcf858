"""The row log of a task, `rows/<task>.jsonl`: one JSON line per measured config.

A file is locked while one of its configs is measured, so several runners can share the
work, and a line that a kill cut short is dropped when the file is next opened.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

__all__ = ["append", "locked", "read"]


def read(path: Path) -> list[dict[str, Any]]:
    """Returns the complete rows of a log; none if there is no such file."""
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


@contextmanager
def locked(path: Path) -> Iterator[IO[bytes] | None]:
    """Opens a log for appending, whole lines only; gives None if another runner holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
        yield file


def append(file: IO[bytes], row: dict[str, Any]) -> None:
    """Writes one row and brings it to the disk."""
    line = json.dumps(row, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    file.write(line.encode() + b"\n")
    file.flush()
    os.fsync(file.fileno())

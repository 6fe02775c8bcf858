"""The benchmark's results: one file an arm, one line for each finished (table, task, seed)."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["Job", "append", "job_of", "read"]


class Job(NamedTuple):
    """What is run once."""

    table: str
    arm: str
    task: str
    seed: int


def job_of(record: Mapping[str, Any]) -> Job:
    """The job that a record answers."""
    return Job(record["table"], record["arm"], record["task"], record["seed"])


def read(folder: Path, arms: Sequence[str]) -> dict[Job, dict[str, Any]]:
    """Reads the results of some arms; of a job that was run twice the longest counts.

    A last line without an end was cut off by a kill and does not count.

    Raises:
        ValueError: naming the file and line of a line that is not a record.
    """
    found: dict[Job, dict[str, Any]] = {}
    for arm in arms:
        file = folder / f"{arm}.jsonl"
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        for number, line in enumerate(text.splitlines(keepends=True), start=1):
            if not line.endswith("\n"):
                continue
            try:
                record = json.loads(line)
                job = job_of(record)
                if job not in found or record["trials"] > found[job]["trials"]:
                    found[job] = record
            except (json.JSONDecodeError, KeyError, TypeError) as error:
                raise ValueError(
                    f"{file}, line {number} is not a record of the benchmark ({error!r}); "
                    "remove the line, and its job is run again"
                ) from None
    return found


def append(folder: Path, record: Mapping[str, Any]) -> None:
    """Adds a record to its arm's file; what a kill cut off before is removed first.

    Locks the file, so that several runs of the benchmark may write at once.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{record['arm']}.jsonl").open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        whole = file.read().rfind(b"\n") + 1
        file.truncate(whole)
        line = json.dumps(record, separators=(",", ":"), allow_nan=False)
        file.write(line.encode() + b"\n")

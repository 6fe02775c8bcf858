"""The benchmark's results: one file an arm, one line for each finished (table, task, seed)."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

__all__ = ["Job", "append", "append_row", "job_of", "read", "read_rows", "refuse_others"]

K = TypeVar("K")
Row = dict[str, Any]


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

    Raises:
        ValueError: As of `read_rows`.
    """
    found: dict[Job, dict[str, Any]] = {}
    for arm in arms:
        for (job, trials), record in read_rows(folder / f"{arm}.jsonl", _job_and_trials):
            if job not in found or trials > found[job]["trials"]:
                found[job] = record
    return found


def _job_and_trials(record: Mapping[str, Any]) -> tuple[Job, int]:
    return job_of(record), int(record["trials"])


def read_rows(file: Path, key: Callable[[Row], K]) -> list[tuple[K, Row]]:
    """Reads a file of one JSON object a line; one that is not there has none.

    A last line without an end was cut off by a kill and does not count.

    Args:
        file: The file.
        key: What a row is known by; a row without is none.

    Raises:
        ValueError: naming the file and line of a line that is not a row.
    """
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    found: list[tuple[K, Row]] = []
    for number, line in enumerate(text.splitlines(keepends=True), start=1):
        if not line.endswith("\n"):
            continue
        try:
            row = json.loads(line)
            found.append((key(row), row))
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise ValueError(
                f"{file}, line {number} is not a record of the benchmark ({error!r}); "
                "remove the line, and its job is run again"
            ) from None
    return found


def append(folder: Path, record: Mapping[str, Any]) -> None:
    """Adds a record to its arm's file, see `append_row`."""
    append_row(folder / f"{record['arm']}.jsonl", record)


def append_row(file: Path, row: Mapping[str, Any]) -> None:
    """Adds a row to a file; what a kill cut off before is removed first.

    Locks the file, so that several runs of a benchmark may write at once.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a+b") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        stream.seek(0)
        whole = stream.read().rfind(b"\n") + 1
        stream.truncate(whole)
        line = json.dumps(row, separators=(",", ":"), allow_nan=False)
        stream.write(line.encode() + b"\n")


def refuse_others(place: Path, rows: Iterable[Row], settings: Mapping[str, Any]) -> None:
    """Refuses rows of other settings: a report would mix what does not compare.

    Raises:
        SystemExit: naming the place and both settings.
    """
    for row in rows:
        if row.get("settings") != settings:
            raise SystemExit(
                f"{place} holds a row with the settings {row.get('settings')}, expected "
                f"{settings}; call with those, or move it away, and what it holds is run again"
            )

"""The experience file: runs and their trials as JSON Lines, one run a line.

Required are `format`, `run_id`, `task.name`, `task.objective`, `space` and each trial's
`config`, `value` and `state`; everything else is optional, and fields that this version
does not know are kept::

    {"format": "meta-nni-experience/1", "run_id": "...",
     "task": {"name": "...", "objective": "maximize", "metafeatures": {"n_train": 4000.0}},
     "metric": "val_accuracy", "recipe": "image-v1", "environment": {"device": "cpu"},
     "space": {"<NNI search space>": "..."},
     "trials": [{"trial_id": "0", "config": {}, "value": 0.93, "state": "completed",
                 "reason": null, "seconds": 12.3, "curve": [0.8, 0.93],
                 "metrics": {"precision": 0.92}, "budget": {"epochs": 5},
                 "proposal": {"source": "adapted", "mean": 0.91, "std": 0.02,
                              "seconds": 10.0, "why": "...", "evidence": {}}}]}

A completed trial has a finite value, every other one a null value. A trial without
`trial_id` goes by its position in `trials`. A null in a curve or among the metrics stands
for a number that was not finite; NaN and infinities themselves are refused. `evidence`
is any object, see `meta_nni.trial.Suggestion`. Files ending in `.gz` are compressed with
gzip. Files come from anywhere, so reading one executes nothing, holds one line at a time,
whose size and number of values are bounded before it is parsed, and refuses what does not
fit, naming line and field.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, cast

from meta_nni.experience_record import MAX_DEPTH, RefusedError, from_document, to_document
from meta_nni.trial import History

__all__ = [
    "MAX_LINES",
    "MAX_LINE_BYTES",
    "MAX_UNPACKED_BYTES",
    "MAX_VALUES",
    "ExperienceError",
    "read_experience",
    "write_experience",
]

MAX_LINE_BYTES = 64 * 2**20
"""Longest line that is read or written, in bytes after decompression."""

MAX_VALUES = 2_000_000
"""Most commas and opening brackets of a line. A parsed value takes up to a hundred times the
bytes of its text, so that the length alone bounds no memory: `[[],[],…` of 64 MiB takes 2 GB.
20,000 trials of ten epochs have 1 million of them."""

MAX_LINES = 1_000_000
"""Most lines of a file, blank ones included."""

MAX_UNPACKED_BYTES = 4 * 2**30
"""Most that a compressed file may unpack to: 4 MB of it could hold a thousand times that."""


class ExperienceError(ValueError):
    """An experience file does not fit the format; names file, line and field."""


def read_experience(source: str | Path | IO[bytes], name: str | None = None) -> Iterator[History]:
    """Reads an experience file run by run.

    Args:
        source: A path (`.gz` is decompressed) or an open binary stream.
        name: What errors call the source; None takes the path or the stream's name.

    Yields:
        A run and its trials, numbered by position, for each line. Blank lines are skipped.

    Raises:
        ExperienceError: The file cannot be read, or a line does not fit the format: the
            message says file, line, field, what came and what was expected.
    """
    is_path = isinstance(source, (str, Path))
    name = name or str(source if is_path else getattr(source, "name", source))
    seen: dict[str, int] = {}
    for number, line in _lines(source, name):
        try:
            history = _parse_line(line)
            run_id = history.run.run_id
            if run_id in seen:
                raise RefusedError("run_id", f"{run_id!r} was already on line {seen[run_id]}")
        except ValueError as error:  # RefusedError, or an integer longer than Python reads
            raise ExperienceError(f"{name}, line {number}: {error}") from None
        seen[run_id] = number
        yield history


def write_experience(histories: Iterable[History], target: str | Path | IO[bytes]) -> int:
    """Writes an experience file; a path appears whole or not at all.

    Args:
        histories: What to write, a line each.
        target: A path (`.gz` is compressed) or an open binary stream.

    Returns:
        The number of runs written.

    Raises:
        ExperienceError: A run is not JSON, a run or the file is larger than what is read, or
            the file cannot be written.
    """
    if not isinstance(target, (str, Path)):
        return _write_lines(histories, target)
    path = Path(target)
    try:
        with _replacing(path) as raw:
            if path.suffix != ".gz":
                return _write_lines(histories, raw)
            # No name and time inside: equal runs give equal bytes.
            with gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed:
                return _write_lines(histories, cast("IO[bytes]", packed), MAX_UNPACKED_BYTES)
    except OSError as error:
        raise ExperienceError(f"{path}: cannot be written: {error.strerror or error}") from None


# Reading


def _lines(source: str | Path | IO[bytes], name: str) -> Iterator[tuple[int, str]]:
    """Yields the lines that are not blank, with their numbers from 1."""
    with contextlib.ExitStack() as stack:
        try:
            stream, most = source, None
            if isinstance(stream, (str, Path)):
                is_packed = Path(stream).suffix == ".gz"
                opened = gzip.open if is_packed else open
                stream = stack.enter_context(cast("IO[bytes]", opened(stream, "rb")))
                most = MAX_UNPACKED_BYTES if is_packed else None
            number = total = 0
            while line := stream.readline(MAX_LINE_BYTES + 1):
                number, total = number + 1, total + len(line)
                if excess := _excess(line) or _excess_of_file(number, total, most):
                    raise ExperienceError(f"{name}, line {number}: {excess}")
                if not line.isspace():
                    text, line = line.decode(), b""  # not held twice while it is parsed
                    yield number, text
                    del text
        except UnicodeDecodeError as error:
            raise ExperienceError(
                f"{name}, line {number}: byte {error.start + 1} is not UTF-8; expected UTF-8 text"
            ) from None
        except (OSError, EOFError, zlib.error) as error:
            problem = getattr(error, "strerror", None) or error
            raise ExperienceError(f"{name}: cannot be read: {problem}") from None


def _excess(line: bytes) -> str | None:
    """What is too large about a line, to be known before it is parsed; None if nothing is."""
    if len(line) > MAX_LINE_BYTES:
        return f"longer than {MAX_LINE_BYTES} bytes; expected one run a line"
    if len(line) <= MAX_VALUES:
        return None
    values = sum(map(line.count, (b",", b"[", b"{")))
    if values > MAX_VALUES:
        return f"holds {values} commas and brackets, expected at most {MAX_VALUES} in one run"
    return None


def _excess_of_file(lines: int, total: int, most: int | None) -> str | None:
    """What is too large about a file so far; `most` bytes are allowed, None is no limit."""
    if lines > MAX_LINES:
        return f"expected at most {MAX_LINES} lines in one file; split it"
    if most is not None and total > most:
        return f"unpacked to over {most} bytes; expected less of a compressed file, split it"
    return None


def _parse_line(line: str) -> History:
    try:
        return from_document(json.loads(line, object_pairs_hook=_object))
    except RecursionError:
        raise RefusedError("", f"nested deeper than {MAX_DEPTH} levels") from None
    except json.JSONDecodeError as error:
        raise RefusedError("", f"not JSON: {error.msg} at column {error.colno}") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        twice, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise RefusedError(twice, "given twice in one object, expected once")
    return fields


# Writing


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    """Opens a draft that takes the path's place when all went well."""
    if path.is_symlink() or (path.exists() and not path.is_file()):
        with path.open("wb") as stream:  # links and devices are written through
            yield stream
        return
    draft = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with draft.open("wb") as stream:
            yield stream
        draft.replace(path)
    finally:
        with contextlib.suppress(OSError):
            draft.unlink()


def _write_lines(histories: Iterable[History], stream: IO[bytes], most: int | None = None) -> int:
    count = total = 0
    for history in histories:
        line = _line(history)
        count, total = count + 1, total + len(line)
        if problem := _excess_of_file(count, total, most):
            raise ExperienceError(f"run {history.run.run_id!r} is too much: {problem}")
        stream.write(line)
    return count


def _line(history: History) -> bytes:
    run_id = history.run.run_id
    try:
        text = json.dumps(to_document(history), allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise ExperienceError(f"run {run_id!r} cannot be written as JSON: {error}") from None
    line = f"{text}\n".encode()
    if problem := _excess(line):
        raise ExperienceError(f"run {run_id!r} takes {len(line)} bytes: {problem}")
    return line

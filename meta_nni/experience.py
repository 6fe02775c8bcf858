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
gzip. Files come from anywhere, so reading one executes nothing, holds one line at a time
and refuses what does not fit, naming line and field.
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

__all__ = ["MAX_LINE_BYTES", "ExperienceError", "read_experience", "write_experience"]

MAX_LINE_BYTES = 64 * 2**20
"""Longest line that is read or written, in bytes after decompression."""


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
    name = name or str(getattr(source, "name", source))
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
        ExperienceError: A run is not JSON or longer than `MAX_LINE_BYTES`, or the file
            cannot be written.
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
                return _write_lines(histories, cast("IO[bytes]", packed))
    except OSError as error:
        raise ExperienceError(f"{path}: cannot be written: {error.strerror or error}") from None


# Reading


def _lines(source: str | Path | IO[bytes], name: str) -> Iterator[tuple[int, str]]:
    """Yields the lines that are not blank, with their numbers from 1."""
    with contextlib.ExitStack() as stack:
        try:
            stream = source
            if isinstance(stream, (str, Path)):
                opened = gzip.open if Path(stream).suffix == ".gz" else open
                stream = stack.enter_context(cast("IO[bytes]", opened(stream, "rb")))
            number = 0
            while line := stream.readline(MAX_LINE_BYTES + 1):
                number += 1
                if len(line) > MAX_LINE_BYTES:
                    raise ExperienceError(
                        f"{name}, line {number}: longer than {MAX_LINE_BYTES} bytes; "
                        "expected one run a line"
                    )
                if not line.isspace():
                    yield number, line.decode()
        except UnicodeDecodeError as error:
            raise ExperienceError(
                f"{name}, line {number}: byte {error.start + 1} is not UTF-8; expected UTF-8 text"
            ) from None
        except (OSError, EOFError, zlib.error) as error:
            problem = getattr(error, "strerror", None) or error
            raise ExperienceError(f"{name}: cannot be read: {problem}") from None


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


def _write_lines(histories: Iterable[History], stream: IO[bytes]) -> int:
    count = 0
    for history in histories:
        stream.write(_line(history))
        count += 1
    return count


def _line(history: History) -> bytes:
    run_id = history.run.run_id
    try:
        text = json.dumps(to_document(history), allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise ExperienceError(f"run {run_id!r} cannot be written as JSON: {error}") from None
    if len(text) >= MAX_LINE_BYTES:
        raise ExperienceError(
            f"run {run_id!r} takes {len(text)} bytes, expected under {MAX_LINE_BYTES} a line"
        )
    return f"{text}\n".encode()

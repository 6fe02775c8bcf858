"""The lines of a JSON document at which the elements of its lists begin."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

__all__ = ["element_lines"]

_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()


def element_lines(text: str) -> dict[str, list[int]]:
    """Returns the line of each element of each list of the outermost object, by its key.

    Args:
        text: An object of valid JSON; of a key that occurs twice the last one counts.
    """
    found: dict[str, list[int]] = {}
    at = _skip(text, _skip(text, 0) + 1)
    while text[at] != "}":
        key, at = _DECODER.raw_decode(text, at)
        at = _skip(text, _skip(text, at) + 1)  # the colon
        if text[at] == "[":
            starts, at = _elements(text, at)
            found[key] = list(_lines(text, starts))
        else:
            found.pop(key, None)
            _, at = _DECODER.raw_decode(text, at)
        at = _after_comma(text, at)
    return found


def _elements(text: str, at: int) -> tuple[list[int], int]:
    """Where the elements of the list begin that begins at `at`, and where it ends."""
    starts: list[int] = []
    at = _skip(text, at + 1)
    while text[at] != "]":
        starts.append(at)
        _, at = _DECODER.raw_decode(text, at)
        at = _after_comma(text, at)
    return starts, at + 1


def _after_comma(text: str, at: int) -> int:
    at = _skip(text, at)
    return _skip(text, at + 1) if text[at] == "," else at


def _skip(text: str, at: int) -> int:
    """The first place from `at` on that is no white space."""
    space = _SPACE.match(text, at)
    return at if space is None else space.end()


def _lines(text: str, starts: list[int]) -> Iterator[int]:
    line, before = 1, 0
    for start in starts:
        line += text.count("\n", before, start)
        before = start
        yield line

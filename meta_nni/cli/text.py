"""Text for terminals: tables, and names that cannot break a line."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

__all__ = ["HOLD", "WIDTH", "labelled", "shown", "table"]

HOLD = "\N{NO-BREAK SPACE}"
"""Where a line is not to be broken; a terminal is shown a space."""

WIDTH = 100
"""Columns of a line."""

_LABEL = 14  # columns of the indented words before what they label


def table(rows: Iterable[Sequence[str]]) -> list[str]:
    """Returns lines with aligned columns; whatever would break a line is escaped."""
    cells = [[shown(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = (zip(row, widths, strict=True) for row in cells)
    return ["  ".join(cell.ljust(width) for cell, width in line).rstrip() for line in lines]


def shown(text: str, width: int | None = None) -> str:
    """Returns text that prints on one line: control characters escaped, cut at `width`."""
    text = text if text.isprintable() else repr(text)
    return text if width is None or len(text) <= width else f"{text[: width - 3]}..."


def labelled(label: str, text: str) -> list[str]:
    """Returns a text of any length as lines, indented below their label."""
    lines = textwrap.wrap(
        text,
        WIDTH,
        initial_indent=f"  {label:<{_LABEL - 2}}",
        subsequent_indent=" " * _LABEL,
    )
    return [line.replace(HOLD, " ") for line in lines]

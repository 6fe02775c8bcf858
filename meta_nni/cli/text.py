"""Text for terminals: tables, and names that cannot break a line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

__all__ = ["shown", "table"]


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

"""Bars judged, and tables in Markdown: what the reports of several benchmarks share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

__all__ = ["Verdict", "table", "verdict_table"]

_WORDS = {True: "yes", False: "**no**", None: "–"}


@dataclass(frozen=True)
class Verdict:
    """One bar at one place.

    Attributes:
        bar: What is asked.
        where: The table or kind of data and, where it matters, the trial.
        holds: None if it was not measured.
        numbers: What it is judged by.
    """

    bar: str
    where: str
    holds: bool | None
    numbers: str


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yields the lines of a table."""
    yield f"| {' | '.join(header)} |"
    yield f"|{'---|' * len(header)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)


def verdict_table(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """Yields the lines of a table of bars."""
    rows = [[v.bar, v.where, _WORDS[v.holds], v.numbers] for v in verdicts]
    return table(["bar", "where", "holds", "numbers"], rows)

"""Columns of a table of texts: which are numbers, which are categories or labels."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Column", "Target", "fit_column", "fit_target", "is_missing", "number"]

Read = Callable[[str], float | None]
"""Returns the number that a cell holds, or None."""

_MISSING = {"", "?", "na", "n/a", "#n/a", "nan", "null"}
_NUMERIC_FRACTION = 0.9
"""A column is one of numbers if so many of its cells are: the others are slips."""
_DECIMAL = re.compile(r"[+-]?\d+,\d+")
_GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d+)?")


def is_missing(cell: str) -> bool:
    """Whether a cell says that there is no value."""
    return cell.strip().lower() in _MISSING


def number(cell: str) -> float | None:
    """Returns the finite number that a cell holds, or None."""
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in cell else None


def _decimal(cell: str) -> float | None:
    """As `number`, where a comma is the decimal point."""
    text = cell.strip()
    return number(text.replace(",", ".") if _DECIMAL.fullmatch(text) else text)


def _grouped(cell: str) -> float | None:
    """As `number`, where commas separate thousands."""
    text = cell.strip()
    return number(text.replace(",", "") if _GROUPED.fullmatch(text) else text)


def _reader(known: Sequence[str], separator: str) -> Read:
    """Of the ways to read numbers the one that reads the most cells of a column."""
    if not any("," in cell for cell in known):
        return number
    commas = _grouped if separator == "," else _decimal
    if commas is _decimal and any("." in cell for cell in known):
        return number  # what a comma means is not certain
    return max(number, commas, key=lambda read: sum(read(cell) is not None for cell in known))


@dataclass(frozen=True, slots=True)
class Column:
    """How the cells of a column become numbers.

    Attributes:
        codes: The code of each category, in the order of their names; None for numbers.
        read: How numbers are read.
    """

    codes: Mapping[str, int] | None
    read: Read = number

    @property
    def is_categorical(self) -> bool:
        """Whether the numbers are codes of categories."""
        return self.codes is not None

    def encode(self, cell: str) -> float | None:
        """Returns the number of a cell: NaN where missing, None if it should be a number.

        A category that no training row has is missing, too.
        """
        if is_missing(cell):
            return math.nan
        return self.read(cell) if self.codes is None else self.codes.get(cell.strip(), math.nan)


@dataclass(frozen=True, slots=True)
class Target:
    """How the cells of a target are read.

    Attributes:
        is_label: Whether they are classes.
        dtype: Of the array of targets.
        expected: What a cell should be, for messages.
        read: Turns a cell that is not missing into a target; None if it is none.
    """

    is_label: bool
    dtype: type[Any]
    expected: str
    read: Callable[[str], float | int | str | None]

    def encode(self, cell: str) -> float | int | str | None:
        """Returns the target of a cell; None if it is missing or is none."""
        return None if is_missing(cell) else self.read(cell)


_LABEL = Target(True, np.str_, "a label", str.strip)
_MAX_LABELS = 20
"""Different whole numbers up to which a target is taken for classes."""


def _whole(cell: str) -> int | None:
    value = number(cell)
    is_whole = value is not None and value == int(value) and abs(value) < 2**53
    return int(value) if value is not None and is_whole else None


_WHOLE_LABEL = Target(True, np.int64, "a label that is a whole number, as others are", _whole)


def fit_target(cells: Sequence[str], task: str | None = None, separator: str = ",") -> Target:
    """Finds out what a target is.

    Args:
        cells: Its training cells.
        task: "classification" or "regression", where it is said; None finds out: numbers
            are regression if one has a fraction or more than 20 differ.
        separator: Of the table's cells, see `fit_column`.
    """
    known = [cell for cell in cells if not is_missing(cell)]
    read = _reader(known, separator)
    found = task
    if found is None:
        is_regression = _are_numbers(known, read) and not _are_classes(known, read)
        found = "regression" if is_regression else "classification"
    if found == "regression":
        return Target(False, np.float64, "a number", read)
    whole = [value for cell in known if (value := _whole(cell)) is not None]
    return _WHOLE_LABEL if len(whole) == len(known) else _LABEL


def _are_numbers(known: Sequence[str], read: Read) -> bool:
    count = sum(read(cell) is not None for cell in known)
    return bool(known) and count >= _NUMERIC_FRACTION * len(known)


def _are_classes(known: Sequence[str], read: Read) -> bool:
    values = {value for cell in known if (value := read(cell)) is not None}
    return len(values) <= _MAX_LABELS and all(value == int(value) for value in values)


def fit_column(cells: Sequence[str], is_categorical: bool = False, separator: str = ",") -> Column:
    """Finds out what a column holds, from its training cells.

    Args:
        cells: The training cells.
        is_categorical: Whether it is said to hold categories, even if they are numbers.
        separator: Of the table's cells. Where it is the comma, those within cells separate
            thousands; else they are decimal points, unless the column has points, too.
    """
    known = [cell.strip() for cell in cells if not is_missing(cell)]
    read = _reader(known, separator)
    if not is_categorical and (not known or _are_numbers(known, read)):
        return Column(None, read)
    return Column({category: code for code, category in enumerate(sorted(set(known)))})

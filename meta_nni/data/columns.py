"""Columns of a table of texts: which are numbers, which are categories or labels."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Column", "Target", "fit_column", "fit_target", "is_missing", "number"]

_MISSING = {"", "?", "na", "n/a", "#n/a", "nan", "null"}
_NUMERIC_FRACTION = 0.9
"""A column is one of numbers if so many of its cells are: the others are slips."""


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


@dataclass(frozen=True, slots=True)
class Column:
    """How the cells of a column become numbers.

    Attributes:
        codes: The code of each category, in the order of their names; None for numbers.
    """

    codes: Mapping[str, int] | None

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
        return number(cell) if self.codes is None else self.codes.get(cell.strip(), math.nan)


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
_NUMBER = Target(False, np.float64, "a number", number)
_MAX_LABELS = 20
"""Different whole numbers up to which a target is taken for classes."""


def _whole(cell: str) -> int | None:
    value = number(cell)
    is_whole = value is not None and value == int(value) and abs(value) < 2**53
    return int(value) if value is not None and is_whole else None


_WHOLE_LABEL = Target(True, np.int64, "a label that is a whole number, as others are", _whole)


def fit_target(cells: Sequence[str], task: str | None = None) -> Target:
    """Finds out what a target is.

    Args:
        cells: Its training cells.
        task: "classification" or "regression", where it is said; None finds out: numbers
            are regression if one has a fraction or more than 20 differ.
    """
    if task == "regression":
        return _NUMBER
    known = [cell for cell in cells if not is_missing(cell)]
    whole = [value for cell in known if (value := _whole(cell)) is not None]
    if task is None and _are_numbers(known) and not _are_classes(known):
        return _NUMBER
    return _WHOLE_LABEL if len(whole) == len(known) else _LABEL


def _are_numbers(known: Sequence[str]) -> bool:
    count = sum(number(cell) is not None for cell in known)
    return bool(known) and count >= _NUMERIC_FRACTION * len(known)


def _are_classes(known: Sequence[str]) -> bool:
    values = {value for cell in known if (value := number(cell)) is not None}
    return len(values) <= _MAX_LABELS and all(value == int(value) for value in values)


def fit_column(cells: Sequence[str], is_categorical: bool = False) -> Column:
    """Finds out what a column holds, from its training cells.

    Args:
        cells: The training cells.
        is_categorical: Whether it is said to hold categories, even if they are numbers.
    """
    known = [cell.strip() for cell in cells if not is_missing(cell)]
    if not is_categorical and (not known or _are_numbers(known)):
        return Column(None)
    return Column({category: code for code, category in enumerate(sorted(set(known)))})

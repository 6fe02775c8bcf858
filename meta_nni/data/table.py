"""Reading tables of comma-separated values: `{csv: file, target: column}`."""

from __future__ import annotations

import csv
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from meta_nni.data.arrays import Split
from meta_nni.data.columns import Column, Target, fit_column, fit_target
from meta_nni.data.problems import DataError, Problems
from meta_nni.data.source import (
    FILE,
    NAME,
    NAMES,
    TEST_FRACTION,
    Loader,
    Source,
    Spec,
    choice,
    draw_test,
    share_of_test,
    to_path,
)

__all__ = ["CSV"]

_SEPARATORS = ",;\t|"
_MAX_CELL = 10_000_000  # characters
_NEARLY_UNIQUE, _MANY = 0.9, 20  # share of the rows, from so many on, that differ

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Row:
    """One line of a file: its cells, and the file with the line's number."""

    cells: list[str]
    where: str


@dataclass(frozen=True, slots=True)
class _Table:
    """The names of the columns, the rows whose number of cells is right, and the separator."""

    columns: list[str]
    rows: list[_Row]
    separator: str

    def column(self, name: str) -> list[str]:
        """The cells of a column."""
        index = self.columns.index(name)
        return [row.cells[index] for row in self.rows]


def _read(spec: Spec, split: Split, problems: Problems) -> Source:
    train, test, target = _splits(spec, split, problems)
    # What is wrong with training rows is told when these are read, not with the test's.
    quiet = Problems(skips=True)
    train, y_train = _with_targets(train, spec, target, problems if split == "train" else quiet)
    here, y = train, y_train
    if split == "test":
        here, y = _with_targets(test, spec, target, problems)
    elif target.is_label:
        _warn_of_names({spec["target"]: len(set(y.tolist()))}, len(train.rows), spec)
    if "text" in spec:
        texts = np.array(here.column(spec["text"]), np.str_)
        return Source(texts, y, where=lambda row: here.rows[row].where, y_train=y_train)
    columns = _fit_columns(train, spec)
    if split == "train":
        codes = {name: len(column.codes or ()) for name, column in columns.items()}
        _warn_of_names(codes, len(train.rows), spec)
    x, kept = _features(columns, here, problems)
    rows = [here.rows[row] for row in np.flatnonzero(kept)]
    if split == "test":  # labels whose rows are all left out are none there, either
        y_train = y_train[_features(columns, train, quiet)[1]]
    flags = np.array([column.is_categorical for column in columns.values()], np.bool_)
    return Source(
        x, y[kept], where=lambda row: rows[row].where, y_train=y_train, is_categorical=flags
    )


def _splits(spec: Spec, split: Split, problems: Problems) -> tuple[_Table, _Table, Target]:
    """The rows for training and for the test, and what the target is."""
    path = to_path(spec["csv"])
    if "test" in spec:
        noted = problems if split == "train" else Problems(skips=True)
        train = _read_file(path, spec, noted)
        target = fit_target(train.column(spec["target"]), spec.get("task"), train.separator)
        if split == "train":
            return train, replace(train, rows=[]), target
        return train, _read_test(spec, train.columns, problems), target
    every = _read_file(path, spec, problems)
    cells = every.column(spec["target"])
    target = fit_target(cells, spec.get("task"), every.separator)
    keys = ["\x1f".join(row.cells) for row in every.rows]
    drawn = draw_test(keys, share_of_test(spec), cells if target.is_label else None)
    sides: tuple[list[_Row], list[_Row]] = ([], [])
    for row, is_test in zip(every.rows, drawn.tolist(), strict=True):
        sides[is_test].append(row)
    return replace(every, rows=sides[0]), replace(every, rows=sides[1]), target


def _read_test(spec: Spec, columns: list[str], problems: Problems) -> _Table:
    """The rows of a file of their own, in the order of the training file's columns."""
    path = to_path(spec["test"])
    ignored = spec.get("ignore", ())
    test = _read_file(path, {**spec, "ignore": ()}, problems)
    if missing := [name for name in columns if name not in (*test.columns, *ignored)]:
        raise DataError(
            f"{path} line 1 has no column {missing[0]!r}, which {to_path(spec['csv'])} has"
        )
    order = [test.columns.index(name) if name in test.columns else None for name in columns]
    rows = [["" if i is None else row.cells[i] for i in order] for row in test.rows]
    wheres = [row.where for row in test.rows]
    found = [_Row(*each) for each in zip(rows, wheres, strict=True)]
    return replace(test, columns=columns, rows=found)


def _read_file(path: Path, spec: Spec, problems: Problems) -> _Table:
    csv.field_size_limit(max(csv.field_size_limit(), _MAX_CELL))  # whole documents are cells, too
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            separator = _separator(stream.readline())
            stream.seek(0)
            return _read_lines(path, stream, separator, spec, problems)
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not encoded in UTF-8 ({error}); save it as UTF-8") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error})") from None


def _read_lines(
    path: Path, stream: TextIO, separator: str, spec: Spec, problems: Problems
) -> _Table:
    reader = csv.reader(stream, delimiter=separator)
    columns: list[str] = []
    rows: list[_Row] = []
    while True:
        line = reader.line_num + 1  # where it begins: a quoted cell may go over several
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise DataError(f"{path} line {line}: no comma-separated values ({error})") from None
        if cells is None:
            break
        if not any(cell.strip() for cell in cells):
            continue  # an empty line
        where = f"{path} line {line}"
        if not columns:
            columns = [cell.strip() for cell in cells]
            _check_header(columns, where, spec)
        elif len(cells) != len(columns):
            problems.add(where, f"{len(cells)} cells, expected {len(columns)}: one per column")
        else:
            rows.append(_Row(cells, where))
    if not rows:
        raise DataError(f"{path} has no rows, expected a line of names and a line per row")
    return _Table(columns, rows, separator)


def _separator(line: str) -> str:
    """The separator that makes the most cells of the first line."""
    counts = {each: _num_cells(line, each) for each in _SEPARATORS}
    return max(counts, key=lambda each: counts[each])


def _num_cells(line: str, separator: str) -> int:
    try:
        return len(next(csv.reader([line], delimiter=separator), []))
    except csv.Error:
        return 0


def _check_header(columns: list[str], where: str, spec: Spec) -> None:
    if twice := [name for name in columns if columns.count(name) > 1]:
        raise DataError(f"{where}: two columns are named {twice[0]!r}, expected different names")
    wanted = [spec["target"], *([spec["text"]] if "text" in spec else [])]
    for name in [*wanted, *spec.get("ignore", ()), *spec.get("categorical", ())]:
        if name not in columns:
            raise DataError(f"{where}: there is no column {name!r}, only {columns[:50]}")


def _with_targets(
    table: _Table, spec: Spec, target: Target, problems: Problems
) -> tuple[_Table, NDArray[Any]]:
    """The rows that have a target, and the targets."""
    rows, targets = [], []
    for row, cell in zip(table.rows, table.column(spec["target"]), strict=True):
        value = target.encode(cell)
        if value is None:
            name = spec["target"]
            problems.add(row.where, f"the target {name!r} is {cell!r}, expected {target.expected}")
        else:
            rows.append(row)
            targets.append(value)
    return replace(table, rows=rows), np.array(targets, target.dtype)


def _fit_columns(train: _Table, spec: Spec) -> dict[str, Column]:
    """What the columns of features hold, by name."""
    left_out = {spec["target"], *spec.get("ignore", ())}
    names = [name for name in train.columns if name not in left_out]
    if not names:
        raise DataError(f"{to_path(spec['csv'])} has no column besides {sorted(left_out)}")
    forced = spec.get("categorical", ())
    return {name: fit_column(train.column(name), name in forced, train.separator) for name in names}


def _warn_of_names(counts: Mapping[str, int], num_rows: int, spec: Spec) -> None:
    """Says which categories and classes are about as many as rows: nothing is learned of them."""
    for name, count in counts.items():
        if num_rows >= _MANY and count >= _NEARLY_UNIQUE * num_rows:
            _log.warning(
                "%s: the column %r has %d different texts in %d rows; if they are numbers or "
                "dates, write them as numbers such as 1234.5, else leave the column out by ignore",
                *(to_path(spec["csv"]), name, count, num_rows),
            )


def _features(
    columns: Mapping[str, Column], here: _Table, problems: Problems
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The columns as numbers, (kept rows, columns), and which rows are kept."""
    kept = np.ones(len(here.rows), np.bool_)
    values = np.empty((len(here.rows), len(columns)))
    for index, (name, column) in enumerate(columns.items()):
        for row, cell in enumerate(here.column(name)):
            value = column.encode(cell)
            if value is None:
                problems.add(
                    here.rows[row].where, f"the column {name!r} is {cell!r}, expected a number"
                )
                kept[row] = False
            else:
                values[row, index] = value
    return values[kept], kept


CSV = Loader(
    _read,
    main=FILE,
    example="{csv: train.csv, target: column}",
    options={
        "target": NAME,
        "test": FILE,
        "test_fraction": TEST_FRACTION,
        "text": NAME,
        "task": choice("classification", "regression"),
        "ignore": NAMES,
        "categorical": NAMES,
    },
    required=("target",),
)
"""The first line names the columns; commas, semicolons, tabulators or bars separate them.

A column is one of numbers if at least 90% of its training cells are, missing ones aside, and
no other cell is allowed then; else it is one of categories, coded in the order of their names.
Commas within numbers separate thousands where the comma separates cells, too; else they are
decimal points, unless the column has points as well.
Cells that are empty or hold ?, NA, N/A, NaN or null are missing. A target of numbers is
regression if one of them has a fraction or more than 20 differ; else, or by the option `task`,
it is a class. Without the option `test`, rows whose cells have the lowest hashes are for the
test."""

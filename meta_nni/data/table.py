"""Reading tables of comma-separated values: `{csv: file, target: column}`."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meta_nni.data.arrays import Split
from meta_nni.data.columns import Target, fit_column, fit_target
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


@dataclass(frozen=True, slots=True)
class _Row:
    """One line of a file: its cells, and the file with the line's number."""

    cells: list[str]
    where: str


@dataclass(frozen=True, slots=True)
class _Table:
    """The names of the columns, and the rows whose number of cells is right."""

    columns: list[str]
    rows: list[_Row]

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
    if "text" in spec:
        texts = np.array(here.column(spec["text"]), np.str_)
        return Source(texts, y, where=lambda row: here.rows[row].where, y_train=y_train)
    x, kept, flags = _features(train, here, spec, problems)
    rows = [here.rows[row] for row in np.flatnonzero(kept)]
    if split == "test":  # labels whose rows are all left out are none there, either
        y_train = y_train[_features(train, train, spec, quiet)[1]]
    return Source(
        x, y[kept], where=lambda row: rows[row].where, y_train=y_train, is_categorical=flags
    )


def _splits(spec: Spec, split: Split, problems: Problems) -> tuple[_Table, _Table, Target]:
    """The rows for training and for the test, and what the target is."""
    path = to_path(spec["csv"])
    if "test" in spec:
        noted = problems if split == "train" else Problems(skips=True)
        train = _read_file(path, spec, noted)
        target = fit_target(train.column(spec["target"]), spec.get("task"))
        if split == "train":
            return train, _Table(train.columns, []), target
        return train, _read_test(spec, train.columns, problems), target
    every = _read_file(path, spec, problems)
    cells = every.column(spec["target"])
    target = fit_target(cells, spec.get("task"))
    keys = ["\x1f".join(row.cells) for row in every.rows]
    drawn = draw_test(keys, share_of_test(spec), cells if target.is_label else None)
    sides: tuple[list[_Row], list[_Row]] = ([], [])
    for row, is_test in zip(every.rows, drawn.tolist(), strict=True):
        sides[is_test].append(row)
    return _Table(every.columns, sides[0]), _Table(every.columns, sides[1]), target


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
    return _Table(columns, [_Row(*each) for each in zip(rows, wheres, strict=True)])


def _read_file(path: Path, spec: Spec, problems: Problems) -> _Table:
    csv.field_size_limit(max(csv.field_size_limit(), _MAX_CELL))  # whole documents are cells, too
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            separator = _separator(stream.readline())
            stream.seek(0)
            return _read_lines(path, csv.reader(stream, delimiter=separator), spec, problems)
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not encoded in UTF-8 ({error}); save it as UTF-8") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error})") from None


def _read_lines(path: Path, reader: Any, spec: Spec, problems: Problems) -> _Table:
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
    return _Table(columns, rows)


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
    return _Table(table.columns, rows), np.array(targets, target.dtype)


def _features(
    train: _Table, here: _Table, spec: Spec, problems: Problems
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
    """The columns as numbers, (kept rows, columns); which rows are kept; which are codes."""
    left_out = {spec["target"], *spec.get("ignore", ())}
    names = [name for name in train.columns if name not in left_out]
    if not names:
        raise DataError(f"{to_path(spec['csv'])} has no column besides {sorted(left_out)}")
    forced = spec.get("categorical", ())
    columns = {name: fit_column(train.column(name), name in forced) for name in names}
    kept = np.ones(len(here.rows), np.bool_)
    values = np.empty((len(here.rows), len(names)))
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
    flags = np.array([column.is_categorical for column in columns.values()], np.bool_)
    return values[kept], kept, flags


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
Cells that are empty or hold ?, NA, N/A, NaN or null are missing. A target of numbers is
regression if one of them has a fraction or more than 20 differ; else, or by the option `task`,
it is a class. Without the option `test`, rows whose cells have the lowest hashes are for the
test."""

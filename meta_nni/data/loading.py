"""One way in for all kinds of data: a specification, checked, and the rows of a split."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from meta_nni.data.arrays import Split, read_targets
from meta_nni.data.coco import COCO
from meta_nni.data.dataset import Dataset
from meta_nni.data.images import IMAGES
from meta_nni.data.npz import NPZ
from meta_nni.data.problems import DataError, Problems
from meta_nni.data.source import Loader, Option, Source, choice, to_path
from meta_nni.data.table import CSV
from meta_nni.data.voc import VOC

__all__ = ["LOADERS", "check_spec", "load_data"]

LOADERS: dict[str, Loader] = {
    "images": IMAGES,
    "csv": CSV,
    "npz": NPZ,
    "coco": COCO,
    "voc": VOC,
}
"""Kinds of sources by the key of the specification that names them."""

_COMMON = {"errors": choice("stop", "skip")}
_MIN_ROWS = 2


def load_data(spec: Mapping[str, Any], split: Split = "train") -> Dataset:
    """Reads one split of a data set.

    Only what that split needs is read; labels of the test split get the codes of the
    training labels.

    Args:
        spec: Where the data is: a kind of source with its options. `errors: skip` leaves out
            single rows or boxes that are wrong, `errors: stop`, the default, refuses them.

            - `{"images": folder}`: pictures in a folder per class, or in such folders within
              `train/` and `test/`. Options: `size`, [height, width] (the training pictures'
              most common one), `channels`, 1 or 3 (3 if one has colours), `test_fraction`,
              0.2, where there is no `test/`.
            - `{"csv": file, "target": column}`: a table whose first line names the columns.
              Options: `text`, a column to read instead of a table, `test`, a file of test
              rows, or `test_fraction`, `task`, "classification" or "regression" (regression
              if the target has fractions or more than 20 numbers), and `categorical` and
              `ignore`, lists of columns.
            - `{"npz": file}`: a NumPy archive with `x_train`, `y_train`, `x_test`, `y_test`,
              for tables optionally `is_categorical`, for boxes `class_names`. Option: `kind`,
              also an array of the archive, such as "sequence".
            - `{"coco": file, "images": folder}`: boxes in the format of COCO. Options: `size`,
              `test`, a file, `test_images`, a folder, or `test_fraction`.
            - `{"voc": folder}`: boxes in the format of Pascal VOC. Options: `size`, `classes`,
              their names in order, `images`, a list within the folder such as
              "ImageSets/Main/train.txt", `test_images`, another one, `test`, a folder, or
              `test_fraction`.
        split: "train" or "test".

    Returns:
        The rows and targets of the split.

    Raises:
        DataError: The specification or the data cannot be used.
    """
    if split not in ("train", "test"):
        raise DataError(f"split is {split!r}, expected 'train' or 'test'")
    kind = check_spec(spec)
    problems = Problems(spec.get("errors") == "skip")
    source = _usable(LOADERS[kind].read(spec, split, problems), split, problems)
    problems.finish()
    _check_enough(source, split, problems)
    try:
        return Dataset.from_arrays(
            source.x,
            source.y,
            is_categorical=source.is_categorical,
            classes=source.classes if source.classes is not None else _classes(source, split),
            name=f"_{split}",
            kind=source.kind,
            skipped=problems.found,
        )
    except DataError as error:  # arrays do not know where they are from
        raise DataError(f"{to_path(spec[kind])}: {error}") from None


def _check_enough(source: Source, split: Split, problems: Problems) -> None:
    count = len(source.y) if source.y.ndim else 0
    if problems.found and count < _MIN_ROWS:
        raise DataError(
            f"{count} rows of the {split} split are left, expected at least {_MIN_ROWS}; "
            f"skipped were {len(problems.found)}, the first: {problems.found[0]}"
        )
    if count == 0 and split == "test":
        raise DataError("the test split has no rows; give one of its own, or more test_fraction")


def _classes(source: Source, split: Split) -> Any:
    """The training labels, for another split; it must have labels where the training has."""
    trained = source.y_train
    if split == "train" or trained is None:
        return None
    is_regression = trained.dtype.kind == "f"
    if (source.y.dtype.kind == "f") != is_regression:
        raise DataError(
            f"y_{split} has the dtype {source.y.dtype} and y_train {trained.dtype}, "
            "expected labels in both or floats in both"
        )
    return None if is_regression else read_targets(trained, None, "y_train")[1]


def _usable(source: Source, split: Split, problems: Problems) -> Source:
    """Leaves out rows whose target is no number or a label that no training row has."""
    y = source.y[:, 0] if source.y.ndim == 2 and source.y.shape[1] == 1 else source.y
    if y.ndim != 1 or source.x.ndim == 0 or len(y) != len(source.x):
        return source  # as a whole it is wrong, or boxes
    if y.dtype.kind == "f":
        kept, expected = np.isfinite(y), "expected a finite number"
    elif split == "test" and (classes := _classes(source, split)) is not None:
        known = set(classes.tolist())
        kept = np.array([label in known for label in y.tolist()], np.bool_)
        expected = "which no training row has; drop the row, or add training rows of this class"
    else:
        return source
    for row in np.flatnonzero(~kept).tolist():
        problems.add(source.where(row), f"the target is {y[row].item()!r}, {expected}")
    return source if kept.all() else replace(source, x=source.x[kept], y=source.y[kept])


def check_spec(spec: Any) -> str:
    """Checks where data is said to be, without reading it.

    Args:
        spec: As `load_data` takes it.

    Returns:
        The kind of source, a key of `LOADERS`.

    Raises:
        DataError: A key is unknown or missing, a value is wrong or a path does not exist.
    """
    if not isinstance(spec, Mapping):
        raise DataError(f"data is {spec!r}, expected a mapping such as {{'npz': 'digits.npz'}}")
    kind = _kind_of(spec)
    loader = LOADERS[kind]
    known = {kind: loader.main, **loader.options, **_COMMON}
    for key in spec:
        if key not in known:
            raise DataError(
                f"data {kind} has no option {key!r}, only {[k for k in known if k != kind]}"
                f"{_hint(key, known)}"
            )
    for key, value in spec.items():
        _check_value(key, value, known[key])
    if missing := [key for key in loader.required if key not in spec]:
        raise DataError(f"data {kind} needs {missing[0]!r}, such as {loader.example}")
    return kind


def _kind_of(spec: Mapping[str, Any]) -> str:
    """The one kind that is named. What another one has as its option is none: `images`."""
    named = [key for key in spec if key in LOADERS]
    kinds = [k for k in named if not any(k in LOADERS[other].options for other in named)]
    if len(kinds) == 1:
        return kinds[0]
    examples = ", ".join(loader.example for loader in LOADERS.values())
    wrong = next((_hint(key, LOADERS) for key in spec if _hint(key, LOADERS)), "")
    raise DataError(
        f"data has the keys {list(spec)}, expected exactly one of {list(LOADERS)}, "
        f"such as {examples}{wrong if not kinds else ''}"
    )


def _hint(key: Any, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(str(key), list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _check_value(key: str, value: Any, option: Option) -> None:
    if not option.fits(value):
        raise DataError(f"data {key} is {value!r}, expected {option.expected}")
    if option.is_there is None:
        return
    path = to_path(value)
    try:
        is_there, exists = option.is_there(path), path.exists()
    except (OSError, ValueError):  # a name that no file can have
        is_there = exists = False
    if not is_there:
        problem = f"expected {option.expected}" if exists else "no such file or folder"
        raise DataError(f"data {key} is {str(path)!r}: {problem}; looked for in {Path.cwd()}")

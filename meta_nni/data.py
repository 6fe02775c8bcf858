"""Reading the data of a task: arrays of images, texts or tables with their targets.

Kinds of sources are the keys of `LOADERS`; each turns one split into two arrays, and
`Dataset.from_arrays` checks them and finds out what they are.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["DataError", "Dataset", "Kind", "Split", "Target", "load_data"]

Kind = Literal["image", "text", "tabular"]
Target = Literal["classification", "regression"]
Split = Literal["train", "test"]

_MAX_CHANNELS = 4


class DataError(ValueError):
    """Data that cannot be used; the message says what came, what was expected, what to do."""


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """One split of a data set, checked.

    Attributes:
        x: Rows. image: uint8 or float, (n, height, width) or (n, height, width, channels);
            text: unicode, (n,); tabular: float, (n, columns), NaN where missing.
        y: Targets, (n,). classification: int64 codes into `classes`; regression: float64.
        kind: What the rows are.
        target: What the targets are.
        is_categorical: bool, (columns,): columns of a table that hold codes of categories;
            None if unknown or not a table.
        classes: The labels in the order of their codes, (classes,); None in regression.
    """

    x: NDArray[Any]
    y: NDArray[Any]
    kind: Kind
    target: Target
    is_categorical: NDArray[np.bool_] | None = None
    classes: NDArray[Any] | None = None

    @classmethod
    def from_arrays(
        cls,
        x: Any,
        y: Any,
        *,
        is_categorical: Any = None,
        classes: NDArray[Any] | None = None,
        name: str = "",
    ) -> Dataset:
        """Checks two arrays and finds out what they hold.

        Labels (integers, strings, booleans) mean classification, floats regression.

        Args:
            x: Rows, as described at `Dataset.x`; tables of any numeric dtype.
            y: Targets, shape (n,) or (n, 1).
            is_categorical: As described at `Dataset.is_categorical`.
            classes: Labels already known, sorted, as `Dataset.classes` of the training rows;
                None takes them from `y`, which must then hold at least two.
            name: Ending of the arrays' names in messages, such as "_train".

        Returns:
            The checked data.

        Raises:
            DataError: The arrays are empty, do not match or hold what cannot be used.
        """
        x, y = np.asarray(x), np.asarray(y)
        _check_lengths(x, y, name)
        kind, x = _read_rows(x, f"x{name}")
        y, known = _read_targets(y, classes, f"y{name}")
        categorical = _read_categorical(is_categorical, x) if kind == "tabular" else None
        target: Target = "regression" if known is None else "classification"
        return cls(x, y, kind, target, categorical, known)


class _Source(NamedTuple):
    """What a loader found: the arrays of the split, the training targets, the flags."""

    x: NDArray[Any]
    y: NDArray[Any]
    y_train: NDArray[Any]
    is_categorical: NDArray[Any] | None = None


def load_data(spec: Mapping[str, Any], split: Split = "train") -> Dataset:
    """Reads one split of a data set.

    Only the arrays of that split are read, except that labels of the test split get the
    codes of the training labels.

    Args:
        spec: `{"npz": file}`: a NumPy archive with `x_train`, `y_train`, `x_test`, `y_test`
            and, for tables, optionally `is_categorical`.
        split: "train" or "test".

    Returns:
        The rows and targets of the split.

    Raises:
        DataError: The specification or the data cannot be used.
    """
    if not isinstance(spec, Mapping):
        raise DataError(f"data is {spec!r}, expected a mapping such as {{'npz': 'digits.npz'}}")
    if split not in ("train", "test"):
        raise DataError(f"split is {split!r}, expected 'train' or 'test'")
    if len(spec) != 1 or (kind := next(iter(spec))) not in LOADERS:
        raise DataError(
            f"data has the keys {list(spec)}, expected exactly one of {list(LOADERS)}, "
            "such as {'npz': 'digits.npz'}"
        )
    source = LOADERS[kind](spec[kind], split)
    classes = None
    if split == "test":
        _, classes = _read_targets(source.y_train, None, "y_train")
    data = Dataset.from_arrays(
        source.x, source.y, is_categorical=source.is_categorical, classes=classes, name=f"_{split}"
    )
    if split == "test" and (data.classes is None) != (classes is None):
        raise DataError(
            f"y_{split} has the dtype {source.y.dtype} and y_train {source.y_train.dtype}, "
            "expected labels in both or floats in both"
        )
    return data


def _load_npz(file: Any, split: Split) -> _Source:
    """Reads the arrays of one split; an archive decompresses only what is asked for."""
    if not isinstance(file, str | os.PathLike):
        raise DataError(f"data npz is {file!r}, expected the path of a .npz file")
    path = Path(file).expanduser()
    if not path.is_file():
        raise DataError(f"data file {str(path)!r} does not exist; it is looked for in {Path.cwd()}")
    wanted = dict.fromkeys([f"x_{split}", f"y_{split}", "y_train"])
    with _open_npz(path) as archive:
        if missing := [key for key in wanted if key not in archive.files]:
            raise DataError(
                f"{path} has no {', '.join(missing)}, only {archive.files}; "
                "save it with numpy.savez(file, x_train=…, y_train=…, x_test=…, y_test=…)"
            )
        optional = [key for key in ("is_categorical",) if key in archive.files]
        found = {key: _read_npz(archive, key, path) for key in [*wanted, *optional]}
    return _Source(
        found[f"x_{split}"], found[f"y_{split}"], found["y_train"], found.get("is_categorical")
    )


LOADERS: dict[str, Callable[[Any, Split], _Source]] = {"npz": _load_npz}
"""Kinds of sources by the key of the specification that names them."""


def _open_npz(path: Path) -> Any:
    try:
        archive = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path} is not a NumPy archive ({error}); write one with numpy.savez"
        ) from error
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise DataError(f"{path} holds a single array, expected an archive written by numpy.savez")
    return archive


def _read_npz(archive: Any, key: str, path: Path) -> NDArray[Any]:
    try:
        array = archive[key]
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        advice = "the file may be damaged"
        if "pickle" in str(error):
            advice = "Python objects are never unpickled; save numbers, or text as numpy.str_"
        raise DataError(f"{key} in {path} cannot be read ({error}); {advice}") from error
    if not isinstance(array, np.ndarray):
        raise DataError(f"{key} in {path} is no array; write the file with numpy.savez")
    return array


def _check_lengths(x: NDArray[Any], y: NDArray[Any], name: str) -> None:
    if x.ndim == 0 or y.ndim == 0 or x.size == 0 or y.size == 0:
        raise DataError(
            f"x{name} has the shape {x.shape} and y{name} {y.shape}, expected at least one row"
        )
    if len(x) != len(y):
        raise DataError(
            f"x{name} has {len(x)} rows and y{name} {len(y)}, expected one target per row"
        )


def _read_rows(x: NDArray[Any], name: str) -> tuple[Kind, NDArray[Any]]:
    """Returns what the rows are, and the rows (tables as floats)."""
    is_number = x.dtype.kind in "biuf"
    if x.dtype.kind == "U" and x.ndim == 1:
        return "text", x
    if is_number and x.ndim == 2:
        x = x if x.dtype.kind == "f" else x.astype(np.float64)
        if np.isinf(x).any():
            raise DataError(f"{name} holds infinity; use NaN where a value is missing")
        return "tabular", x
    if (x.dtype == np.uint8 or x.dtype.kind == "f") and x.ndim in (3, 4):
        if x.ndim == 4 and x.shape[3] > _MAX_CHANNELS:
            raise DataError(
                f"{name} has the shape {x.shape}, expected (rows, height, width, channels) with "
                f"at most {_MAX_CHANNELS} channels; move the channels to the last axis"
            )
        if not np.isfinite(x).all():
            raise DataError(f"{name} holds NaN or infinity, expected finite pixels")
        return "image", x
    raise DataError(
        f"{name} has the dtype {x.dtype} and the shape {x.shape}, expected images (uint8 or float, "
        "3 or 4 axes), texts (unicode, 1 axis) or a table (numbers, 2 axes; categories as codes)"
    )


def _read_targets(
    y: NDArray[Any], classes: NDArray[Any] | None, name: str
) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Returns the targets with the classes whose codes they are; None means regression."""
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        raise DataError(
            f"{name} has the shape {y.shape}, expected one target per row; "
            "turn one-hot rows into labels with y.argmax(axis=1)"
        )
    if y.dtype.kind == "f":
        return _read_numbers(y, name), None
    if y.dtype.kind not in "biuU":
        raise DataError(
            f"{name} has the dtype {y.dtype}, expected labels (integers, strings, booleans) "
            "for classification or floats for regression"
        )
    return _read_labels(y, classes, name)


def _read_numbers(y: NDArray[Any], name: str) -> NDArray[np.float64]:
    if bad := int((~np.isfinite(y)).sum()):
        raise DataError(
            f"{name} holds {bad} values that are NaN or infinite, expected finite targets; "
            "drop these rows"
        )
    return y.astype(np.float64)


def _read_labels(
    y: NDArray[Any], classes: NDArray[Any] | None, name: str
) -> tuple[NDArray[np.int64], NDArray[Any]]:
    found, codes = np.unique(y, return_inverse=True)
    if classes is None:
        if len(found) < 2:
            raise DataError(
                f"{name} holds the classes {found.tolist()} only, expected at least two classes; "
                "store y as floats if it is a number to predict"
            )
        return codes.astype(np.int64), found
    if unseen := [label for label in found.tolist() if label not in set(classes.tolist())]:
        raise DataError(
            f"{name} holds the labels {unseen[:5]}, which the training rows do not; "
            "drop these rows, or add training rows of these classes"
        )
    return np.searchsorted(classes, found)[codes].astype(np.int64), classes


def _read_categorical(flags: Any, x: NDArray[Any]) -> NDArray[np.bool_] | None:
    if flags is None:
        return None
    categorical: NDArray[Any] = np.asarray(flags)
    if categorical.dtype != np.bool_ or categorical.shape != (x.shape[1],):
        raise DataError(
            f"is_categorical has the dtype {categorical.dtype} and the shape {categorical.shape}, "
            f"expected bool and ({x.shape[1]},): one flag per column"
        )
    return categorical

"""What arrays hold, found out from their dtypes and axes, and whether it can be used."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from meta_nni.data.problems import DataError

__all__ = [
    "Kind",
    "Split",
    "Target",
    "check_lengths",
    "read_categorical",
    "read_rows",
    "read_targets",
]

Kind = Literal["image", "text", "tabular", "sequence", "detection"]
Target = Literal["classification", "regression", "detection"]
Split = Literal["train", "test"]

_MAX_CHANNELS = 4


def check_lengths(x: NDArray[Any], y: NDArray[Any], name: str) -> None:
    """Checks that there are rows, and as many targets.

    Raises:
        DataError: There are not.
    """
    if x.ndim == 0 or y.ndim == 0 or x.size == 0 or y.size == 0:
        raise DataError(
            f"x{name} has the shape {x.shape} and y{name} {y.shape}, expected at least one row"
        )
    if len(x) != len(y):
        raise DataError(
            f"x{name} has {len(x)} rows and y{name} {len(y)}, expected one target per row"
        )


def read_rows(x: NDArray[Any], name: str, kind: Kind | None = None) -> tuple[Kind, NDArray[Any]]:
    """Returns what the rows are, and the rows (tables as floats).

    Args:
        x: Rows, as described at `Dataset.x`.
        name: The array's name in messages.
        kind: What they are declared to be; None finds out.

    Raises:
        DataError: They are of no kind that is known, or not of the declared one.
    """
    if kind == "sequence":
        return "sequence", _sequences(x, name)
    if kind == "detection":
        if x.dtype != np.uint8 or x.ndim != 4 or x.shape[3] != 3:
            raise DataError(
                f"{name} has the dtype {x.dtype} and the shape {x.shape}, expected uint8 and "
                "(rows, height, width, 3) where the targets are boxes"
            )
        return "detection", x
    found, x = _plain_rows(x, name)
    if kind not in (None, found):
        raise DataError(f"{name} holds {found} rows, but the data is declared to be {kind!r}")
    return found, x


def _plain_rows(x: NDArray[Any], name: str) -> tuple[Kind, NDArray[Any]]:
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


def _sequences(x: NDArray[Any], name: str) -> NDArray[Any]:
    if x.dtype.kind not in "biuf" or x.ndim != 3:
        raise DataError(
            f"{name} has the dtype {x.dtype} and the shape {x.shape}, expected numbers and "
            "(rows, steps, features) where the kind is 'sequence'; fill shorter rows up with zeros"
        )
    if not np.isfinite(x).all():
        raise DataError(f"{name} holds NaN or infinity, expected finite sequences")
    return x if x.dtype.kind == "f" else x.astype(np.float32)


def read_targets(
    y: NDArray[Any], classes: NDArray[Any] | None, name: str
) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Returns the targets with the classes whose codes they are; None means regression.

    Args:
        y: Targets, shape (n,) or (n, 1): labels or floats.
        classes: Labels already known, sorted; None takes them from `y`.
        name: The array's name in messages.

    Raises:
        DataError: They cannot be used.
    """
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


def read_categorical(flags: Any, x: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Returns the flags of a table's columns, checked; None if there are none.

    Raises:
        DataError: They are not one bool per column.
    """
    if flags is None:
        return None
    categorical: NDArray[Any] = np.asarray(flags)
    if categorical.dtype != np.bool_ or categorical.shape != (x.shape[1],):
        raise DataError(
            f"is_categorical has the dtype {categorical.dtype} and the shape {categorical.shape}, "
            f"expected bool and ({x.shape[1]},): one flag per column"
        )
    return categorical

"""One split of a data set, checked, whatever it was read from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meta_nni.data.arrays import (
    Kind,
    Target,
    check_lengths,
    read_categorical,
    read_rows,
    read_targets,
)
from meta_nni.data.boxes import are_boxes, check_boxes

__all__ = ["Dataset"]


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """One split of a data set, checked.

    Attributes:
        x: Rows. image: uint8 or float, (n, height, width) or (n, height, width, channels);
            text: unicode, (n,); tabular: float, (n, columns), NaN where missing;
            sequence: float, (n, steps, features); detection: uint8, (n, height, width, 3).
        y: Targets, (n,). classification: int64 codes into `classes`; regression: float64.
            detection: float32, (n, boxes, 5): class, x1, y1, x2, y2 as shares, 0..1, of the
            width and height; images of fewer boxes are padded with boxes of -1.
        kind: What the rows are.
        target: What the targets are.
        is_categorical: bool, (columns,): columns of a table that hold codes of categories;
            None if unknown or not a table.
        classes: The labels in the order of their codes, (classes,); None in regression.
        skipped: What was wrong and left out, one line each, by file and line or element.
    """

    x: NDArray[Any]
    y: NDArray[Any]
    kind: Kind
    target: Target
    is_categorical: NDArray[np.bool_] | None = None
    classes: NDArray[Any] | None = None
    skipped: tuple[str, ...] = ()

    @classmethod
    def from_arrays(
        cls,
        x: Any,
        y: Any,
        *,
        is_categorical: Any = None,
        classes: NDArray[Any] | None = None,
        name: str = "",
        kind: Kind | None = None,
        skipped: tuple[str, ...] = (),
    ) -> Dataset:
        """Checks two arrays and finds out what they hold.

        Labels (integers, strings, booleans) mean classification, floats regression, floats
        of three axes, (n, boxes, 5), detection.

        Args:
            x: Rows, as described at `Dataset.x`; tables and sequences of any numeric dtype.
            y: Targets, shape (n,) or (n, 1), or (n, boxes, 5).
            is_categorical: As described at `Dataset.is_categorical`.
            classes: Labels already known, sorted, as `Dataset.classes` of the training rows;
                None takes them from `y`, which must then hold at least two. In detection the
                names of the classes, in the order of their codes.
            name: Ending of the arrays' names in messages, such as "_train".
            kind: What the rows are; None finds out, which takes numbers of three axes for
                images: sequences need to be declared.
            skipped: As described at `Dataset.skipped`.

        Returns:
            The checked data.

        Raises:
            DataError: The arrays are empty, do not match or hold what cannot be used.
        """
        x, y = np.asarray(x), np.asarray(y)
        check_lengths(x, y, name)
        if kind is None and are_boxes(y):
            kind = "detection"
        kind, x = read_rows(x, f"x{name}", kind)
        if kind == "detection":
            y, classes = check_boxes(y, classes, f"y{name}")
            return cls(x, y, kind, "detection", None, classes, skipped)
        y, known = read_targets(y, classes, f"y{name}")
        categorical = read_categorical(is_categorical, x) if kind == "tabular" else None
        target: Target = "regression" if known is None else "classification"
        return cls(x, y, kind, target, categorical, known, skipped)

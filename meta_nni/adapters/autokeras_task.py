"""The task that an AutoKeras project is about: its name, and its training rows in numbers."""

from __future__ import annotations

import hashlib
import logging
from typing import Any

import autokeras
import numpy as np
import numpy.typing as npt
import tree

from meta_nni.data import DataError, Dataset
from meta_nni.metafeatures import compute_metafeatures

__all__ = ["describe", "task_name"]

Array = npt.NDArray[Any]

_SECONDS = 30.0  # generous: a guard that cuts in makes runs differ
_HASHED_ROWS = 1_000

_log = logging.getLogger(__name__)


def task_name(project: str, x: Any, y: Any) -> str:
    """Returns a name that the same data in a project of the same name has again.

    Args:
        project: Name of the project, which is "image_classifier" unless the user chose one.
        x: Rows, one array per input.
        y: Targets, one array per head.
    """
    digest = hashlib.sha256()
    for array in tree.flatten((x, y)):
        digest.update(repr((array.shape, array.dtype.str)).encode())
        rows = array[:: max(1, len(array) // _HASHED_ROWS)]
        is_text = rows.dtype.kind in "OU"
        digest.update(repr(rows.tolist()).encode() if is_text else rows.tobytes())
    return f"{project}-{digest.hexdigest()[:8]}"


def describe(graph: Any, x: Any, y: Any) -> dict[str, float]:
    """Computes the metafeatures of training rows.

    Of several inputs and heads the first of each is described.

    Args:
        graph: AutoKeras's graph, after it has seen the data.
        x: Training rows, one array per input.
        y: Their targets, one array per head.

    Returns:
        Metafeatures by name; none, with a line in the log, where the data cannot be read.
    """
    node, head = graph.inputs[0], graph.outputs[0].in_blocks[0]
    try:
        rows, flags = _rows(tree.flatten(x)[0], node)
        data = Dataset.from_arrays(rows, _targets(tree.flatten(y)[0], head), is_categorical=flags)
    except (DataError, ValueError) as error:
        _log.warning("searching without metafeatures: %s", error)
        return {}
    return compute_metafeatures(data, np.random.default_rng(0), seconds=_SECONDS)


def _rows(x: Array, node: Any) -> tuple[Array, Array | None]:
    """The rows as `Dataset` takes them, and which columns of a table are categories."""
    if isinstance(node, autokeras.TextInput):
        return x.astype(str).reshape(len(x)), None
    if isinstance(node, autokeras.StructuredDataInput):
        return _table(x, node)
    if isinstance(node, autokeras.ImageInput):
        return (x if x.dtype == np.uint8 else x.astype(np.float32)), None
    return x.reshape(len(x), -1).astype(np.float64), None


def _table(x: Array, node: Any) -> tuple[Array, Array]:
    kinds = [node.column_types.get(name) for name in node.column_names]
    flags = np.array([kind == "categorical" for kind in kinds])
    columns = [
        np.unique(column.astype(str), return_inverse=True)[1] if is_category else column
        for column, is_category in zip(x.T, flags, strict=True)
    ]
    return np.stack([column.astype(np.float64) for column in columns], axis=1), flags


def _targets(y: Array, head: Any) -> Array:
    """Codes of classes, also of one-hot rows and of sets of labels; or the first number."""
    if not isinstance(head, autokeras.ClassificationHead):
        return np.asarray(y.reshape(len(y), -1)[:, 0], np.float64)
    table = y.reshape(len(y), -1)
    if table.shape[1] == 1:
        table = table[:, 0]
    codes: Array = np.unique(table, axis=0, return_inverse=True)[1]
    return codes.reshape(len(y))

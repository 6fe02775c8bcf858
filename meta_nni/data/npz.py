"""Reading NumPy archives: `{npz: file}`."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np
from numpy.typing import NDArray

from meta_nni.data.arrays import Kind, Split
from meta_nni.data.boxes import are_boxes, drop_faulty
from meta_nni.data.problems import DataError, Problems
from meta_nni.data.source import FILE, Loader, Source, Spec, choice, to_path

__all__ = ["NPZ"]

_OPTIONAL = ("is_categorical", "class_names", "kind")


def _read(spec: Spec, split: Split, problems: Problems) -> Source:
    """Reads the arrays of one split; an archive decompresses only what is asked for."""
    path = to_path(spec["npz"])
    wanted = dict.fromkeys([f"x_{split}", f"y_{split}", "y_train"])
    with _open(path) as archive:
        if missing := [key for key in wanted if key not in archive.files]:
            raise DataError(
                f"{path} has no {', '.join(missing)}, only {archive.files}; "
                "save it with numpy.savez(file, x_train=…, y_train=…, x_test=…, y_test=…)"
            )
        optional = [key for key in _OPTIONAL if key in archive.files]
        found = {key: _array(archive, key, path) for key in [*wanted, *optional]}
    kind = spec.get("kind") or (_kind(found["kind"], path) if "kind" in found else None)
    y, classes = found[f"y_{split}"], None
    if are_boxes(y) or kind == "detection":
        classes = found.get("class_names")
        if are_boxes(y) and classes is not None:
            y = drop_faulty(y, len(np.atleast_1d(classes)), f"{path} y_{split}", problems)
    return Source(
        found[f"x_{split}"],
        y,
        where=lambda row: f"{path} y_{split}[{row}]",
        y_train=found["y_train"],
        is_categorical=found.get("is_categorical"),
        classes=classes,
        kind=kind,
    )


def _kind(array: NDArray[Any], path: Path) -> Kind:
    if array.shape != () or (kind := str(array)) not in get_args(Kind):
        raise DataError(
            f"kind in {path} is {array.tolist()!r}, expected one of {list(get_args(Kind))}"
        )
    return cast("Kind", kind)


def _open(path: Path) -> Any:
    try:
        archive = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        # NumPy takes all that it does not know for a pickle, and tells how to load that.
        reason = "it has another format" if "pickle" in str(error) else error
        raise DataError(
            f"{path} is not a NumPy archive ({reason}); write one with numpy.savez"
        ) from error
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise DataError(f"{path} holds a single array, expected an archive written by numpy.savez")
    return archive


def _array(archive: Any, key: str, path: Path) -> NDArray[Any]:
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


NPZ = Loader(
    _read, main=FILE, example="{npz: digits.npz}", options={"kind": choice(*get_args(Kind))}
)
"""Arrays x_train, y_train, x_test and y_test; is_categorical beside tables, class_names
beside boxes; `kind`, an array of one string or an option, declares what the rows are."""

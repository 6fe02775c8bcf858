"""Checkpoints of a search under way: arrays and a JSON text in one `.npz`, without pickle."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["read", "write"]

Array = npt.NDArray[Any]


def write(path: Path, arrays: Sequence[Array], about: Mapping[str, Any]) -> None:
    """Writes a checkpoint; whoever reads sees the old file or the new one, never a part.

    Args:
        path: The file; missing folders are made.
        arrays: Numbers, in an order that the reader knows.
        about: All else, as JSON.

    Raises:
        OSError: if the file cannot be written.
    """
    text = np.frombuffer(json.dumps(about).encode(), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, *arrays, about=text)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def read(path: Path) -> tuple[list[Array], dict[str, Any]]:
    """Reads a checkpoint.

    Returns:
        The arrays in the order in which they were written, and what was said about them.

    Raises:
        ValueError: if the file is no whole checkpoint.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            about = json.loads(file["about"].tobytes().decode())
            arrays = [file[f"arr_{number}"] for number in range(len(file.files) - 1)]
    except Exception as error:  # zip, npy and JSON readers raise whatever comes to them
        raise ValueError(
            f"{path} is no checkpoint of a search ({type(error).__name__}: {error}); "
            "remove it to start anew"
        ) from None
    if not isinstance(about, dict):
        raise ValueError(f"{path} says {about!r} about itself, expected an object; remove it")
    return arrays, about

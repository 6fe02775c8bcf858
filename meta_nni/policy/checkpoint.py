"""Checkpoints: arrays and a JSON text in one `.npz` file, without pickle, sealed by a hash."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["FORMAT", "CheckpointError", "read_checkpoint", "write_checkpoint"]

Arrays = Mapping[str, npt.NDArray[Any]]

FORMAT = "meta-nni-checkpoint/1"
"""Name and version of the format; other versions are refused."""

_ABOUT = "about"  # the member that holds the JSON text, as UTF-8 bytes
_MAX_BYTES = 256 * 2**20  # unpacked: a small file cannot fill the memory
_REMEDY = "train again with `meta-nni train`, or take a copy that is whole"


class CheckpointError(ValueError):
    """A checkpoint cannot be used; names the file, what is wrong, and what to do."""


def write_checkpoint(
    path: str | os.PathLike[str], arrays: Arrays, about: Mapping[str, Any]
) -> None:
    """Writes a checkpoint; whoever reads sees the old file or the new one, never a part.

    Args:
        path: The file; its folder must exist.
        arrays: Numbers by name.
        about: What the arrays are, as JSON. `format` and `sha256` are added.

    Raises:
        OSError: if the file cannot be written.
    """
    path = Path(path)
    sealed = {**about, "format": FORMAT, "sha256": _digest(arrays, {**about, "format": FORMAT})}
    text = np.frombuffer(json.dumps(sealed).encode(), np.uint8)
    members: dict[str, Any] = {**arrays, _ABOUT: text}
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez_compressed(file, **members)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def read_checkpoint(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Reads a checkpoint and verifies its hash.

    Returns:
        The arrays by name, and what `write_checkpoint` was told about them.

    Raises:
        CheckpointError: if the file is missing, is none, is damaged, or of another version.
    """
    try:
        members = _members(Path(path))
        about = json.loads(members.pop(_ABOUT).astype(np.uint8).tobytes().decode())
    except FileNotFoundError:
        raise CheckpointError(f"there is no checkpoint {path}; {_REMEDY}") from None
    except CheckpointError:
        raise
    except Exception as error:  # zip, npy and JSON readers raise whatever comes to them
        kind = type(error).__name__
        raise CheckpointError(
            f"{path} is no checkpoint ({kind}: {error}), expected a .npz file that this "
            f"package wrote; {_REMEDY}"
        ) from None
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        found = about.get("format") if isinstance(about, dict) else about
        raise CheckpointError(f"{path} has format {found!r}, expected {FORMAT!r}; {_REMEDY}")
    if about.pop("sha256", None) != _digest(members, about):
        raise CheckpointError(
            f"{path} was changed since it was written: its SHA-256 does not fit; {_REMEDY}"
        )
    return members, about


def _members(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    if size > _MAX_BYTES:
        raise CheckpointError(
            f"{path} unpacks to {size} bytes, expected at most {_MAX_BYTES}; {_REMEDY}"
        )
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _digest(arrays: Arrays, about: Mapping[str, Any]) -> str:
    """SHA-256 (hex) of everything: names, types, shapes, numbers, and the text."""
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(json.dumps([name, array.dtype.str, array.shape]).encode())
        digest.update(array.tobytes())
    return digest.hexdigest()

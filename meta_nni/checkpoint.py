"""Checkpoints: arrays and a JSON text in one `.npz` file, without pickle, sealed by a hash.

The hash finds damage; it is no signature. A file made to do harm may have the right one, so
that each array's header is checked against its size in the archive before memory is given
to it, and whoever takes the arrays checks their shapes.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import tempfile
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["FORMAT", "CheckpointError", "Limits", "read_checkpoint", "write_checkpoint"]

Arrays = Mapping[str, npt.NDArray[Any]]

FORMAT = "meta-nni-checkpoint/1"
"""Name and version of the format; other versions are refused."""

_ABOUT = "about"  # the member that holds the JSON text, as UTF-8 bytes


class CheckpointError(ValueError):
    """A checkpoint cannot be used; names the file, what is wrong, and what to do."""


@dataclass(frozen=True)
class Limits:
    """What a reader takes; the default is far above a policy's network.

    Attributes:
        file_bytes: Of the file: its directory alone could list a million members.
        bytes: Unpacked: a small file cannot fill the memory.
        members: How many arrays.
        about_bytes: Of the JSON text, which takes many times its length when it is parsed.
        remedy: What to do about a file that is refused.
    """

    file_bytes: int = 32 * 2**20
    bytes: int = 256 * 2**20
    members: int = 1_000
    about_bytes: int = 2**20
    remedy: str = "train again with `meta-nni train`, or take a copy that is whole"


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


def read_checkpoint(
    path: str | os.PathLike[str], limits: Limits | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Reads a checkpoint and verifies its hash.

    Args:
        path: The file.
        limits: What is taken; None is the default.

    Returns:
        The arrays by name, and what `write_checkpoint` was told about them.

    Raises:
        CheckpointError: if the file is missing, is none, is damaged, or of another version.
    """
    limits = limits or Limits()
    try:
        members = _members(Path(path), limits)
        text = members.pop(_ABOUT)
        if text.dtype != np.uint8 or text.nbytes > limits.about_bytes:
            raise ValueError(f"its text is {text.dtype} of {text.nbytes} bytes")
        about = json.loads(text.tobytes().decode())
    except FileNotFoundError:
        raise CheckpointError(f"there is no checkpoint {path}; {limits.remedy}") from None
    except CheckpointError:
        raise
    except Exception as error:  # zip, npy and JSON readers raise whatever comes to them
        kind = type(error).__name__
        raise CheckpointError(
            f"{path} is no checkpoint ({kind}: {error}), expected a .npz file that this "
            f"package wrote; {limits.remedy}"
        ) from None
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        found = about.get("format") if isinstance(about, dict) else about
        raise CheckpointError(f"{path} has format {found!r}, expected {FORMAT!r}; {limits.remedy}")
    if about.pop("sha256", None) != _digest(members, about):
        raise CheckpointError(
            f"{path} was changed since it was written: its SHA-256 does not fit; {limits.remedy}"
        )
    return members, about


def _members(path: Path, limits: Limits) -> dict[str, Any]:
    _within(path, "takes {} bytes", path.stat().st_size, limits.file_bytes, limits)
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        size = sum(entry.file_size for entry in entries)
        _within(path, "unpacks to {} bytes", size, limits.bytes, limits)
        _within(path, "has {} arrays", len(entries), limits.members, limits)
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # numpy's, on a header that it can only guess at
            return {each.filename.removesuffix(".npy"): _array(archive, each) for each in entries}


def _within(path: Path, what: str, found: int, most: int, limits: Limits) -> None:
    if found > most:
        raise CheckpointError(
            f"{path} {what.format(found)}, expected at most {most}; {limits.remedy}"
        )


def _array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> npt.NDArray[Any]:
    """Reads one array of numbers whose header says as many bytes as the archive holds."""
    with archive.open(entry) as file:
        version = np.lib.format.read_magic(file)
        if version != (1, 0):
            raise ValueError(f"{entry.filename} has the format {version}, expected (1, 0)")
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        expected = file.tell() + math.prod(shape) * dtype.itemsize
        if dtype.kind not in "biuf" or min(shape, default=0) < 0 or expected != entry.file_size:
            raise ValueError(f"{entry.filename} says {dtype} {shape} in {entry.file_size} bytes")
        file.seek(0)
        array: npt.NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
        return array


def _digest(arrays: Arrays, about: Mapping[str, Any]) -> str:
    """SHA-256 (hex) of everything: names, types, shapes, numbers, and the text."""
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(json.dumps([name, array.dtype.str, array.shape]).encode())
        digest.update(array.tobytes())
    return digest.hexdigest()

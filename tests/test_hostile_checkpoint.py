"""Checkpoints made to do harm: refused before memory is given, nothing executed."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from meta_nni.checkpoint import CheckpointError, Limits, read_checkpoint, write_checkpoint


class Evil:
    """Leaves a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self._path,))


def npy(shape: Any, descr: str, payload: bytes) -> bytes:
    header = repr({"descr": descr, "fortran_order": False, "shape": shape}).encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + payload


def archive(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return path


def test_a_pickle_is_never_loaded(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    objects = np.empty(1, object)
    objects[0] = Evil(trap)
    stream = io.BytesIO()
    np.lib.format.write_array(stream, objects, allow_pickle=True)
    for content in (
        stream.getvalue(),
        pickle.dumps(Evil(trap)),
        npy((1,), "|O", pickle.dumps(Evil(trap))),
    ):
        for name in ("about", "w"):
            path = archive(tmp_path / "evil.npz", **{name: content})
            with pytest.raises(CheckpointError, match="is no checkpoint"):
                read_checkpoint(path)
    (tmp_path / "raw.npz").write_bytes(pickle.dumps(Evil(trap)))
    with pytest.raises(CheckpointError, match="is no checkpoint"):
        read_checkpoint(tmp_path / "raw.npz")
    assert not trap.exists()
    pickle.loads(pickle.dumps(Evil(trap)))  # the trap works
    assert trap.exists()


@pytest.mark.parametrize(
    ("shape", "descr", "size"),
    [
        ((10**12,), "<f8", 8),
        ((2**40, 2**40), "<f4", 8),
        ((-1,), "<f8", 8),
        ((0, 10**18), "<f8", 8),
        ((1,), "<f8", 800),
        ((4,), "|S100000", 8),
        ((1,), "<U100000000", 8),
        ((2,), "<M8[s]", 16),
        ("x", "<f8", 8),
        ((1,), "__import__('os').abort()", 8),
    ],
)
def test_a_header_that_lies_is_refused_before_memory_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: Any, descr: str, size: int
) -> None:
    path = archive(
        tmp_path / "lie.npz", about=npy((2,), "|u1", b"{}"), w=npy(shape, descr, bytes(size))
    )
    read = np.lib.format.read_array
    seen: list[int] = []

    def watched(file: Any, **arguments: Any) -> Any:
        array = read(file, **arguments)
        seen.append(array.nbytes)
        return array

    monkeypatch.setattr(np.lib.format, "read_array", watched)
    with pytest.raises(CheckpointError, match="is no checkpoint"):
        read_checkpoint(path)
    assert sum(seen) <= 2


def test_a_zip_that_lies_about_its_sizes_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "bomb.npz", about=npy((10**6,), "|u1", bytes(10**6)))
    content = bytearray(path.read_bytes())
    true_size = (10**6 + 128).to_bytes(4, "little")
    assert content.count(true_size) == 2  # at the member, and in the directory
    path.write_bytes(content.replace(true_size, (300).to_bytes(4, "little")))
    with pytest.raises(CheckpointError, match="is no checkpoint"):
        read_checkpoint(path)


def test_a_checkpoint_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "policy.npz"
    write_checkpoint(path, {f"w{i}": np.zeros(3) for i in range(20)}, {"note": "x" * 5_000})
    for limits, match in [
        (Limits(file_bytes=1_000), "takes .* bytes, expected at most 1000"),
        (Limits(bytes=1_000), "unpacks to .* bytes, expected at most 1000"),
        (Limits(members=20), "has 21 arrays, expected at most 20"),
        (Limits(about_bytes=5_000, remedy="start anew"), "its text is uint8 of .*; start anew"),
    ]:
        with pytest.raises(CheckpointError, match=match):
            read_checkpoint(path, limits)
    assert len(read_checkpoint(path)[0]) == 20


@pytest.mark.parametrize("text", [b"[" * 100_000, b'{"a": ' * 20_000, b"NaN", b"\xff", b""])
def test_a_text_made_to_do_harm_is_refused(tmp_path: Path, text: bytes) -> None:
    path = archive(tmp_path / "deep.npz", about=npy((len(text),), "|u1", text))
    with pytest.raises(CheckpointError, match=r"is no checkpoint|has format"):
        read_checkpoint(path)

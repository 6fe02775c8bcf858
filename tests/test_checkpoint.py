import json
import os
import pickle
import zipfile

import numpy as np
import pytest

from meta_nni import checkpoint
from meta_nni.checkpoint import CheckpointError, Limits, read_checkpoint, write_checkpoint

ARRAYS = {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "mean": np.ones(4)}
ABOUT = {"space": "abc", "trained_on": {"run ü": 3}}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "policy.npz"
    write_checkpoint(path, ARRAYS, ABOUT)
    return path


def test_what_was_written_is_read(path):
    arrays, about = read_checkpoint(path)
    assert about == {**ABOUT, "format": checkpoint.FORMAT}
    assert set(arrays) == set(ARRAYS)
    for name, array in ARRAYS.items():
        assert np.array_equal(arrays[name], array)
        assert arrays[name].dtype == array.dtype


def test_the_file_is_plain_npz_without_pickle(path):
    with np.load(path, allow_pickle=False) as file:
        assert set(file.files) == {"w", "mean", "about"}
        assert json.loads(file["about"].tobytes())["trained_on"] == {"run ü": 3}


def assert_refused(path, match, limits=None):
    with pytest.raises(CheckpointError, match=match) as caught:
        read_checkpoint(path, limits)
    assert str(path) in str(caught.value)
    assert "train again with `meta-nni train`" in str(caught.value)


def rewrite(path, **members):
    with np.load(path) as file:
        kept = {name: file[name] for name in file.files}
    np.savez(path, **(kept | members))


def test_a_missing_file(tmp_path):
    assert_refused(tmp_path / "none.npz", "there is no checkpoint")


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 and then nothing"])
def test_a_file_that_is_none(tmp_path, content):
    path = tmp_path / "other.npz"
    path.write_bytes(content)
    assert_refused(path, "is no checkpoint")


def test_a_folder(tmp_path):
    assert_refused(tmp_path, "is no checkpoint")


def test_a_file_that_was_cut_short(path):
    path.write_bytes(path.read_bytes()[:-40])
    assert_refused(path, "is no checkpoint")


def test_a_flipped_bit_never_goes_unnoticed(path):
    expected, _ = read_checkpoint(path)
    content = path.read_bytes()
    num_refused = 0
    for position in range(0, len(content), 11):
        damaged = bytearray(content)
        damaged[position] ^= 4
        path.write_bytes(damaged)
        try:
            found, about = read_checkpoint(path)
        except CheckpointError:
            num_refused += 1
            continue
        # A bit of the archive's own, such as a time stamp.
        assert all(np.array_equal(found[name], array) for name, array in expected.items())
        assert about["trained_on"] == ABOUT["trained_on"]
    assert num_refused > len(content) / 11 / 3


def test_a_changed_number(path):
    rewrite(path, mean=np.full(4, 1.0 + 1e-12))
    assert_refused(path, "was changed since it was written: its SHA-256 does not fit")


def test_a_changed_text(path):
    with np.load(path) as file:
        text = file["about"].tobytes().replace(b'"abc"', b'"abd"')
    rewrite(path, about=np.frombuffer(text, np.uint8))
    assert_refused(path, "was changed")


def test_an_added_array(path):
    rewrite(path, more=np.zeros(1))
    assert_refused(path, "was changed")


@pytest.mark.parametrize("text", ['{"format": "meta-nni-checkpoint/2"}', "[]", '"text"', "{}"])
def test_another_format(path, text):
    rewrite(path, about=np.frombuffer(text.encode(), np.uint8))
    assert_refused(path, "has format .*, expected 'meta-nni-checkpoint/1'")


@pytest.mark.parametrize("text", [b"{", b"\xff\xfe", b"[" * 100_000])
def test_a_text_that_is_no_json(path, text):
    rewrite(path, about=np.frombuffer(text, np.uint8))
    assert_refused(path, "is no checkpoint")


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("exploded",)


def test_pickles_are_never_loaded(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bomb = np.empty(1, object)
    bomb[0] = Bomb()
    with open(path, "wb") as file:
        np.savez(file, about=bomb)
    assert_refused(path, "is no checkpoint")
    path.write_bytes(pickle.dumps(Bomb()))
    assert_refused(path, "is no checkpoint")
    assert not (tmp_path / "exploded").exists()


def test_a_zip_that_unpacks_to_too_much_is_not_unpacked(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("about.npy", b"\0" * 10**7)
    assert path.stat().st_size < 10**5
    assert_refused(path, "unpacks to 10000000 bytes, expected at most 1000000", Limits(bytes=10**6))


def test_a_failed_write_leaves_the_old_file_and_no_part(path, monkeypatch):
    def fail(*args):
        raise OSError("disk full")

    before = path.read_bytes()
    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_checkpoint(path, {"w": np.zeros(3)}, ABOUT)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]

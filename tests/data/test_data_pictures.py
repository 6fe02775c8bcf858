"""Single pictures: orientations, depths, sizes, and what is no picture."""

import sys

import numpy as np
import pytest
from PIL import Image

from meta_nni.data import DataError, load_data, pictures
from meta_nni.data.pictures import Format, common_format, read_picture
from meta_nni.data.problems import Problems


def read(file, form):
    return read_picture(file, form, Problems(), "here")


def test_a_picture_on_its_side_is_turned(tmp_path):
    picture = Image.fromarray(np.array([[0, 0, 200, 200]] * 2, np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise
    picture.save(tmp_path / "a.png", exif=exif)
    form = common_format([tmp_path / "a.png"], None, None)
    assert form == (4, 2, 1)
    pixels, size = read(tmp_path / "a.png", form)
    assert size == (2, 4)
    assert pixels.tolist() == [[0, 0], [0, 0], [200, 200], [200, 200]]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0, 257, 65535]], np.uint16), [[0, 1, 255]]),
        (np.array([[0.0, 0.5, 1.0]], np.float32), [[0, 128, 255]]),
        (np.array([[-10, 0, 90]], np.int32), [[0, 26, 255]]),
        (np.array([[False, True, True]]), [[0, 255, 255]]),
    ],
)
def test_deep_and_flat_greys_become_bytes(tmp_path, values, expected):
    Image.fromarray(values).save(tmp_path / "a.tiff")
    pixels, _ = read(tmp_path / "a.tiff", Format(1, 3, 1))
    assert pixels.tolist() == expected


def test_colours_without_colour_stay_colours(tmp_path):
    Image.new("RGBA", (3, 2), (9, 9, 9, 0)).save(tmp_path / "a.png")
    assert common_format([tmp_path / "a.png"], None, None) == (2, 3, 3)
    assert read(tmp_path / "a.png", Format(2, 3, 3))[0].shape == (2, 3, 3)


def test_the_most_common_size_wins_and_the_smaller_among_equals(tmp_path):
    sizes = [(4, 4), (8, 8), (8, 8), (2, 3), (3, 2)]
    files = []
    for number, size in enumerate(sizes):
        files.append(tmp_path / f"{number}.png")
        Image.new("L", size).save(files[-1])
    assert common_format(files, None, None)[:2] == (8, 8)
    assert common_format([files[0], files[1]], None, None)[:2] == (4, 4)


def test_pictures_that_would_not_fit_into_memory_are_refused(tmp_path, monkeypatch):
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    monkeypatch.setattr(pictures, "_MAX_BYTES", 100)
    assert common_format([tmp_path / "a.png"], None, None) == (8, 8, 1)
    with pytest.raises(DataError, match=r"2 pictures of 8x8 pixels need .* size: \[96, 96\]"):
        common_format([tmp_path / "a.png"] * 2, None, None)


def test_a_picture_that_ends_early_is_named(tmp_path):
    whole = tmp_path / "whole.png"
    Image.effect_noise((40, 40), 90).save(whole)
    (tmp_path / "half.png").write_bytes(whole.read_bytes()[:900])
    problems = Problems(skips=True)
    assert read_picture(tmp_path / "half.png", Format(4, 4, 1), problems, "half.png") is None
    assert problems.found[0].startswith("half.png: the picture cannot be read (")


def test_without_pillow_the_message_says_how_to_install_it(tmp_path, monkeypatch):
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "1.png").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(DataError, match=r"pip install meta-nni\[images\]"):
        load_data({"images": str(tmp_path)})


def test_many_problems_are_counted_not_listed(tmp_path, caplog):
    for label in "ab":
        (tmp_path / label).mkdir()
        for number in range(2):
            Image.new("L", (2, 2)).save(tmp_path / label / f"{number}.png")
    for number in range(30):
        (tmp_path / "a" / f"bad{number}.png").write_bytes(b"bad")
    spec = {"images": str(tmp_path), "test_fraction": 0}
    with pytest.raises(DataError, match="the first 20 problems") as caught:
        load_data(spec)
    assert str(caught.value).count("cannot be read") == 20
    assert len(load_data({**spec, "errors": "skip"}).skipped) == 30
    assert len(caplog.records) == 21
    assert caplog.messages[-1] == "skipped 10 more"

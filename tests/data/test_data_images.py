"""Folders of pictures, written by Pillow."""

import numpy as np
import pytest
from PIL import Image

from meta_nni.data import DataError, load_data


@pytest.fixture
def folder(tmp_path):
    """Ten pictures of each of two classes, 6 pixels high and 8 wide, of their own grey."""
    for label, first in (("cat", 0), ("dog", 100)):
        (tmp_path / label).mkdir()
        for number in range(10):
            save(tmp_path / label / f"{number}.png", first + number)
    return tmp_path


def save(file, grey, size=(8, 6), mode="L"):
    Image.new(mode, size, (grey,) * len(mode) if mode == "RGB" else grey).save(file)


def greys(data):
    return sorted(data.x.reshape(len(data.x), -1)[:, 0].tolist())


def test_each_folder_is_a_class_and_the_splits_share_no_picture(folder):
    train, test = (load_data({"images": str(folder)}, split) for split in ("train", "test"))
    assert train.kind == "image"
    assert train.classes.tolist() == test.classes.tolist() == ["cat", "dog"]
    assert train.x.shape[1:] == (6, 8)
    assert train.x.dtype == np.uint8
    assert sorted(greys(train) + greys(test)) == [*range(10), *range(100, 110)]
    assert 0 < len(test.y) < 10
    assert ((train.x[:, 0, 0] >= 100) == train.y).all()


def test_a_picture_stays_on_its_side_when_others_come(folder):
    before = greys(load_data({"images": str(folder)}, "test"))
    save(folder / "cat" / "new.png", 50)
    after = greys(load_data({"images": str(folder)}, "test"))
    assert [grey for grey in after if grey != 50] == before


def test_folders_of_splits_are_used_where_they_are(tmp_path):
    for split, grey in (("train", 1), ("test", 2)):
        for label in "ab":
            (tmp_path / split / label).mkdir(parents=True)
            for number in range(2):
                save(tmp_path / split / label / f"{number}.png", grey)
    assert set(greys(load_data({"images": str(tmp_path)}))) == {1}
    assert set(greys(load_data({"images": str(tmp_path)}, "test"))) == {2}


def test_sizes_and_channels_are_made_alike(folder):
    save(folder / "cat" / "large.png", 9, (16, 12), "RGB")
    assert load_data({"images": str(folder)}).x.shape[1:] == (6, 8, 3)
    given = {"images": str(folder), "size": [4, 5], "channels": 1}
    assert load_data(given).x.shape[1:] == (4, 5)


def test_wrong_files_are_named_and_can_be_skipped(folder, caplog):
    (folder / "cat" / "broken.png").write_bytes(b"no picture")
    (folder / "fish").mkdir()
    spec = {"images": str(folder), "test_fraction": 0}
    with pytest.raises(DataError, match=r"2 problems") as caught:
        load_data(spec)
    assert "cat/broken.png: the picture cannot be read" in str(caught.value)
    assert "fish: the folder of the class holds no picture" in str(caught.value)
    data = load_data({**spec, "errors": "skip"})
    assert len(data.y) == 20
    assert len(data.skipped) == 2
    assert "skipped" in caplog.text


def test_folders_without_pictures_are_refused(tmp_path):
    with pytest.raises(DataError, match="expected a folder of pictures per class"):
        load_data({"images": str(tmp_path)})
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "1.png").write_bytes(b"")
    with pytest.raises(DataError, match="none of 1 training files can be read"):
        load_data({"images": str(tmp_path)})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"siz": [4, 4]}, "no option 'siz', only .* did you mean 'size'"),
        ({"size": 4}, r"data size is 4, expected \[height, width\]"),
        ({"channels": 2}, "data channels is 2, expected 1"),
        ({"test_fraction": 1}, "expected a number from 0 to below 1"),
        ({"errors": "ignore"}, r"expected one of \['stop', 'skip'\]"),
    ],
)
def test_wrong_options_are_refused(folder, options, message):
    with pytest.raises(DataError, match=message):
        load_data({"images": str(folder), **options})


def test_a_class_left_out_of_the_training_split_shifts_no_codes(folder):
    (folder / "ant").mkdir()
    whole = (folder / "cat" / "0.png").read_bytes()
    (folder / "ant" / "0.png").write_bytes(whole[:45])  # a head that can be read, and no pixels
    spec = {"images": str(folder), "errors": "skip"}
    train, test = load_data(spec), load_data(spec, "test")
    assert train.classes.tolist() == test.classes.tolist() == ["cat", "dog"]
    assert ((test.x[:, 0, 0] >= 100) == test.y).all()


def test_a_label_without_training_pictures_is_named(tmp_path):
    for split, labels in (("train", "ab"), ("test", "abc")):
        for label in labels:
            (tmp_path / split / label).mkdir(parents=True)
            save(tmp_path / split / label / "0.png", 1)
    assert load_data({"images": str(tmp_path)}).classes.tolist() == ["a", "b"]
    with pytest.raises(DataError, match=r"c/0\.png: the target is 'c', which no training row has"):
        load_data({"images": str(tmp_path)}, "test")


def test_pictures_that_need_too_much_memory_are_refused(folder):
    with pytest.raises(DataError, match="GiB of memory; give a smaller size"):
        load_data({"images": str(folder), "size": [60_000, 60_000]})


def test_deep_grey_values_and_turned_pictures(tmp_path):
    for label, value in (("a", 0), ("b", 65535)):
        (tmp_path / label).mkdir()
        Image.fromarray(np.full((4, 6), value, np.uint16)).save(tmp_path / label / "0.png")
    assert greys(load_data({"images": str(tmp_path), "test_fraction": 0})) == [0, 255]
    for label in "ab":
        exif = Image.Exif()
        exif[0x0112] = 6  # lies on its side
        Image.new("L", (6, 4)).save(tmp_path / label / "0.png", exif=exif)
    assert load_data({"images": str(tmp_path), "test_fraction": 0}).x.shape == (2, 6, 4)

"""Annotations of Pascal VOC in all shapes that tools and mishaps give them."""

import re
from xml.sax.saxutils import escape

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from meta_nni.data import DataError, load_data

BOX = "<bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox>"


def annotate(folder, number, objects, size="<size><width>20</width><height>10</height></size>"):
    """Writes a picture, 20 pixels wide and 10 high, with an object a line from line 3 on."""
    Image.new("RGB", (20, 10), (number, 0, 0)).save(folder / f"{number}.png")
    lines = [f"<object>{each}</object>" for each in objects]
    text = "\n".join([f"<annotation>\n{size}", *lines, "</annotation>"])
    (folder / f"{number}.xml").write_text(text, encoding="utf-8")


def thing(name, *corners):
    return f"<name>{name}</name>{BOX.format(*corners)}"


@pytest.fixture
def folder(tmp_path):
    """Pictures beside their annotations, as labelling tools leave them."""
    for number, name in enumerate(["cat", "dog", "cat"]):
        annotate(tmp_path, number, [thing(name, 3, 2, 6, 6)])
    return tmp_path


def spec(folder, **options):
    return {"voc": str(folder), "test_fraction": 0, **options}


def test_pictures_and_annotations_may_share_a_folder(folder):
    data = load_data(spec(folder))
    assert data.classes.tolist() == ["cat", "dog"]
    assert data.y[:, 0, 0].tolist() == [0, 1, 0]


@pytest.mark.parametrize("errors", ["stop", "skip"])
def test_each_fault_is_named_by_its_line(folder, errors):
    faults = [
        (thing("cat", 3, 2, 60, 6), "outside of the picture of 20x10 pixels"),
        (thing("cat", 9, 2, 6, 6), "which is empty"),
        (thing("cat", 3, 2, "wide", 6), "expected 4 numbers: xmin, ymin, xmax, ymax"),
        (BOX.format(3, 2, 6, 6), "the object has no name"),
        ("<name>cat</name>", "expected 4 numbers"),
    ]
    annotate(folder, 9, [thing("cat", 3, 2, 6, 6), *(each for each, _ in faults)])
    expected = [(f"9.xml line {line}: ", what) for line, (_, what) in enumerate(faults, start=4)]
    if errors == "stop":
        with pytest.raises(DataError) as caught:
            load_data(spec(folder))
        found = str(caught.value).splitlines()[1:]
    else:
        data = load_data(spec(folder, errors="skip"))
        found = list(data.skipped)
        assert (data.y[-1, :, 0] >= 0).sum() == 1
    assert len(found) == len(expected)
    for where, what in expected:
        assert any(where in line and what in line for line in found)


def test_given_classes_set_the_codes_and_others_are_refused(folder):
    data = load_data(spec(folder, classes=["dog", "cat"]))
    assert data.y[:, 0, 0].tolist() == [1, 0, 1]
    with pytest.raises(DataError, match=r"1\.xml line 3: the class is 'dog', expected one of"):
        load_data(spec(folder, classes=["cat"]))
    place = f"{re.escape(str(folder))}, the class 'fish': it has no box"
    with pytest.raises(DataError, match=place):
        load_data(spec(folder, classes=["cat", "dog", "fish"]))


def test_a_folder_of_the_test_has_the_codes_of_the_training_folder(folder, tmp_path):
    other = tmp_path / "test"
    other.mkdir()
    annotate(other, 7, [thing("dog", 3, 2, 6, 6)])
    test = load_data(spec(folder, test=str(other)), "test")
    assert test.classes.tolist() == ["cat", "dog"]
    assert test.y[:, 0, 0].tolist() == [1]
    annotate(other, 8, [thing("eel", 3, 2, 6, 6)])
    with pytest.raises(DataError, match="the class is 'eel'"):
        load_data(spec(folder, test=str(other)), "test")
    assert len(load_data(spec(folder, test=str(other))).y) == 3


def lists(folder, **texts):
    sets = folder / "ImageSets" / "Main"
    sets.mkdir(parents=True)
    for name, text in texts.items():
        (sets / f"{name}.txt").write_text(text)


@pytest.mark.parametrize("name", ["train", "train.txt", "ImageSets/Main/train.txt"])
def test_a_list_says_which_pictures_count(folder, name):
    lists(folder, train="2\n\n 0 \n", val="1\n")
    data = load_data(spec(folder, images=name))
    assert data.x[:, 0, 0, 0].tolist() == [2, 0]
    both = spec(folder, images=name, test_images="val")
    with pytest.raises(DataError, match="the class is 'dog', expected one of"):
        load_data(both, "test")  # no training picture has a dog
    annotate(folder, 0, [thing("dog", 3, 2, 6, 6)])
    assert load_data(both, "test").x[:, 0, 0, 0].tolist() == [1]
    assert load_data(both).x[:, 0, 0, 0].tolist() == [2, 0]


def test_without_a_training_list_what_the_test_names_is_left_out(folder):
    lists(folder, val="0\n")
    data = spec(folder, test_images="val")
    assert load_data(data).x[:, 0, 0, 0].tolist() == [1, 2]
    assert load_data(data, "test").x[:, 0, 0, 0].tolist() == [0]


def test_the_lists_of_one_class_name_pictures_with_a_flag(folder):
    lists(folder, dog_train="0 -1\n1  1\n2 0\n")
    assert len(load_data(spec(folder, images="dog_train")).y) == 3


def test_a_list_of_a_folder_of_the_test_is_its_own(folder, tmp_path):
    other = tmp_path / "test"
    other.mkdir()
    for number in (7, 8):
        annotate(other, number, [thing("dog", 3, 2, 6, 6)])
    lists(other, some="8\n")
    test = load_data(spec(folder, test=str(other), test_images="some"), "test")
    assert test.x[:, 0, 0, 0].tolist() == [8]


def test_faults_of_a_list_are_named_by_its_line(folder):
    lists(folder, train="0\nnone\n2\n0\n", val="1\n2\n", empty="\n")
    with pytest.raises(DataError) as caught:
        load_data(spec(folder, images="train"))
    assert "train.txt line 2: " in str(caught.value)
    assert "has no none.xml, expected an annotation" in str(caught.value)
    assert "train.txt line 4: 0 stands in " in str(caught.value)
    skipped = load_data(spec(folder, images="train", errors="skip"))
    assert (len(skipped.y), len(skipped.skipped)) == (2, 2)
    with pytest.raises(DataError, match=r"val.txt line 2: 2 stands in .*train.txt line 3, too"):
        load_data(spec(folder, images="train", test_images="val"), "test")
    with pytest.raises(DataError, match=r"there are \['empty', 'train', 'val'\]"):
        load_data(spec(folder, images="trian"))
    with pytest.raises(DataError, match="names no picture, expected one a line"):
        load_data(spec(folder, images="empty"))


def test_a_size_of_zero_is_not_known_and_a_wrong_one_is_an_error(folder):
    annotate(folder, 3, [thing("cat", 3, 2, 6, 6)], "<size><width>0</width></size>")
    assert len(load_data(spec(folder)).y) == 4
    size = "<size><width>40</width><height>20</height></size>"
    annotate(folder, 3, [thing("cat", 3, 2, 6, 6)], size)
    with pytest.raises(DataError, match="boxes would be in the wrong place"):
        load_data(spec(folder))


def test_a_picture_on_its_side_is_read_as_its_boxes_were_drawn(folder):
    upright = Image.new("RGB", (20, 10))
    upright.paste((255, 0, 0), (0, 0, 10, 10))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    upright.save(folder / "0.png", exif=exif)
    data = load_data(spec(folder))  # its annotation says 20 x 10, as in the file
    assert data.x.shape[1:3] == (10, 20)
    assert data.x[0, :, :10, 0].min() == 255
    assert data.x[0, :, 10:].max() == 0


def test_a_box_one_pixel_over_the_edge_is_cut(folder):
    annotate(folder, 3, [thing("cat", 0, 0, 21, 11)])
    np.testing.assert_allclose(load_data(spec(folder)).y[3, 0], [0, 0, 0, 1, 1])


def test_nested_entities_are_refused_before_they_grow(folder):
    levels = [f'<!ENTITY e{i} "{f"&e{i - 1};" * 10 if i else "lol"}">' for i in range(12)]
    bomb = f"<!DOCTYPE a [{''.join(levels)}]><annotation>&e11;</annotation>"
    for encoding in ("utf-8", "utf-16"):
        (folder / "0.xml").write_bytes(bomb.encode(encoding))
        with pytest.raises(DataError, match=r"0\.xml: it declares a document type"):
            load_data(spec(folder))


CELL = st.sampled_from(["", "1", "5", "9.5", "-3", "1e999", "nan", "²", "x", "1_0"])
NAME = st.sampled_from(["", "cat", "dog", " "]) | st.text(max_size=4).map(escape)
OBJECT = st.builds(lambda name, c: thing(name, *c), NAME, st.tuples(CELL, CELL, CELL, CELL))
SIZE = st.builds("<size><width>{}</width><height>{}</height></size>".format, CELL, CELL)


@settings(max_examples=80, deadline=None)
@given(st.lists(OBJECT | NAME, max_size=4), SIZE, st.sampled_from(["stop", "skip"]))
def test_any_annotation_is_read_or_refused(tmp_path_factory, objects, size, errors):
    folder = tmp_path_factory.mktemp("any")
    annotate(folder, 1, [thing("cat", 3, 2, 6, 6)])
    annotate(folder, 2, [thing("cat", 3, 2, 6, 6)])
    annotate(folder, 0, [each.encode("utf-8", "replace").decode() for each in objects], size)
    try:
        data = load_data(spec(folder, errors=errors))
    except DataError:
        return
    real = data.y[data.y[..., 0] >= 0]
    assert np.isfinite(real).all()
    assert real[:, 1:].min() >= 0
    assert real[:, 1:].max() <= 1

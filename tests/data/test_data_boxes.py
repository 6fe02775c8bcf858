"""Boxes: archives, annotations of COCO, annotations of Pascal VOC."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from meta_nni.data import DataError, load_data

NAMES = ["cat", "dog"]


@pytest.fixture
def pictures(tmp_path):
    """Six pictures, 20 pixels wide and 10 high."""
    folder = tmp_path / "JPEGImages"
    folder.mkdir()
    for number in range(6):
        Image.new("RGB", (20, 10), (number, 0, 0)).save(folder / f"{number}.png")
    return folder


def coco(pictures, **changes):
    """A document in which picture i has a box of 4 x 5 pixels at (2 i, 1) of class i % 2."""
    document = {
        "categories": [{"id": 7, "name": "cat"}, {"id": 9, "name": "dog"}],
        "images": [{"id": i, "file_name": f"{i}.png", "width": 20, "height": 10} for i in range(6)],
        "annotations": [
            {"id": i, "image_id": i, "category_id": (7, 9)[i % 2], "bbox": [2 * i, 1, 4, 5]}
            for i in range(6)
        ],
    }
    file = pictures.parent / "annotations.json"
    file.write_text(json.dumps({**document, **changes}))
    return {"coco": str(file), "images": str(pictures), "test_fraction": 0}


def voc(pictures, corners=(3, 2, 6, 6), name="cat", number=0):
    folder = pictures.parent / "Annotations"
    folder.mkdir(exist_ok=True)
    sides = zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)
    box = "".join(f"<{side}>{value}</{side}>" for side, value in sides)
    (folder / f"{number}.xml").write_text(
        f"<annotation>\n<filename>{number}.png</filename>\n"
        "<size><width>20</width><height>10</height><depth>3</depth></size>\n"
        f"<object>\n<name>{name}</name>\n<bndbox>{box}</bndbox>\n</object>\n</annotation>"
    )
    return {"voc": str(pictures.parent), "test_fraction": 0}


def boxes(data):
    return data.y[data.y[..., 0] >= 0]


def check(data):
    """Whatever was read: a picture per row of boxes, and boxes of a class within the picture."""
    assert len(data.x) == len(data.y) > 0
    codes, x1, y1, x2, y2 = boxes(data).T
    assert len(codes) > 0
    assert (codes < len(data.classes)).all()
    assert ((x1 >= 0) & (x1 < x2) & (x2 <= 1)).all()
    assert ((y1 >= 0) & (y1 < y2) & (y2 <= 1)).all()


def test_coco_becomes_shares_of_the_picture(pictures):
    data = load_data(coco(pictures))
    assert (data.kind, data.target) == ("detection", "detection")
    assert data.classes.tolist() == NAMES
    assert data.x.shape == (6, 10, 20, 3)
    expected = [[i % 2, 2 * i / 20, 0.1, (2 * i + 4) / 20, 0.6] for i in range(6)]
    assert boxes(data) == pytest.approx(np.array(expected))


def test_sizes_are_made_alike_and_boxes_stay_shares(pictures):
    data = load_data({**coco(pictures), "size": [20, 20]})
    assert data.x.shape == (6, 20, 20, 3)
    assert boxes(data)[0] == pytest.approx([0, 0, 0.1, 0.2, 0.6])


def test_the_splits_share_no_picture(pictures):
    spec = {**coco(pictures), "test_fraction": 0.4}
    reds = [load_data(spec, split).x[:, 0, 0, 0].tolist() for split in ("train", "test")]
    assert sorted(reds[0] + reds[1]) == list(range(6))
    assert reds[1]


@pytest.mark.parametrize(
    ("changes", "where", "what"),
    [
        ({"bbox": [15, 1, 9, 5]}, "annotations[0]", "outside of the picture of 20x10 pixels"),
        ({"bbox": [2, 1, 0, 5]}, "annotations[0]", "which is empty"),
        ({"bbox": "wide"}, "annotations[0]", "expected 4 numbers: x, y, width, height"),
        ({"category_id": 8}, "annotations[0]", "category_id is 8, expected the id of a category"),
        ({"image_id": 99}, "annotations[0]", "image_id is 99, expected the id of one of images"),
    ],
)
def test_a_wrong_annotation_is_named_and_can_be_skipped(pictures, changes, where, what):
    spec = coco(pictures)
    document = json.loads((pictures.parent / "annotations.json").read_text())
    document["annotations"][0] |= changes
    spec = coco(pictures, **document)
    with pytest.raises(DataError) as caught:
        load_data(spec)
    assert f"annotations.json line 1, {where}: " in str(caught.value)
    assert what in str(caught.value)
    data = load_data({**spec, "errors": "skip"})
    assert len(boxes(data)) == 5
    assert len(data.skipped) == 1


def test_the_line_of_a_fault_is_that_of_its_element(pictures):
    spec = coco(pictures)
    file = pictures.parent / "annotations.json"
    document = json.loads(file.read_text())
    document["annotations"][4]["bbox"] = [2, 1, 0, 5]
    document["images"][2]["id"] = 1
    document["annotations"][2] |= {"note": "line\nbreak", "image_id": 1}
    text = json.dumps(document, indent=1)
    lines = text.splitlines()
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        file.write_text(text, encoding=encoding)
        with pytest.raises(DataError) as caught:
            load_data(spec)
        box, image = (
            next(e for e in str(caught.value).splitlines() if what in e)
            for what in ("annotations[4]", "images[2]")
        )
        number = int(box.split("line ")[1].split(",")[0])
        assert lines[number - 1] == "  {"
        assert lines[number] == '   "id": 4,'
        number = int(image.split("line ")[1].split(",")[0])
        assert lines[number + 1] == '   "file_name": "2.png",'


def test_a_missing_picture_and_a_class_without_boxes_are_named(pictures):
    (pictures / "3.png").unlink()
    names = [{"id": 7, "name": "cat"}, {"id": 9, "name": "dog"}, {"id": 11, "name": "fish"}]
    with pytest.raises(DataError) as caught:
        load_data(coco(pictures, categories=names))
    assert "3.png, named in " in str(caught.value)
    place = "annotations.json line 1, categories[2], the class 'fish': it has no box"
    assert place in str(caught.value)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"images": 3}', "[" * 10000])
def test_documents_that_are_none_of_coco_are_refused(pictures, content):
    spec = coco(pictures)
    (pictures.parent / "annotations.json").write_text(content)
    with pytest.raises(DataError, match=r"annotations\.json"):
        load_data(spec)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)
KEYS = ("id", "name", "image_id", "category_id", "bbox", "width", "height", "iscrowd")
ENTRY = st.fixed_dictionaries(
    {},
    optional={**dict.fromkeys(KEYS, JSON), "file_name": JSON | st.just("0.png")},
)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["images", "annotations", "categories"]),
    st.lists(ENTRY | JSON, max_size=3),
    st.sampled_from(["stop", "skip"]),
)
def test_any_document_is_read_or_refused(tmp_path_factory, key, entries, errors):
    folder = tmp_path_factory.mktemp("any")
    Image.new("RGB", (20, 10)).save(folder / "0.png")
    spec = coco(folder / "none", **{key: entries})
    try:
        data = load_data({**spec, "images": str(folder), "errors": errors})
    except DataError:
        return
    check(data)


def test_voc_counts_pixels_from_one_within_the_box(pictures):
    for number in range(3):
        spec = voc(pictures, number=number, name=NAMES[number % 2])
    data = load_data(spec)
    assert data.classes.tolist() == NAMES
    assert boxes(data)[0] == pytest.approx([0, 2 / 20, 1 / 10, 6 / 20, 6 / 10])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"corners": (3, 2, 60, 6)}, r"0\.xml line \d+: the box is .* outside of the picture"),
        ({"corners": ("a", 2, 6, 6)}, r"0\.xml line \d+"),
        ({"number": 77}, r"77\.xml"),
    ],
)
def test_wrong_annotations_of_voc_are_named_by_line(pictures, change, message):
    voc(pictures, number=1, name="dog")
    with pytest.raises(DataError, match=message):
        load_data(voc(pictures, **change))


def test_entities_of_xml_are_not_expanded(pictures):
    spec = voc(pictures)
    voc(pictures, number=1)
    file = pictures.parent / "Annotations" / "0.xml"
    bomb = '<!DOCTYPE a [<!ENTITY b "cat"><!ENTITY c "&b;&b;">]>' + file.read_text()
    file.write_text(bomb.replace("<name>cat", "<name>&c;"))
    with pytest.raises(DataError, match=r"0\.xml"):
        load_data(spec)


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="<>/abnmexyi&;!\"'= 1-\n", max_size=50), st.sampled_from(["stop", "skip"]))
def test_any_xml_is_read_or_refused(tmp_path_factory, content, errors):
    folder = tmp_path_factory.mktemp("any") / "JPEGImages"
    folder.mkdir()
    Image.new("RGB", (20, 10)).save(folder / "0.png")
    spec = voc(folder)
    (folder.parent / "Annotations" / "0.xml").write_text(content)
    try:
        data = load_data({**spec, "errors": errors})
    except DataError:
        return
    check(data)


def archive(tmp_path, y, **arrays):
    file = tmp_path / "boxes.npz"
    x = np.zeros((len(y), 8, 8, 3), np.uint8)
    arrays = {"class_names": np.array(NAMES), **arrays}
    np.savez(file, x_train=x, y_train=np.array(y, np.float32), **arrays)
    return {"npz": str(file)}


GOOD = [[0, 0.1, 0.1, 0.5, 0.5], [-1] * 5]


def test_an_archive_of_boxes(tmp_path):
    data = load_data(archive(tmp_path, [GOOD, GOOD]))
    assert data.kind == data.target == "detection"
    assert data.classes.tolist() == NAMES
    assert len(boxes(data)) == 2


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ([2, 0.1, 0.1, 0.5, 0.5], r"expected a class of 0\.\.1"),
        ([0, 0.1, 0.1, 1.5, 0.5], r"expected corners within 0\.\.1"),
        ([0, 0.6, 0.1, 0.5, 0.5], "the box is empty"),
        ([0, np.nan, 0.1, 0.5, 0.5], r"expected corners within 0\.\.1"),
    ],
)
def test_a_wrong_box_of_an_archive_is_named_and_can_be_skipped(tmp_path, box, message):
    spec = archive(tmp_path, [GOOD, [GOOD[0], box], GOOD])
    with pytest.raises(DataError, match=r"y_train\[1, 1\]: the box is .*" + message):
        load_data(spec)
    data = load_data({**spec, "errors": "skip"})
    assert len(boxes(data)) == 3
    assert len(data.skipped) == 1


def test_a_sequence_is_declared(tmp_path):
    x, y = np.zeros((6, 5, 2)), np.arange(6) % 2
    np.savez(tmp_path / "s.npz", x_train=x, y_train=y)
    assert load_data({"npz": str(tmp_path / "s.npz")}).kind == "image"
    assert load_data({"npz": str(tmp_path / "s.npz"), "kind": "sequence"}).kind == "sequence"
    np.savez(tmp_path / "s.npz", x_train=x, y_train=y, kind=np.str_("sequence"))
    assert load_data({"npz": str(tmp_path / "s.npz")}).kind == "sequence"
    np.savez(tmp_path / "s.npz", x_train=x, y_train=y, kind=np.str_("melody"))
    with pytest.raises(DataError, match=r"kind in .* is 'melody', expected one of"):
        load_data({"npz": str(tmp_path / "s.npz")})


def test_a_file_name_that_cannot_be_one_is_named(pictures):
    spec = voc(pictures)
    voc(pictures, number=1)
    file = pictures.parent / "Annotations" / "0.xml"
    file.rename(file.with_name("other.xml"))
    file = file.with_name("other.xml")
    file.write_text(file.read_text().replace("0.png", "long" * 100))
    with pytest.raises(DataError, match=r"named in .*other\.xml: the picture cannot be read"):
        load_data(spec)


def test_a_picture_of_another_size_than_written_is_named(pictures):
    Image.new("RGB", (30, 10)).save(pictures / "2.png")
    with pytest.raises(DataError, match=r"images\[2\]: the picture is said to be \(20, 10\)"):
        load_data(coco(pictures))


def test_a_class_that_is_not_listed_is_named_by_line(pictures):
    spec = voc(pictures, name="fish")
    voc(pictures, number=1)
    with pytest.raises(DataError, match=r"0\.xml line \d+: the class is 'fish', expected one of"):
        load_data({**spec, "classes": ["cat"]})


def test_test_annotations_of_their_own_have_the_training_codes(pictures):
    spec = coco(pictures)
    document = json.loads((pictures.parent / "annotations.json").read_text())
    document["annotations"] = document["annotations"][1:2]  # a dog
    other = pictures.parent / "other.json"
    other.write_text(json.dumps(document))
    test = load_data({**spec, "test": str(other)}, "test")
    assert test.classes.tolist() == NAMES
    assert boxes(test)[:, 0].tolist() == [1.0]

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from meta_nni.data import DataError, Dataset, load_data

GREY = np.arange(4 * 3 * 3, dtype=np.uint8).reshape(4, 3, 3)
TABLE = np.array([[1.0, np.nan], [2.0, 0.5], [3.0, 1.5], [4.0, 1.0]], np.float32)
TEXTS = np.array(["good film", "bad film", "fine", ""])
LABELS = np.array([0, 1, 1, 0])


def save(path, **arrays):
    np.savez(path, **{"x_train": GREY, "y_train": LABELS, **arrays})
    return {"npz": str(path)}


@pytest.fixture
def file(tmp_path):
    return tmp_path / "data.npz"


@pytest.mark.parametrize(
    ("x", "kind"),
    [
        (GREY, "image"),
        (np.zeros((4, 3, 3, 3), np.float32), "image"),
        (TEXTS, "text"),
        (TABLE, "tabular"),
        (np.arange(8).reshape(4, 2), "tabular"),
        (np.zeros((4, 2), bool), "tabular"),
    ],
)
def test_kind_follows_from_dtype_and_axes(file, x, kind):
    data = load_data(save(file, x_train=x))
    assert data.kind == kind
    np.testing.assert_array_equal(data.x, x)
    assert kind != "tabular" or data.x.dtype.kind == "f"


@pytest.mark.parametrize(
    ("y", "codes", "classes"),
    [
        ([3, 7, 7, 3], [0, 1, 1, 0], [3, 7]),
        (["b", "a", "c", "a"], [1, 0, 2, 0], ["a", "b", "c"]),
        ([True, False, True, True], [1, 0, 1, 1], [False, True]),
        ([[1], [0], [1], [1]], [1, 0, 1, 1], [0, 1]),
    ],
)
def test_labels_become_codes_of_classes(file, y, codes, classes):
    data = load_data(save(file, y_train=np.array(y)))
    assert data.target == "classification"
    assert data.y.dtype == np.int64
    assert data.y.tolist() == codes
    assert data.classes.tolist() == classes


def test_floats_are_regression(file):
    data = load_data(save(file, y_train=np.array([0.0, 1.0, 2.5, -1.0], np.float32)))
    assert data.target == "regression"
    assert data.classes is None
    assert data.y.tolist() == [0.0, 1.0, 2.5, -1.0]


def test_codes_of_the_test_split_are_those_of_the_training_labels(file):
    spec = save(
        file,
        y_train=np.array(["a", "b", "c", "c"]),
        x_test=GREY[:2],
        y_test=np.array(["c", "b"]),
    )
    test = load_data(spec, "test")
    assert test.y.tolist() == [2, 1]
    assert test.x.shape == (2, 3, 3)


def test_the_training_split_never_reads_the_test_arrays(file):
    # An array of Python objects raises when it is read: reading it cannot go unnoticed.
    objects = np.array([{}, {}], dtype=object)
    spec = save(file, x_test=objects, y_test=objects)
    assert load_data(spec).y.tolist() == LABELS.tolist()
    with pytest.raises(DataError, match="x_test"):
        load_data(spec, "test")


def test_categorical_flags_belong_to_columns_of_tables(file):
    flags = np.array([True, False])
    assert load_data(save(file, x_train=TABLE, is_categorical=flags)).is_categorical.tolist() == [
        True,
        False,
    ]
    assert load_data(save(file, x_train=TABLE)).is_categorical is None
    assert load_data(save(file, is_categorical=flags)).is_categorical is None


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x_train": GREY[:0], "y_train": LABELS[:0]}, "expected at least one row"),
        ({"x_train": np.zeros((4, 0))}, "expected at least one row"),
        ({"x_train": np.float64(3)}, "expected at least one row"),
        ({"y_train": LABELS[:3]}, "x_train has 4 rows and y_train 3"),
        ({"y_train": np.zeros(4, int)}, "holds the classes [0] only, expected at least two"),
        (
            {"y_train": np.array([1, np.nan, np.nan, 2])},
            "y_train[2]: the target is nan,",
        ),
        (
            {"y_train": np.array([1, np.inf, 1, 2])},
            "y_train[1]: the target is inf,",
        ),
        ({"y_train": np.eye(4, dtype=int)}, "y.argmax(axis=1)"),
        ({"y_train": np.array([b"a", b"b", b"a", b"b"])}, "y_train has the dtype |S1"),
        ({"x_train": np.array([{}] * 4, dtype=object)}, "Python objects are never unpickled"),
        ({"x_train": np.zeros((4, 3, 8, 8), np.uint8)}, "move the channels to the last axis"),
        ({"x_train": np.zeros((4, 8, 8), np.int64)}, "expected images (uint8 or float"),
        ({"x_train": np.array([["a", "b"]] * 4)}, "categories as codes"),
        ({"x_train": np.array([b"a"] * 4)}, "texts (unicode, 1 axis)"),
        ({"x_train": np.full((4, 2), np.inf)}, "use NaN where a value is missing"),
        ({"x_train": np.full((4, 2, 2), np.nan)}, "expected finite pixels"),
        ({"x_train": TABLE, "is_categorical": np.array([1, 0])}, "expected bool and (2,)"),
        ({"x_train": TABLE, "is_categorical": np.array([True])}, "one flag per column"),
    ],
)
def test_unusable_arrays_are_refused(file, arrays, message):
    with pytest.raises(DataError) as caught:
        load_data(save(file, **arrays))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"y_test": np.array([0, 5])}, "y_test[1]: the target is 5, which no training row has"),
        ({"y_test": np.array([0.0, 1.0])}, "expected labels in both or floats in both"),
        ({"y_test": np.array(["0", "1"])}, "the target is '1', which no training row has"),
    ],
)
def test_test_targets_that_do_not_fit_the_training_ones(file, arrays, message):
    with pytest.raises(DataError) as caught:
        load_data(save(file, x_test=GREY[:2], **arrays), "test")
    assert message in str(caught.value)


def test_missing_keys_are_named(file):
    np.savez(file, x=GREY, y_train=LABELS)
    with pytest.raises(DataError, match=r"has no x_train, only \['x', 'y_train'\]"):
        load_data({"npz": file})
    with pytest.raises(DataError, match="has no x_test, y_test"):
        load_data(save(file), "test")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"absent\.npz': no such file"):
        load_data({"npz": tmp_path / "absent.npz"})


def test_files_that_are_no_archive(tmp_path, file):
    np.save(tmp_path / "one.npy", GREY)
    with pytest.raises(DataError, match="single array"):
        load_data({"npz": tmp_path / "one.npy"})
    for content in (b"", b"x_train,y_train\n1,2\n", b"PK\x03\x04 broken", b"\x80\x04N."):
        file.write_bytes(content)
        with pytest.raises(DataError, match="not a NumPy archive") as caught:
            load_data({"npz": file})
        assert "allow_pickle" not in str(caught.value)  # NumPy's own advice


def test_damaged_arrays_are_refused(file):
    np.savez_compressed(file, x_train=np.random.default_rng(0).random((99, 9)), y_train=LABELS)
    content = bytearray(file.read_bytes())
    content[300:400] = bytes(100)
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"x_train in .* may be damaged"):
        load_data({"npz": file})


@pytest.mark.parametrize(
    ("spec", "split", "message"),
    [
        ("digits.npz", "train", "expected a mapping such as"),
        ({}, "train", "expected exactly one of ['images', 'csv', 'npz'"),
        ({"csv": "a.csv"}, "train", "data csv is 'a.csv': no such file"),
        ({"npz": __file__, "rows": 5}, "train", "data npz has no option 'rows', only"),
        ({"npz": 5}, "train", "data npz is 5, expected the path"),
        ({"npz": __file__}, "validation", "split is 'validation'"),
    ],
)
def test_wrong_specifications_are_refused(spec, split, message):
    with pytest.raises(DataError) as caught:
        load_data(spec, split)
    assert message in str(caught.value)


ANY_ARRAY = hnp.arrays(
    dtype=st.sampled_from(["u1", "i8", "f4", "f8", "U3", "S3", "?", "c8", "M8[s]"]),
    shape=hnp.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=3),
)


@settings(max_examples=60, deadline=None)
@given(ANY_ARRAY, ANY_ARRAY)
def test_any_pair_of_arrays_is_either_read_or_refused(x, y):
    try:
        data = Dataset.from_arrays(x, y)
    except DataError:
        return
    assert len(data.x) == len(data.y) > 0
    if data.target == "detection":
        return
    assert data.y.ndim == 1
    assert data.y.dtype == (np.int64 if data.target == "classification" else np.float64)


def test_skipped_rows_of_the_training_split_leave_the_test_split_readable(file):
    y = np.array([1.0, np.nan, 2.0, 3.0])
    spec = {**save(file, y_train=y, x_test=GREY[:2], y_test=y[:2]), "errors": "skip"}
    assert load_data(spec).y.tolist() == [1.0, 2.0, 3.0]
    with pytest.raises(DataError, match="1 rows of the test split are left, expected at least 2"):
        load_data(spec, "test")
    spec = {**save(file, y_train=y, x_test=GREY[:2], y_test=y[2:]), "errors": "skip"}
    assert load_data(spec, "test").y.tolist() == [2.0, 3.0]

"""Tables of text."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meta_nni.data import DataError, load_data

ROWS = "age,colour,label\n" + "".join(
    f"{20 + i},{'red' if i % 3 else 'blue'},{'yes' if i % 2 else 'no'}\n" for i in range(40)
)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(ROWS)
    return path


def spec(file, **options):
    return {"csv": str(file), "target": "label", **options}


def test_numbers_and_categories_are_told_apart(file):
    data = load_data(spec(file, test_fraction=0))
    assert (data.kind, data.target) == ("tabular", "classification")
    assert data.classes.tolist() == ["no", "yes"]
    assert data.is_categorical.tolist() == [False, True]
    assert data.x[:4].tolist() == [[20.0, 0.0], [21.0, 1.0], [22.0, 1.0], [23.0, 0.0]]
    assert data.y[:4].tolist() == [0, 1, 0, 1]


def test_commas_are_decimal_points_where_others_separate(tmp_path, caplog):
    lines = [f"{i % 3},{i:03};{i};{i},5" for i in range(60)]
    (tmp_path / "t.csv").write_text("\n".join(["x;whole;label", *lines]))
    (tmp_path / "test.csv").write_text("x;whole;label\n0,126;1;2,5\n0.5;1;2\n")
    options = spec(tmp_path / "t.csv", test=str(tmp_path / "test.csv"))
    data = load_data(options)
    assert data.target == "regression"
    assert data.is_categorical.tolist() == [False, False]
    assert data.x[:3, 0].tolist() == [0.0, 1.001, 2.002]
    assert data.y[:3].tolist() == [0.5, 1.5, 2.5]
    test = load_data(options, "test")
    assert test.x[:, 0].tolist() == [0.126, 0.5]
    assert test.y.tolist() == [2.5, 2.0]
    assert not caplog.messages


def test_commas_in_quotes_separate_thousands(tmp_path):
    lines = [f'"{i + 1},250","-1,234,567.5",{"ab"[i % 2]}' for i in range(30)]
    (tmp_path / "t.csv").write_text("\n".join(["x,y,label", *lines]))
    data = load_data(spec(tmp_path / "t.csv", test_fraction=0))
    assert data.is_categorical.tolist() == [False, False]
    assert data.x[:2].tolist() == [[1250.0, -1234567.5], [2250.0, -1234567.5]]


def test_what_a_comma_means_is_not_guessed(tmp_path):
    lines = [f"{'1,234' if i % 30 == 0 else i + 0.5};{'ab'[i % 2]}" for i in range(60)]
    (tmp_path / "t.csv").write_text("\n".join(["x;label", *lines]))
    with pytest.raises(DataError, match="line 2: the column 'x' is '1,234', expected a number"):
        load_data(spec(tmp_path / "t.csv", test_fraction=0))


def test_texts_that_differ_in_each_row_are_told(tmp_path, caplog):
    lines = [f"v{i},{i % 4},{'ab'[i % 2]}" for i in range(40)]
    (tmp_path / "t.csv").write_text("\n".join(["name,code,label", *lines]))
    load_data(spec(tmp_path / "t.csv", test_fraction=0, categorical=["code"]))
    (told,) = caplog.messages
    assert "t.csv: the column 'name' has 40 different texts in 40 rows" in told
    caplog.clear()
    load_data({"csv": str(tmp_path / "t.csv"), "target": "name", "test_fraction": 0})
    assert any("the column 'name' has 40" in told for told in caplog.messages)


def test_the_splits_share_no_row(file):
    train, test = load_data(spec(file)), load_data(spec(file), "test")
    ages = train.x[:, 0].tolist() + test.x[:, 0].tolist()
    assert sorted(ages) == list(range(20, 60))
    assert 0 < len(test.y) < 20


def test_a_file_of_test_rows_has_the_codes_of_the_training_file(file, tmp_path):
    other = tmp_path / "test.csv"
    other.write_text("label,colour,age\nyes,red,70\nno,green,71\n")
    test = load_data(spec(file, test=str(other)), "test")
    assert test.y.tolist() == [1, 0]
    assert test.x[0].tolist() == [70.0, 1.0]
    assert test.x[1, 0] == 71.0
    assert np.isnan(test.x[1, 1])  # a category that no training row has
    assert len(load_data(spec(file, test=str(other))).y) == 40


@pytest.mark.parametrize(
    ("targets", "task", "found"),
    [
        (["1.5", "2", "3"], None, "regression"),
        ([str(i) for i in range(30)], None, "regression"),
        (["1", "2", "3"], None, "classification"),
        (["1", "2", "3"], "regression", "regression"),
        ([str(i) for i in range(30)], "classification", "classification"),
        (["a", "b", "1"], None, "classification"),
    ],
)
def test_what_the_target_is(tmp_path, targets, task, found):
    lines = [f"{i},{targets[i % len(targets)]}" for i in range(60)]
    (tmp_path / "t.csv").write_text("\n".join(["x,label", *lines]))
    options = {} if task is None else {"task": task}
    assert load_data(spec(tmp_path / "t.csv", **options)).target == found


def test_a_column_of_text_is_a_task_of_texts(tmp_path):
    lines = [f'"said, number {i}",{"ab"[i % 2]}' for i in range(20)]
    (tmp_path / "t.csv").write_text("\n".join(["words,label", *lines]))
    data = load_data(spec(tmp_path / "t.csv", text="words", test_fraction=0))
    assert data.kind == "text"
    assert data.x[:2].tolist() == ["said, number 0", "said, number 1"]


def test_missing_ignored_and_forced_columns(tmp_path):
    lines = [f"{i};{'?' if i == 3 else i % 4};{'ab'[i % 2]}" for i in range(20)]
    (tmp_path / "t.csv").write_text("\n".join(["id;code;label", *lines]))
    options = {"ignore": ["id"], "categorical": ["code"], "test_fraction": 0}
    data = load_data(spec(tmp_path / "t.csv", **options))
    assert data.is_categorical.tolist() == [True]
    assert data.x[:3, 0].tolist() == [0.0, 1.0, 2.0]
    assert np.isnan(data.x[3, 0])


def test_wrong_lines_are_named_and_can_be_skipped(file):
    lines = ["forty,red,yes", "41,red", "42,red,"]
    file.write_text(ROWS + "\n".join(lines) + "\n")
    with pytest.raises(DataError, match="3 problems") as caught:
        load_data(spec(file, test_fraction=0))
    found = str(caught.value)
    assert "table.csv line 42: the column 'age' is 'forty', expected a number" in found
    assert "table.csv line 43: 2 cells, expected 3: one per column" in found
    assert "table.csv line 44: the target 'label' is '', expected a label" in found
    data = load_data(spec(file, test_fraction=0, errors="skip"))
    assert len(data.y) == 40
    assert len(data.skipped) == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "has no rows"),
        ("a,b\n1,2\n", r"line 1: there is no column 'label', only \['a', 'b'\]"),
        ("label,label\n1,2\n", "two columns are named 'label'"),
        ("label\na\nb\n", "has no column besides"),
        ("x,label\n1,a\n2,a\n", "expected at least two classes"),
    ],
)
def test_unusable_files_are_refused(file, content, message):
    file.write_text(content)
    with pytest.raises(DataError, match=message):
        load_data(spec(file, test_fraction=0))


def test_a_file_that_is_no_text_is_refused(file):
    file.write_bytes(b"a,label\n\xff\xfe,1\n")
    with pytest.raises(DataError, match="not encoded in UTF-8"):
        load_data(spec(file))


@settings(max_examples=80, deadline=None)
@given(st.text(alphabet='ab1.,;"\n\r\t ?-\0', max_size=60), st.sampled_from(["stop", "skip"]))
def test_any_text_is_read_or_refused(tmp_path_factory, content, errors):
    file = tmp_path_factory.mktemp("any") / "any.csv"
    file.write_text("a,label\n" + content, newline="")
    try:
        data = load_data(spec(file, errors=errors, test_fraction=0))
    except DataError:
        return
    assert len(data.x) == len(data.y) > 0


def test_a_label_left_out_of_the_training_rows_shifts_no_codes(file, tmp_path):
    file.write_text(ROWS + "forty,red,maybe\n")  # its only row is left out
    other = tmp_path / "test.csv"
    other.write_text("label,colour,age\nyes,red,70\nno,red,71\n")
    options = {"test": str(other), "errors": "skip"}
    train, test = (load_data(spec(file, **options), split) for split in ("train", "test"))
    assert train.classes.tolist() == test.classes.tolist() == ["no", "yes"]
    assert test.y.tolist() == [1, 0]


def test_a_test_file_without_a_column_is_refused(file, tmp_path):
    other = tmp_path / "test.csv"
    other.write_text("label,age\nyes,70\n")
    with pytest.raises(DataError, match=r"test\.csv line 1 has no column 'colour'"):
        load_data(spec(file, test=str(other)), "test")

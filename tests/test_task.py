import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meta_nni.task import EMBEDDING_SIZE, METAFEATURES, Task

NAMES = [feature.name for feature in METAFEATURES]
HALF = len(METAFEATURES)


def test_sign_turns_values_into_ones_to_maximise():
    assert Task("a").sign == 1.0
    assert Task("a", "minimize").sign == -1.0


def test_metafeatures_are_copied_as_plain_floats():
    given = {"n_train": np.int64(4000), "value_std": np.float32(0.5)}
    task = Task("digits", metafeatures=given)
    given["n_train"] = 1
    assert task.metafeatures == {"n_train": 4000.0, "value_std": 0.5}
    assert {type(value) for value in task.metafeatures.values()} == {float}


def test_equal_tasks_are_equal_and_hashable():
    assert Task("a", metafeatures={"n_train": 1}) == Task("a", metafeatures={"n_train": 1.0})
    assert len({Task("a", metafeatures={"n_train": 1}), Task("a", "minimize")}) == 2


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("", "maximize"), ValueError, "task name is empty"),
        ((" ", "maximize"), ValueError, "task name is empty"),
        ((3, "maximize"), TypeError, "task name is 3, expected a string"),
        (("a", "max"), ValueError, "'max', expected 'maximize' or 'minimize'"),
        (("a", ["maximize"]), ValueError, "expected 'maximize' or 'minimize'"),
        (("a", "maximize", [1.0]), TypeError, "expected a mapping from names to numbers"),
        (("a", "maximize", {1: 1.0}), TypeError, "metafeature named 1, expected a string"),
        (("a", "maximize", {"n": "many"}), TypeError, "'n' of task 'a' is 'many'"),
        (("a", "maximize", {"n": None}), TypeError, "'n' of task 'a' is None"),
        (("a", "maximize", {"n": True}), TypeError, "use 0.0 or 1.0 for no or yes"),
        (("a", "maximize", {"n": 1j}), TypeError, "expected a number"),
        (("a", "maximize", {"n": math.nan}), ValueError, "leave it out if it is unknown"),
        (("a", "maximize", {"n": -math.inf}), ValueError, "expected a finite number"),
        (("a", "maximize", {"n": 10**400}), ValueError, "expected a finite number"),
    ],
)
def test_wrong_parts_are_refused(arguments, error, message):
    with pytest.raises(error) as caught:
        Task(*arguments)
    assert message in str(caught.value)


def test_from_spec_reads_a_name_or_a_mapping():
    assert Task.from_spec("digits", "minimize") == Task("digits", "minimize")
    assert Task.from_spec({"name": "digits"}) == Task("digits")
    spec = {"name": "digits", "metafeatures": {"n_train": 10, "colour_of_paper": 3}}
    assert Task.from_spec(spec).metafeatures == {"n_train": 10.0, "colour_of_paper": 3.0}
    assert Task.from_spec({"name": "digits", "metafeatures": None}) == Task("digits")


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        (None, TypeError, "task is None, expected a name or a mapping"),
        (["digits"], TypeError, "expected a name or a mapping"),
        ({}, ValueError, "task has no 'name'"),
        ({"metafeatures": {}}, ValueError, "task has no 'name'"),
        ({"name": "a", "n_train": 5}, ValueError, "unknown keys ['n_train']"),
        ({"name": None}, TypeError, "task name is None"),
        ({"name": "a", "metafeatures": 5}, TypeError, "expected a mapping"),
    ],
)
def test_from_spec_refuses(spec, error, message):
    with pytest.raises(error) as caught:
        Task.from_spec(spec)
    assert message in str(caught.value)


def test_canonical_names_are_unique_and_described():
    assert len(set(NAMES)) == HALF
    assert all(feature.meaning and feature.unit for feature in METAFEATURES)


def test_embedding_of_a_named_task_is_all_missing():
    embedding = Task("digits").embedding()
    assert embedding.shape == (EMBEDDING_SIZE,) == (2 * HALF,)
    assert embedding.dtype == np.float32
    assert not embedding.any()


def test_embedding_transforms_by_kind_of_value_and_marks_presence():
    raw = {
        "n_train": 10_000,
        "value_skew": -10,
        "class_entropy": 0.25,
        "landmark_tree": -0.5,
        "n_classes": 10,
    }
    embedding = Task("a", metafeatures=raw).embedding()
    expected = {
        "n_train": 1.0,
        "value_skew": -1.0,
        "class_entropy": 0.25,
        "landmark_tree": -0.5,
        "n_classes": 1.0,
    }
    for name, value in expected.items():
        assert embedding[NAMES.index(name)] == pytest.approx(value), name
        assert embedding[HALF + NAMES.index(name)] == 1.0
    assert embedding[HALF:].sum() == len(raw)


def test_a_value_of_zero_differs_from_a_missing_one():
    zero, missing = Task("a", metafeatures={"kind_text": 0}), Task("a")
    assert not np.array_equal(zero.embedding(), missing.embedding())


def test_unknown_metafeatures_are_kept_but_not_embedded():
    task = Task("a", metafeatures={"colour_of_paper": 3})
    assert task.metafeatures == {"colour_of_paper": 3.0}
    assert not task.embedding().any()


@given(st.dictionaries(st.sampled_from(NAMES), st.floats(allow_nan=False, allow_infinity=False)))
def test_embedding_is_bounded_whatever_the_metafeatures(metafeatures):
    embedding = Task("a", metafeatures=metafeatures).embedding()
    assert embedding.shape == (EMBEDDING_SIZE,)
    assert np.abs(embedding).max() <= 2.0
    assert embedding[HALF:].sum() == len(metafeatures)

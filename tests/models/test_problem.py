import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meta_nni.models.problem import load_problem, stratified_rows


@pytest.fixture
def save(tmp_path):
    def save(x, y):
        np.savez(tmp_path / "data.npz", x_train=x, y_train=y)
        return {"npz": tmp_path / "data.npz"}

    return save


@pytest.fixture
def labelled(save):
    labels = np.repeat(["pear", "apple", "plum"], [50, 30, 20])
    return save(np.arange(200, dtype=np.float32).reshape(100, 2), labels)


def test_parts_are_disjoint_stratified_and_complete(labelled):
    problem = load_problem(labelled)
    assert (len(problem.y), len(problem.y_val)) == (80, 20)
    assert sorted(np.concatenate([problem.x, problem.x_val])[:, 0]) == list(range(0, 200, 2))
    assert np.bincount(problem.y_val).tolist() == [6, 10, 4]
    assert problem.classes.tolist() == ["apple", "pear", "plum"]
    assert problem.num_outputs == 3


def test_rows_keep_their_targets(labelled):
    problem = load_problem(labelled, samples=40)
    labels = np.repeat(["pear", "apple", "plum"], [50, 30, 20])
    for x, y in ((problem.x, problem.y), (problem.x_val, problem.y_val)):
        assert problem.classes[y].tolist() == labels[(x[:, 0] / 2).astype(int)].tolist()
    assert len(problem.y) + len(problem.y_val) == 40


def test_the_same_seed_gives_the_same_rows(labelled):
    first, same, other = (load_problem(labelled, 50, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.x_val, same.x_val)
    assert np.array_equal(first.x, same.x)
    assert not np.array_equal(first.x_val, other.x_val)


def test_classes_without_rows_are_dropped_and_codes_stay_dense(save):
    y = np.array([7] * 60 + [5] + [3] * 60)
    problem = load_problem(save(np.zeros((121, 2)), y), samples=20)
    assert problem.classes.tolist() == [3, 7]
    assert set(problem.y) == {0, 1}
    test_codes = problem.encode(np.array([0, 1, 2]), np.array([3, 5, 7]))
    assert test_codes.tolist() == [0, -1, 1]


def test_regression_keeps_numbers(save):
    y = np.linspace(100.0, 200.0, 30)
    problem = load_problem(save(np.zeros((30, 2)), y))
    assert problem.num_outputs == 1
    assert sorted(np.concatenate([problem.y, problem.y_val])) == pytest.approx(y)
    assert problem.encode(y, None) is y


@pytest.mark.parametrize("fraction", [0.0, 1.0, 0.001])
def test_an_empty_part_is_an_error(labelled, fraction):
    with pytest.raises(ValueError, match=f"validation_fraction {fraction} of 100 rows"):
        load_problem(labelled, validation_fraction=fraction)


def test_a_single_class_is_an_error(save):
    data = save(np.zeros((100, 2)), np.array([0] * 99 + [1]))
    with pytest.raises(ValueError, match="hold the class 0 only"):
        load_problem(data, samples=2, validation_fraction=0.5)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.data())
def test_classes_keep_their_shares_to_within_one_row(y, data):
    count = data.draw(st.integers(1, len(y)))
    rows = stratified_rows(np.array(y), count, np.random.default_rng(0))
    assert len(set(rows.tolist())) == count
    drawn = np.bincount(np.array(y)[rows], minlength=5)
    expected = np.bincount(y, minlength=5) * count / len(y)
    assert np.all(np.abs(drawn - expected) <= 1)


def test_the_only_row_of_a_class_is_fitted(save):
    y = np.array([0] * 49 + [1] * 47 + [2, 3, 4, 5])
    data = save(np.arange(200.0).reshape(100, 2), y)
    for seed in range(10):
        problem = load_problem(data, seed=seed)
        assert np.bincount(problem.y)[2:].tolist() == [1, 1, 1, 1]
        assert len(problem.y_val) == 19


def test_the_rows_of_classes_with_several_stay_the_same(labelled):
    drawn = load_problem(labelled).x_val[:, 0] / 2
    assert drawn.astype(int).tolist() == [
        62,
        58,
        60,
        74,
        50,
        78,
        20,
        32,
        35,
        31,
        17,
        24,
        22,
        14,
        16,
        9,
        96,
        89,
        93,
        91,
    ]

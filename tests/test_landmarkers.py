import numpy as np
import pytest

from meta_nni.landmarkers import LANDMARKERS, bayes, linear, nearest, skill, stump, tree

ROWS = 200
FOLDS = np.arange(ROWS) % 4


def one_hot(labels):
    return (labels[:, None] == np.unique(labels)).astype(float)


def column(values):
    return values.reshape(-1, 1)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_separate_clusters_are_learned_by_all_but_the_stump(rng):
    labels = np.arange(ROWS) // 4 % 4
    centres = 10.0 * np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    x, y = centres[labels] + rng.standard_normal((ROWS, 2)), one_hot(labels)
    found = {name: skill(learner, x, y, FOLDS) for name, learner in LANDMARKERS.items()}
    assert found.pop("landmark_stump") == pytest.approx(1 / 3, abs=0.02)
    assert all(value > 0.95 for value in found.values()), found


def test_several_numbers_count_by_how_much_they_vary(rng):
    x = rng.standard_normal((ROWS, 3))
    y = np.stack([x[:, 0], rng.standard_normal(ROWS)], axis=1)
    assert skill(linear, x, y, FOLDS, numbers=True) == pytest.approx(0.5, abs=0.05)
    small = y * [1.0, 0.01]
    assert skill(linear, x, small, FOLDS, numbers=True) > 0.99


def test_noise_has_no_skill(rng):
    x, y = rng.standard_normal((ROWS, 5)), one_hot(rng.integers(0, 2, ROWS))
    for name, learner in LANDMARKERS.items():
        assert skill(learner, x, y, FOLDS) < 0.3, name


def test_each_learner_has_a_task_that_suits_it(rng):
    x = rng.standard_normal((ROWS, 2))
    line = column(x @ [1.0, -2.0])
    assert skill(linear, x, line, FOLDS) > 0.99
    assert skill(stump, x, line, FOLDS) < 0.7
    parity = one_hot((x[:, 0] > 0) ^ (x[:, 1] > 0))
    assert skill(linear, x, parity, FOLDS) < 0.3
    assert skill(nearest, x, parity, FOLDS) > 0.6
    step = column((x[:, 1] > 0.5).astype(float))
    assert skill(stump, x, step, FOLDS) > 0.8
    rings = one_hot(np.arange(ROWS) % 8 < 4)
    spread = np.where(rings[:, :1] > 0, 0.3, 3.0) * rng.standard_normal((ROWS, 2))
    assert skill(bayes, spread, rings, FOLDS) > 0.7 > 0.3 > skill(linear, spread, rings, FOLDS)


@pytest.mark.parametrize(("rows", "features"), [(20, 3), (20, 60), (300, 200), (300, 301)])
def test_ridge_equals_its_textbook_form(rng, rows, features):
    x, y = rng.standard_normal((rows, features)), rng.standard_normal((rows, 2))
    held_out = rng.standard_normal((5, features))
    centred, shifted = x - x.mean(0), y - y.mean(0)
    expected = []
    for share in (0.01, 1.0):
        penalty = share * (centred**2).sum() / rows
        inner = centred.T @ centred + penalty * np.eye(features)
        weights = np.linalg.solve(inner, centred.T @ shifted)
        expected.append((held_out - x.mean(0)) @ weights + y.mean(0))
    found = linear(x, y, held_out)
    assert any(np.allclose(found, form, rtol=1e-6, atol=1e-8) for form in expected)


def test_ridge_takes_the_penalty_that_the_data_asks_for(rng):
    x = rng.standard_normal((100, 60)) * np.logspace(0, -2, 60)
    exact = x @ rng.standard_normal((60, 1))
    noisy = rng.standard_normal((100, 1))
    assert skill(linear, x, exact, np.arange(100) % 4) > 0.9
    assert skill(linear, x, noisy, np.arange(100) % 4) > -0.5


def test_nearest_agrees_with_a_plain_search(rng):
    x, held_out = rng.standard_normal((30, 3)), rng.standard_normal((10, 3))
    y = column(np.arange(30.0))
    plain = [np.linalg.norm(x - row, axis=1).argmin() for row in held_out]
    assert nearest(x, y, held_out)[:, 0].tolist() == plain


def test_a_tree_cuts_where_the_target_changes():
    x = column(np.arange(32.0))
    y = column((x[:, 0] >= 16).astype(float))
    assert tree(x, y, np.array([[3.0], [15.0], [16.0], [40.0]])).ravel().tolist() == [0, 0, 1, 1]


def test_a_tree_of_constant_features_predicts_the_mean():
    y = column(np.arange(20.0))
    assert tree(np.ones((20, 3)), y, np.ones((2, 3))).ravel().tolist() == [9.5, 9.5]


def test_skill_is_zero_for_the_constant_prediction_and_clipped_below(rng):
    y = one_hot(np.arange(ROWS) % 4 == 0)

    def majority(x, targets, held_out):
        return np.tile(targets.mean(axis=0), (len(held_out), 1))

    def absurd(x, targets, held_out):
        return np.full((len(held_out), 1), 1e6)

    # A fold holds out all kinds of rows: the majority is the same in each.
    folds = rng.permutation(ROWS) % 4
    x = rng.standard_normal((ROWS, 1))
    assert skill(majority, x, y, folds) == pytest.approx(0.0)
    assert skill(absurd, x, x, folds) == -1.0


def test_skill_of_equal_targets_is_unknown():
    assert skill(nearest, np.ones((4, 1)), np.ones((4, 1)), np.arange(4)) is None
    assert skill(nearest, np.ones((4, 1)), np.eye(2)[[0] * 4], np.arange(4)) is None

import math

import numpy as np
import pytest

from meta_nni.models.metrics import score, score_all

TRUE = np.array([0, 1, 2, 2])
PREDICTED = np.array([[0.8, 0.1, 0.1], [0.2, 0.2, 0.6], [0.1, 0.1, 0.8], [0.0, 0.0, 1.0]])


def test_classification_by_hand():
    found = score_all(TRUE, PREDICTED, "classification")
    assert found["accuracy"] == score(TRUE, PREDICTED, "classification") == 0.75
    assert found["precision"] == pytest.approx((1 + 0 + 2 / 3) / 3)
    assert found["recall"] == pytest.approx((1 + 0 + 1) / 3)
    assert found["f1"] == pytest.approx((1 + 0 + 0.8) / 3)
    assert found["log_loss"] == pytest.approx(-math.log(0.8 * 0.2 * 0.8 * 1.0) / 4)


def test_one_column_is_the_probability_of_the_second_class():
    predicted = np.array([[0.2], [0.7], [0.4]])
    found = score_all(np.array([0, 1, 1]), predicted, "classification")
    assert found["accuracy"] == pytest.approx(2 / 3)
    assert found["log_loss"] == pytest.approx(-math.log(0.8 * 0.7 * 0.4) / 3)


def test_a_label_that_the_model_does_not_know_counts_as_an_error():
    found = score_all(np.array([0, -1]), PREDICTED[[0, 3]], "classification")
    assert found["accuracy"] == 0.5
    assert found["log_loss"] > 5


def test_regression_by_hand():
    y, predicted = np.array([1.0, 2.0, 3.0]), np.array([[1.0], [2.0], [4.0]])
    assert score(y, predicted, "regression") == pytest.approx(1 - 1 / 2)
    found = score_all(y, predicted, "regression")
    assert found == pytest.approx({"r2": 0.5, "mean_squared_error": 1 / 3})


@pytest.mark.parametrize("target", ["classification", "regression"])
def test_predictions_that_are_not_finite_have_no_score(target):
    assert math.isnan(score(TRUE, np.where(PREDICTED > 0.9, np.inf, PREDICTED), target))

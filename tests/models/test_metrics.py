import math

import numpy as np
import pytest

from meta_nni.metrics import METRICS
from meta_nni.models.metrics import score, score_all

ACCURACY, R2 = METRICS["accuracy"], METRICS["r2"]
TRUE = np.array([0, 1, 2, 2])
PREDICTED = np.array([[0.8, 0.1, 0.1], [0.2, 0.2, 0.6], [0.1, 0.1, 0.8], [0.0, 0.0, 1.0]])


def test_classification_by_hand():
    found = score_all(TRUE, PREDICTED, "classification")
    assert found["accuracy"] == score(TRUE, PREDICTED, ACCURACY) == 0.75
    assert found["balanced_accuracy"] == pytest.approx((1 + 0 + 1) / 3)
    assert found["precision"] == pytest.approx((1 + 0 + 2 / 3) / 3)
    assert found["precision_weighted"] == pytest.approx((1 + 0 + 2 * 2 / 3) / 4)
    assert found["recall"] == pytest.approx((1 + 0 + 1) / 3)
    assert found["recall_weighted"] == pytest.approx((1 + 0 + 2) / 4)
    assert found["f1"] == pytest.approx((1 + 0 + 0.8) / 3)
    assert found["f1_weighted"] == pytest.approx((1 + 0 + 2 * 0.8) / 4)
    assert found["log_loss"] == pytest.approx(-math.log(0.8 * 0.2 * 0.8 * 1.0) / 4)
    pairs_of_1 = [other < 0.2 for other in (0.1, 0.1, 0.0)]
    pairs_of_2 = [mine > other for mine in (0.8, 1.0) for other in (0.1, 0.6)]
    pairs_of_0 = [other < 0.8 for other in (0.2, 0.1, 0.0)]
    expected = np.mean([np.mean(pairs) for pairs in (pairs_of_0, pairs_of_1, pairs_of_2)])
    assert found["auc"] == pytest.approx(expected)


def test_one_column_is_the_probability_of_the_second_class():
    predicted = np.array([[0.2], [0.7], [0.4]])
    found = score_all(np.array([0, 1, 1]), predicted, "classification")
    assert found["accuracy"] == pytest.approx(2 / 3)
    assert found["auc"] == 1.0
    assert found["log_loss"] == pytest.approx(-math.log(0.8 * 0.7 * 0.4) / 3)


def test_a_label_that_the_model_does_not_know_counts_as_an_error():
    found = score_all(np.array([0, -1]), PREDICTED[[0, 3]], "classification")
    assert found["accuracy"] == found["balanced_accuracy"] == 0.5
    assert found["log_loss"] > 5


def test_rows_of_one_class_have_no_auc_but_all_else():
    found = score_all(np.array([2, 2]), PREDICTED[2:], "classification")
    assert "auc" not in found
    assert set(found) == {m.name for m in METRICS.values() if m.target == "classification"} - {
        "auc"
    }


def test_regression_by_hand():
    y, predicted = np.array([1.0, 2.0, 3.0]), np.array([[1.0], [2.0], [4.0]])
    assert score(y, predicted, R2) == pytest.approx(1 - 1 / 2)
    found = score_all(y, predicted, "regression")
    errors = {"mean_squared_error": 1 / 3, "mean_absolute_error": 1 / 3}
    assert found == pytest.approx({"r2": 0.5, **errors})


@pytest.mark.parametrize("metric", [ACCURACY, R2, METRICS["auc"]])
def test_predictions_that_are_not_finite_have_no_score(metric):
    assert math.isnan(score(TRUE, np.where(PREDICTED > 0.9, np.inf, PREDICTED), metric))

"""Mean average precision against cases that are counted by hand."""

import numpy as np
import pytest

from meta_nni.models.detection.metrics import average_precision

PAD = [-1, 0, 0, 0, 0]


def test_perfect_boxes_have_1_and_none_have_0(capsys):
    y = np.array([[[0, 0.1, 0.1, 0.5, 0.5], [1, 0.5, 0.5, 0.9, 0.9]]], np.float32)
    right = np.insert(y, 1, 0.8, axis=2)
    assert average_precision(y, right) == pytest.approx({"map_50": 1.0, "map_50_95": 1.0})
    nothing = np.full((1, 3, 6), -1, np.float32)
    assert average_precision(y, nothing) == {"map_50": 0.0, "map_50_95": 0.0}
    assert capsys.readouterr().out == ""


def test_a_ranking_with_a_false_alarm_in_the_middle():
    """Right, wrong, right: precision is 1 up to recall 1/2, then 2/3, at 101 recalls."""
    y = np.array([[[0, 0, 0, 0.4, 0.4], [0, 0.5, 0.5, 0.9, 0.9]]], np.float32)
    predicted = np.array(
        [[[0, 0.9, 0, 0, 0.4, 0.4], [0, 0.8, 0.5, 0, 0.9, 0.4], [0, 0.7, 0.5, 0.5, 0.9, 0.9]]],
        np.float32,
    )
    assert average_precision(y, predicted)["map_50"] == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_an_overlap_of_two_thirds_counts_at_four_of_ten_thresholds():
    y = np.array([[[0, 0, 0, 0.6, 0.4]]], np.float32)
    predicted = np.array([[[0, 0.9, 0, 0, 0.4, 0.4]]], np.float32)  # IoU 2 / 3
    found = average_precision(y, predicted)
    assert found["map_50"] == pytest.approx(1)
    assert found["map_50_95"] == pytest.approx(0.4)  # 0.5, 0.55, 0.6, 0.65


def test_classes_weigh_alike_and_absent_ones_not_at_all():
    y = np.array(
        [[[0, 0, 0, 0.4, 0.4], [0, 0.5, 0.5, 0.9, 0.9]], [[4, 0, 0, 0.5, 0.5], PAD]], np.float32
    )
    predicted = np.array([[[0, 0.9, 0, 0, 0.4, 0.4]], [[2, 0.9, 0, 0, 0.5, 0.5]]], np.float32)
    # Class 0: recall 1/2, so 51 of 101; class 4: nothing; class 2 does not occur.
    assert average_precision(y, predicted)["map_50"] == pytest.approx(51 / 101 / 2)


def test_a_second_box_of_an_object_is_a_false_alarm_only_if_it_ranks_higher():
    y = np.array([[[0, 0, 0, 0.4, 0.4]]], np.float32)
    twice = np.array([[[0, 0.9, 0, 0, 0.4, 0.4], [0, 0.8, 0, 0, 0.4, 0.41]]], np.float32)
    assert average_precision(y, twice)["map_50"] == pytest.approx(1)
    before = np.array([[[0, 0.9, 0.6, 0.6, 1, 1], [0, 0.8, 0, 0, 0.4, 0.4]]], np.float32)
    assert average_precision(y, before)["map_50"] == pytest.approx(0.5)


def test_what_cannot_be_measured_is_nan():
    y = np.array([[[0, 0, 0, 0.4, 0.4]]], np.float32)
    assert np.isnan(average_precision(y, np.full((1, 1, 6), np.nan))["map_50"])
    assert np.isnan(average_precision(np.full((1, 1, 5), -1.0), np.zeros((1, 1, 6)))["map_50"])

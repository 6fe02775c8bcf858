"""Losses against their formulas, written out."""

import numpy as np
import pytest
import tensorflow as tf

from meta_nni.models.detection.losses import detection_loss, focal_loss, giou_loss, l1_loss
from meta_nni.models.detection.priors import make_points
from meta_nni.models.detection.targets import assign_by_centre, make_targets


def focal(q, z, alpha, gamma):
    p = 1 / (1 + np.exp(-z))
    if q == 1:
        return -alpha * (1 - p) ** gamma * np.log(p)
    return -(1 - alpha) * (1 - q) ** 4 * p**gamma * np.log(1 - p)


@pytest.mark.parametrize(("alpha", "gamma"), [(0.25, 2.0), (0.5, 0.0), (0.75, 1.5)])
def test_focal_loss_and_its_slope_are_those_of_the_formula(alpha, gamma):
    wanted = np.repeat([0.0, 0.3, 0.9, 1.0], 5)
    logits = np.tile([-4.0, -1.0, 0.2, 1.5, 4.0], 4)
    z = tf.Variable(logits)
    with tf.GradientTape() as tape:
        losses = focal_loss(tf.constant(wanted), z, alpha, gamma)
        total = tf.reduce_sum(losses)
    np.testing.assert_allclose(
        losses, [focal(q, x, alpha, gamma) for q, x in zip(wanted, logits, strict=True)], rtol=1e-6
    )
    step = 1e-5
    slope = [
        (focal(q, x + step, alpha, gamma) - focal(q, x - step, alpha, gamma)) / (2 * step)
        for q, x in zip(wanted, logits, strict=True)
    ]
    np.testing.assert_allclose(tape.gradient(total, z), slope, rtol=1e-4, atol=1e-8)


def test_focal_loss_of_gamma_0_is_weighed_cross_entropy():
    z = np.array([-2.0, 3.0])
    expected = tf.nn.sigmoid_cross_entropy_with_logits(np.array([0.0, 1.0]), z) / 2
    np.testing.assert_allclose(
        focal_loss(tf.constant([0.0, 1.0], tf.float64), tf.constant(z), 0.5, 0.0), expected
    )


def test_focal_loss_stays_finite_at_extreme_logits():
    z = tf.Variable([-100.0, 100.0, -100.0, 100.0])
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(focal_loss(tf.constant([0.0, 0.0, 1.0, 1.0]), z, 0.25, 2.0))
    assert np.isfinite(total)
    assert np.isfinite(tape.gradient(total, z)).all()


@pytest.mark.parametrize(
    ("true", "predicted", "giou"),
    [
        ([0, 0, 1, 1], [0, 0, 1, 1], 1),
        ([0, 0, 2, 2], [1, 1, 3, 3], 1 / 7 - (9 - 7) / 9),
        ([0, 0, 1, 1], [2, 0, 3, 1], 0 - (3 - 2) / 3),
        ([0, 0, 4, 4], [1, 1, 2, 3], 2 / 16),
    ],
)
def test_giou_loss_against_areas_counted_by_hand(true, predicted, giou):
    loss = giou_loss(tf.constant([true], tf.float32), tf.constant([predicted], tf.float32))
    assert float(loss[0]) == pytest.approx(1 - giou, abs=1e-6)


def test_giou_loss_pulls_boxes_that_do_not_touch_together():
    box = tf.Variable([[0.7, 0.0, 0.9, 0.2]])
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(giou_loss(tf.constant([[0.0, 0.0, 0.2, 0.2]]), box))
    slope = tape.gradient(loss, box)[0]
    assert slope[0] > 0


def test_l1_loss_is_in_sides_of_the_true_box():
    true, predicted = tf.constant([[0.0, 0.0, 0.2, 0.4]]), tf.constant([[0.1, 0.0, 0.2, 0.8]])
    assert float(l1_loss(true, predicted)[0]) == pytest.approx((0.5 + 0 + 0 + 1) / 4)


@pytest.mark.parametrize("box_loss", ["giou", "l1"])
def test_the_whole_loss_is_small_for_right_predictions_and_divided_by_positives(box_loss):
    priors = make_points((64, 64), [8])
    y = np.array([[[1, 0.2, 0.2, 0.6, 0.7], [-1] * 5]], np.float32)
    target = make_targets(y, priors, 2, assign_by_centre(1.0))
    loss = detection_loss(priors, 2, box_loss, 2.0, 0.25, 2.0)
    right = np.full((1, 64, 6), -12, np.float32)
    right[..., :2][target[..., :2] == 1] = 12
    corners = np.where(target[..., -1:] == 1, target[..., 2:6], [0, 0, 1, 1]).astype(np.float32)
    right[..., 2:] = priors.encode(corners)
    assert float(loss(target, right)) == pytest.approx(0, abs=1e-3)
    twice = np.concatenate([target, target]), np.concatenate([right, right]) * 0
    assert float(loss(*twice)) == pytest.approx(float(loss(target, right * 0)), rel=1e-5)
    positives = target[..., -1] == 1
    moved = right.copy()
    moved[..., 2:] = priors.encode(corners + np.float32(0.01))
    of_boxes = {"giou": giou_loss, "l1": l1_loss}[box_loss]
    expected = 2.0 * np.mean(of_boxes(corners, corners + np.float32(0.01))[positives])
    assert float(loss(target, moved)) == pytest.approx(expected, abs=1e-3)

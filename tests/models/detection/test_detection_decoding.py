"""Suppression: TensorFlow's, and the same in Keras's operations."""

import keras
import numpy as np
import pytest

from meta_nni.models.detection.decoding import MOST_BOXES, decode, suppress
from meta_nni.models.detection.priors import make_points
from meta_nni.models.detection.standalone import suppress as suppress_by_keras


def crowd(rng, classes=3):
    """Twelve objects, each found several times with other scores."""
    sides = rng.uniform(0.1, 0.4, (12, 2))
    first = rng.uniform(0, 1 - sides)
    boxes = np.repeat(np.concatenate([first, first + sides], 1), 5, axis=0)
    boxes = boxes + rng.normal(0, 0.02, boxes.shape)
    scores = rng.uniform(0, 1, (60, classes)) ** 4
    return scores[None].astype(np.float32), boxes[None].astype(np.float32)


def test_duplicates_go_and_other_classes_stay():
    corners = np.array([[[0.1, 0.1, 0.5, 0.5], [0.12, 0.1, 0.5, 0.5], [0.6, 0.6, 1.2, 0.9]]])
    scores = np.array([[[0.9, 0.0], [0.8, 0.7], [0.0, 0.6]]])
    found = suppress(scores.astype(np.float32), corners.astype(np.float32))[0]
    assert found.shape == (MOST_BOXES, 6)
    np.testing.assert_allclose(
        found[:3],
        [[0, 0.9, 0.1, 0.1, 0.5, 0.5], [1, 0.7, 0.12, 0.1, 0.5, 0.5], [1, 0.6, 0.6, 0.6, 1, 0.9]],
        rtol=1e-6,
    )
    assert (found[3:] == [-1, 0, 0, 0, 0, 0]).all()


@pytest.mark.parametrize("seed", range(10))
def test_kerass_operations_keep_the_boxes_that_tensorflow_keeps(seed):
    scores, corners = crowd(np.random.default_rng(seed))
    wanted = suppress(scores, corners)
    found = np.asarray(suppress_by_keras(scores, corners))
    assert (wanted[0, :, 0] >= 0).sum() > 10
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_a_box_that_is_suppressed_suppresses_none():
    left = np.arange(6) * 0.03  # each overlaps its neighbours by more than half, no others
    corners = np.stack([left, left * 0, left + 0.1, left * 0 + 0.5], axis=1)[None].astype(
        np.float32
    )
    scores = np.linspace(0.9, 0.4, 6).reshape(1, 6, 1).astype(np.float32)
    for found in (suppress(scores, corners), np.asarray(suppress_by_keras(scores, corners))):
        kept = found[0, found[0, :, 0] >= 0]
        np.testing.assert_allclose(kept[:, 2], [0, 0.06, 0.12], atol=1e-6)


def test_raw_predictions_become_boxes_and_nan_stays_nan():
    priors = make_points((32, 32), [8])
    raw = np.full((2, 16, 6), -9, np.float32)
    raw[..., 2:] = 0
    raw[0, 5, 1] = 2.0
    found = decode(raw, priors, 2)
    assert found[0, 0, 0] == 1
    assert found[0, 0, 1] == pytest.approx(1 / (1 + np.exp(-2.0)))
    centre = 12 / 32
    np.testing.assert_allclose(found[0, 0, 2:], [0, 0, centre + 0.5, centre + 0.5], atol=1e-6)
    assert (found[1, :, 0] == -1).all()
    raw[1, 0, 0] = np.nan
    assert np.isnan(decode(raw, priors, 2)).all()


def test_a_crowded_scene_loses_no_object():
    rng = np.random.default_rng(0)
    left, top = np.meshgrid(np.arange(8) / 8, np.arange(5) / 8)  # 40 objects, each found 9 times
    first = np.repeat(np.stack([left.ravel(), top.ravel()], axis=1), 9, axis=0)
    corners = np.concatenate([first, first + 0.1], axis=1) + rng.normal(0, 0.002, (360, 4))
    sure = np.repeat(np.linspace(0.95, 0.35, 40), 9) * rng.uniform(0.7, 1, 360)
    scores = np.stack([sure, 0.02 * rng.random(360)], axis=1)[None].astype(np.float32)
    corners = corners[None].astype(np.float32)
    inputs = [keras.Input(array.shape[1:]) for array in (scores, corners)]
    found = np.asarray(keras.Model(inputs, suppress_by_keras(*inputs))([scores, corners]))
    assert (found[0, :, 1] > 0.2).sum() == 40
    np.testing.assert_allclose(found, suppress(scores, corners), atol=1e-6)

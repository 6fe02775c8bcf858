"""Which prior answers for which box, and that a code gives its box back."""

import numpy as np
import pytest

from meta_nni.models.detection.priors import make_anchors, make_points, to_corners
from meta_nni.models.detection.targets import (
    assign_by_centre,
    assign_by_gaussian,
    assign_by_iou,
    iou,
    make_targets,
)

SIZE = (96, 128)
POINTS = make_points(SIZE, [8, 16])
ANCHORS = make_anchors(SIZE, [8, 16], 2, (0.5, 1.0, 2.0))
WAYS = {
    "centre": (POINTS, assign_by_centre(1.5)),
    "gaussian": (POINTS, assign_by_gaussian(0.7)),
    "anchors": (ANCHORS, assign_by_iou),
}


def boxes_of(rng, count):
    sides = rng.uniform(0.1, 0.5, (count, 2))
    first = rng.uniform(0, 1 - sides)
    classes = rng.integers(0, 3, (count, 1))
    return np.concatenate([classes, first, first + sides], axis=1).astype(np.float32)


def test_priors_stand_in_the_middle_of_their_cells():
    assert len(POINTS) == 12 * 16 + 6 * 8
    assert len(ANCHORS) == 6 * len(POINTS)
    np.testing.assert_allclose(POINTS.boxes[0], [4 / 128, 4 / 96, 32 / 128, 32 / 96])
    np.testing.assert_allclose(POINTS.boxes[-1, :2], [1 - 8 / 128, 1 - 8 / 96])
    areas = np.prod(ANCHORS.boxes[:6, 2:] * [128, 96], axis=1)
    np.testing.assert_allclose(areas, [32**2] * 3 + [2 * 32**2] * 3, rtol=1e-5)
    shapes = ANCHORS.boxes[:3, 3] * 96 / (ANCHORS.boxes[:3, 2] * 128)
    np.testing.assert_allclose(shapes, [0.5, 1, 2], rtol=1e-5)


@pytest.mark.parametrize("way", WAYS)
def test_each_positive_codes_its_box_and_gives_it_back(way, rng):
    priors, assign = WAYS[way]
    y = np.full((4, 5, 5), -1, np.float32)
    for row in range(4):
        y[row, : row + 1] = boxes_of(rng, row + 1)
    target = make_targets(y, priors, 3, assign)
    for row, encoded in enumerate(target):
        positive = encoded[:, -1] == 1
        assert positive.any()
        corners = encoded[positive, 3:7]
        coded = np.zeros((1, len(priors), 4), np.float32)
        full = np.tile([0.0, 0, 1, 1], (len(priors), 1)).astype(np.float32)
        full[positive] = corners
        coded[0] = priors.encode(full)
        decoded = np.asarray(priors.decode(coded))[0, positive]
        np.testing.assert_allclose(decoded, corners, atol=1e-5)
        true = {tuple(box.round(4)) for box in y[row, : row + 1, 1:]}
        assert {tuple(box.round(4)) for box in corners} <= true
        assert (encoded[positive, :3].max(axis=1) == 1).all()
        assert (encoded[~positive, :3] < 1).all()


@pytest.mark.parametrize("way", WAYS)
def test_boxes_apart_are_all_answered_for_with_their_class(way):
    priors, assign = WAYS[way]
    y = np.array([[[0, 0.1, 0.1, 0.3, 0.4], [2, 0.6, 0.5, 0.9, 0.9], [-1] * 5]], np.float32)
    target = make_targets(y, priors, 3, assign)[0]
    positive = target[target[:, -1] == 1]
    found = {(int(row[:3].argmax()), *row[3:7].round(3).tolist()) for row in positive}
    assert found == {(int(b[0]), *b[1:].round(3).tolist()) for b in y[0, :2]}


@pytest.mark.parametrize("way", WAYS)
def test_an_image_without_boxes_has_no_target(way):
    priors, assign = WAYS[way]
    assert not make_targets(np.full((1, 3, 5), -1, np.float32), priors, 3, assign).any()


def test_where_boxes_compete_the_smaller_one_wins():
    y = np.array([[[0, 0.3, 0.3, 0.7, 0.7], [1, 0.45, 0.45, 0.55, 0.55]]], np.float32)
    target = make_targets(y, make_points(SIZE, [8]), 2, assign_by_centre(0.6))[0]
    assert set(target[target[:, -1] == 1][:, :2].argmax(axis=1)) == {1}


def test_boxes_go_to_the_level_of_their_size():
    y = np.array([[[0, 0.4, 0.4, 0.6, 0.6], [1, 0.0, 0.0, 0.9, 0.9]]], np.float32)
    target = make_targets(y, POINTS, 2, assign_by_centre(1.5))[0]
    assert set(POINTS.level[target[:, 0] == 1]) == {0}
    assert set(POINTS.level[target[:, 1] == 1]) == {1}


def test_gaussian_scores_fall_off_from_the_centre():
    y = np.array([[[0, 0.3, 0.3, 0.7, 0.7]]], np.float32)
    scores = make_targets(y, make_points(SIZE, [8]), 1, assign_by_gaussian(0.9))[0, :, 0]
    scores = scores.reshape(12, 16)
    row, column = np.unravel_index(scores.argmax(), scores.shape)
    assert scores[row, column] == 1
    assert (np.diff(scores[row, column + 1 :]) <= 0).all()
    assert 0 < scores[row, column + 2] < scores[row, column + 1] < 1


def test_iou_is_that_of_the_definition():
    first = np.array([[0, 0, 0.5, 0.5]], np.float32)
    second = np.array([[0.25, 0.25, 0.75, 0.75], [0, 0, 0.5, 0.5], [0.6, 0.6, 1, 1]], np.float32)
    np.testing.assert_allclose(iou(first, second), [[0.0625 / 0.4375, 1, 0]], rtol=1e-6)
    np.testing.assert_allclose(to_corners(np.array([[0.5, 0.5, 0.2, 0.4]])), [[0.4, 0.3, 0.6, 0.7]])

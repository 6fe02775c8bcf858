"""Boxes move with their pixels."""

import numpy as np
import pytest

from meta_nni.models.detection.augmentation import AugmentedBatches, augment, resize
from meta_nni.models.detection.priors import make_points
from meta_nni.models.detection.targets import assign_by_centre

STILL = {"flip": "none", "scale": 0.0, "brightness": 0.0}


def rectangle(rng, shape=(60, 80)):
    """A bright rectangle on black, and its box in 0 .. 1."""
    height, width = shape
    y1, x1 = rng.integers(5, height // 2), rng.integers(5, width // 2)
    y2, x2 = y1 + rng.integers(12, height // 2 - 2), x1 + rng.integers(12, width // 2 - 2)
    image = np.zeros((*shape, 3), np.uint8)
    image[y1:y2, x1:x2] = 255
    corners = [x1 / width, y1 / height, x2 / width, y2 / height]
    return image, np.array([[2, *corners], [-1] * 5], np.float32)


def bright_box(pixels):
    """The box around pixels that are more bright than dark."""
    bright = pixels.mean(axis=-1) > 0.5
    rows, columns = np.flatnonzero(bright.any(axis=1)), np.flatnonzero(bright.any(axis=0))
    height, width = bright.shape
    return [
        columns[0] / width,
        rows[0] / height,
        (columns[-1] + 1) / width,
        (rows[-1] + 1) / height,
    ]


@pytest.mark.parametrize("flip", ["none", "horizontal", "any"])
@pytest.mark.parametrize("size", [(60, 80), (96, 128), (64, 64)])
def test_a_bright_rectangle_and_its_box_move_together(flip, size, rng):
    settings = {"flip": flip, "scale": 0.4, "brightness": 0.0}
    seen = 0
    for _ in range(40):
        image, boxes = rectangle(rng)
        pixels, moved = augment(image, boxes, size, settings, rng)
        assert pixels.shape == (*size, 3)
        assert pixels.dtype == moved.dtype == np.float32
        assert (moved[1] == -1).all()
        if moved[0, 0] == -1:
            continue
        seen += 1
        assert moved[0, 0] == 2
        np.testing.assert_allclose(moved[0, 1:], bright_box(pixels), atol=1.5 / min(size))
    assert seen > 30


def test_without_settings_an_image_stays_but_for_the_window(rng):
    image, boxes = rectangle(rng)
    _, moved = augment(image, boxes, (60, 80), STILL, rng)
    np.testing.assert_allclose(moved[0, 1:], boxes[0, 1:], atol=0.06)


def test_flips_are_drawn_only_where_the_settings_say_so(rng):
    image = np.zeros((40, 40, 3), np.uint8)
    image[:10, :16] = 255  # upper left, wide
    boxes = np.array([[0, 0, 0, 0.4, 0.25]], np.float32)
    places = {}
    for flip in ("none", "horizontal", "any"):
        drawn = [
            augment(image, boxes, (40, 40), STILL | {"flip": flip}, rng)[1][0] for _ in range(60)
        ]
        places[flip] = {
            (bool(b[1] < 0.3), bool(b[2] < 0.3), bool(b[3] - b[1] > b[4] - b[2])) for b in drawn
        }
    assert places["none"] == {(True, True, True)}
    assert places["horizontal"] == {(True, True, True), (False, True, True)}
    assert len(places["any"]) == 8


def test_brightness_changes_pixels_and_no_box(rng):
    image = np.full((20, 20, 3), 128, np.uint8)
    boxes = np.array([[0, 0.2, 0.2, 0.6, 0.6]], np.float32)
    levels = [
        augment(image, boxes, (20, 20), STILL | {"brightness": 0.4}, rng)[0].mean()
        for _ in range(30)
    ]
    assert np.std(levels) > 0.03
    assert 0 <= min(levels) < max(levels) <= 1


def test_boxes_that_leave_the_window_are_dropped(rng):
    image = np.zeros((40, 40, 3), np.uint8)
    boxes = np.array([[0, 0, 0, 0.1, 0.1]], np.float32)
    drawn = [augment(image, boxes, (40, 40), STILL | {"scale": 1.0}, rng)[1][0] for _ in range(100)]
    dropped = [box for box in drawn if box[0] == -1]
    assert 0 < len(dropped) < 100
    assert all((box == -1).all() for box in dropped)
    kept = np.array([box for box in drawn if box[0] == 0])
    assert (kept[:, 1:] >= 0).all()
    assert (kept[:, 1:] <= 1).all()


def test_resize_agrees_with_keras(rng):
    import keras

    x = rng.integers(0, 256, (2, 30, 40, 3)).astype(np.uint8)
    for size in [(48, 64), (16, 24), (30, 40)]:
        wanted = keras.layers.Resizing(*size)(x.astype(np.float32)) / 255
        np.testing.assert_allclose(resize(x, size), wanted, atol=1e-5)


def test_batches_are_new_in_each_epoch_and_the_same_for_a_seed(rng):
    x = rng.integers(0, 256, (7, 32, 32, 3)).astype(np.uint8)
    y = np.tile(np.array([[[0, 0.2, 0.2, 0.7, 0.7]]], np.float32), (7, 1, 1))
    settings = {"flip": "any", "scale": 0.2, "brightness": 0.2}

    def batches(seed):
        priors = make_points((32, 32), [8])
        return AugmentedBatches(x, y, (32, 32), settings, 3, priors, 1, assign_by_centre(1.0), seed)

    first, again, other = batches(0), batches(0), batches(1)
    assert len(first) == 2
    pixels, targets = first[0]
    assert pixels.shape == (3, 32, 32, 3)
    assert targets.shape == (3, 16, 6)
    assert (targets[..., -1].sum(axis=1) > 0).all()
    np.testing.assert_array_equal(again[0][0], pixels)
    assert not np.array_equal(other[0][0], pixels)
    first.on_epoch_end()
    assert not np.array_equal(first[0][0], pixels)

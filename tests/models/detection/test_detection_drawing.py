"""The picture of boxes."""

import numpy as np
from PIL import Image

from meta_nni.models.detection.drawing import draw_boxes


def test_boxes_are_drawn_in_colour_where_they_are_and_weak_ones_not(tmp_path):
    x = np.zeros((3, 40, 40, 3), np.uint8)
    predicted = np.full((3, 2, 6), -1, np.float32)
    predicted[0, 0] = [0, 0.9, 0.25, 0.25, 0.75, 0.75]
    predicted[1, 0] = [0, 0.1, 0.25, 0.25, 0.75, 0.75]
    y = np.full((3, 1, 5), -1, np.float32)
    y[2, 0] = [0, 0.5, 0.5, 1, 1]
    file = tmp_path / "boxes.png"
    draw_boxes(x, predicted, ["square"], file, y, columns=2, width=100)
    pixels = np.asarray(Image.open(file))
    assert pixels.shape == (204, 204, 3)
    assert pixels[50, 25].tolist() == [0xFF, 0xB0, 0x00]
    assert not pixels[40:60, 40:60].any()
    assert not pixels[:100, 104:].any()
    assert pixels[104 + 50, 70].tolist() == [255, 255, 255]

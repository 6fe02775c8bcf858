"""A picture of images with their true and predicted boxes, by Pillow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["draw_boxes"]

Array = npt.NDArray[Any]

_TRUE = "#ffffff"
_COLOURS = ("#ffb000", "#648fff", "#dc267f", "#00d084", "#fe6100", "#b39ddb", "#26c6da", "#d4e157")
_GAP = 4  # pixels between pictures


def draw_boxes(
    x: Array,
    predicted: Array,
    classes: Sequence[str],
    file: str | Path,
    y: Array | None = None,
    least_score: float = 0.3,
    columns: int = 4,
    width: int = 320,
) -> None:
    """Draws images in a grid, predicted boxes in colour with class and score.

    Args:
        x: Images uint8 [N, H, W, 3].
        predicted: Class, score, x1, y1, x2, y2, padded with class -1, [N, K, 6].
        classes: Name of each class.
        file: Where to save; the ending says the format, such as .png.
        y: True boxes [N, M, 5], drawn thin and white; None draws none.
        least_score: Boxes of a lower score are not drawn.
        columns: Images in a row of the grid.
        width: Of each image, in pixels.

    Raises:
        OSError: The file cannot be written.
    """
    from PIL import Image

    height = round(width * x.shape[1] / x.shape[2])
    columns = min(columns, len(x))
    rows = -(-len(x) // columns)
    sheet = Image.new("RGB", (columns * (width + _GAP) - _GAP, rows * (height + _GAP) - _GAP))
    for number, image in enumerate(x):
        picture = Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC)
        true = () if y is None else y[number][y[number][:, 0] >= 0]
        shown = predicted[number]
        shown = shown[(shown[:, 0] >= 0) & (shown[:, 1] >= least_score)]
        _draw(picture, true, shown, classes)
        row, column = divmod(number, columns)
        sheet.paste(picture, (column * (width + _GAP), row * (height + _GAP)))
    sheet.save(file)


def _draw(picture: Any, true: Any, predicted: Array, classes: Sequence[str]) -> None:
    from PIL import ImageDraw

    pen, size = ImageDraw.Draw(picture), np.array([*picture.size, *picture.size])
    for box in true:
        pen.rectangle((box[1:] * size).tolist(), outline=_TRUE, width=1)
    for box in predicted[::-1]:  # the best one last, on top
        label, colour = int(box[0]), _COLOURS[int(box[0]) % len(_COLOURS)]
        corners = (box[2:] * size).tolist()
        pen.rectangle(corners, outline=colour, width=2)
        text = f"{classes[label]} {box[1]:.2f}"
        place = (corners[0] + 2, max(corners[1] - 12, 0))
        pen.rectangle(pen.textbbox(place, text), fill=colour)
        pen.text(place, text, fill="#000000")

"""Picture files as arrays of one size, read with Pillow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from meta_nni.data.problems import DataError, Problems

__all__ = ["Format", "common_format", "is_picture_file", "read_picture", "stack"]

_MAX_BYTES = 4 * 2**30
_NO_PICTURES = {"thumbs.db", "desktop.ini"}
_SWAPPING = {5, 6, 7, 8}
"""Orientations, in the sense of EXIF, that exchange width and height."""


class Format(NamedTuple):
    """What pictures are, or are turned into.

    Attributes:
        height: In pixels, upright.
        width: Likewise.
        channels: 1 if grey, else 3.
    """

    height: int
    width: int
    channels: int


def is_picture_file(file: Path) -> bool:
    """Whether a file is meant to be a picture: no hidden one, nor a file manager's notes."""
    return file.is_file() and file.name[0] != "." and file.name.lower() not in _NO_PICTURES


def _pillow() -> tuple[Any, Any]:
    try:
        from PIL import Image, ImageOps
    except ImportError:
        raise DataError(
            "reading pictures needs Pillow, which is not installed: pip install meta-nni[images]"
        ) from None
    return Image, ImageOps


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".partition("\n")[0][:200]


def _read_head(file: Path) -> Format | None:
    """Returns what the head of a file says, without decoding it; None if it is no picture."""
    image_module, _ = _pillow()
    try:
        with image_module.open(file) as opened:
            width, height = opened.size
            if opened.getexif().get(0x0112) in _SWAPPING:
                width, height = height, width
            return Format(height, width, 1 if _is_grey(opened.mode) else 3)
    except Exception:  # whatever decoders raise; it is told when the file is read as a whole
        return None


def _is_grey(mode: str) -> bool:
    return mode in ("1", "L", "F") or mode.startswith("I")


def common_format(files: Sequence[Path], size: Sequence[int] | None, channels: Any) -> Format:
    """Finds the format of a task's pictures from its training files.

    Args:
        files: The training pictures.
        size: [height, width] as wished for; None takes the most common one, the smaller
            among equals.
        channels: 1 or 3; None takes 1 if all are grey, else 3.
    """
    heads = [head for file in files if (head := _read_head(file)) is not None]
    if not heads:
        first = f"; the first is {files[0]}" if files else ""
        raise DataError(f"none of {len(files)} training files can be read as a picture{first}")
    if size is None:
        counts = Counter((head.height, head.width) for head in heads)
        size = min(counts, key=lambda each: (-counts[each], each[0] * each[1], each))
    if channels is None:
        channels = max(head.channels for head in heads)
    found = Format(size[0], size[1], channels)
    if (needed := len(files) * int(np.prod(found))) > _MAX_BYTES:
        raise DataError(
            f"{len(files)} pictures of {found.height}x{found.width} pixels need "
            f"{needed / 2**30:.0f} GiB of memory; give a smaller size, such as size: [96, 96]"
        )
    return found


def read_picture(
    file: Path,
    form: Format,
    problems: Problems,
    where: str,
    size: tuple[int, int] | None = None,
) -> tuple[NDArray[np.uint8], tuple[int, int]] | None:
    """Reads one picture, upright and resized (bilinear, sides apart).

    Args:
        file: The picture.
        form: What it is turned into.
        problems: Where it is told that it cannot be read.
        where: What it is called there.
        size: Width and height that it is known to have: a picture that lies on its side in
            the file is left so, if that is how it was measured.

    Returns:
        uint8 (height, width) or (height, width, 3), and the width and height before it was
        resized; None if it cannot be read.
    """
    image_module, operations = _pillow()
    try:
        with image_module.open(file) as opened:
            upright = operations.exif_transpose(opened)
            image = opened if opened.size == size != upright.size else upright
            before = (image.width, image.height)
            image = _eight_bits(image, image_module)
            image = image.convert("L" if form.channels == 1 else "RGB")
            if image.size != (shape := (form.width, form.height)):
                image = image.resize(shape, image_module.Resampling.BILINEAR)
            pixels: NDArray[np.uint8] = np.asarray(image, np.uint8)
            return pixels, before
    except Exception as error:  # decoders of dozens of formats raise whatever they like
        problems.add(where, f"the picture cannot be read ({_first_line(error)})")
        return None


def _eight_bits(image: Any, image_module: Any) -> Any:
    """Turns grey values of more than 8 bits into 0..255; others stay.

    Whole numbers up to 65,535 are those of a picture of 16 bits; all else goes by its range.
    """
    if not _is_grey(image.mode) or image.mode in ("1", "L"):
        return image
    values = np.nan_to_num(np.asarray(image, np.float64), posinf=0.0, neginf=0.0)
    low, high = 0.0, 65535.0
    if image.mode == "F" or values.min() < low or values.max() > high:
        low, high = values.min(), values.max()
    scaled = (values - low) / ((high - low) or 1.0) * 255.0
    return image_module.fromarray(np.rint(scaled).astype(np.uint8))


def stack(pictures: Sequence[NDArray[np.uint8]], form: Format) -> NDArray[np.uint8]:
    """Returns pictures of one format as one array, also if there are none."""
    shape = (form.height, form.width) if form.channels == 1 else tuple(form)
    return np.stack(pictures) if pictures else np.zeros((0, *shape), np.uint8)

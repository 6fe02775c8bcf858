"""Writes the playing cards of this folder: pictures with boxes in the format of COCO.

    python -m experiments.detection.make_data --data FILE.npz --output FOLDER

FILE.npz holds x_train, x_test uint8 [N, H, W, 3], y_train, y_test float32 [N, boxes, 5] (class,
x1, y1, x2, y2 in 0..1, padded with -1) and class_names. Pictures are saved as JPEG, a fifth of
the archive's size.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

__all__ = ["main", "write_coco"]

_QUALITY = 90


def main(arguments: Sequence[str] | None = None) -> None:
    """Writes `train.json`, `test.json` and the pictures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="archive of one data set")
    parser.add_argument("--output", type=Path, required=True, help="folder of the pictures")
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    with np.load(options.data) as file:
        for split in ("train", "test"):
            arrays = file[f"x_{split}"], file[f"y_{split}"]
            write_coco(options.output, split, *arrays, file["class_names"].tolist())


def write_coco(
    folder: Path, split: str, x: npt.NDArray[Any], y: npt.NDArray[Any], classes: Sequence[str]
) -> None:
    """Writes the pictures of one split and their annotations, `<split>.json`."""
    height, width = x.shape[1:3]
    size = np.array([width, height, width, height])
    images, annotations = [], []
    for number, (pixels, boxes) in enumerate(zip(x, y, strict=True)):
        name = f"{split}_{number:03}.jpg"
        Image.fromarray(pixels).save(folder / name, quality=_QUALITY, subsampling=0)
        images.append({"id": number, "file_name": name, "width": width, "height": height})
        for label, *corners in boxes[boxes[:, 0] >= 0].tolist():
            x1, y1, x2, y2 = (round(c, 2) for c in (np.array(corners) * size).tolist())
            box = [x1, y1, round(x2 - x1, 2), round(y2 - y1, 2)]
            annotations.append({"image_id": number, "category_id": int(label), "bbox": box})
    for number, annotation in enumerate(annotations, start=1):
        annotation["id"] = number
    document = {
        "images": images,
        "categories": [{"id": code, "name": name} for code, name in enumerate(classes)],
        "annotations": annotations,
    }
    (folder / f"{split}.json").write_text(json.dumps(document), encoding="utf-8")


if __name__ == "__main__":
    main()

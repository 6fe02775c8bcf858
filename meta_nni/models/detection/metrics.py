"""Mean average precision of boxes, by pycocotools (COCO's own definitions)."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["average_precision"]

Array = npt.NDArray[Any]

_PIXELS = 1000.0  # COCO's boxes are in pixels; its ranges of areas are not used


def average_precision(y: Array, predicted: Array) -> dict[str, float]:
    """Mean average precision over classes that occur, interpolated at 101 recalls.

    Args:
        y: Class, x1, y1, x2, y2 of the true boxes, in 0 .. 1, padded with -1, [N, M, 5].
        predicted: Class, score, x1, y1, x2, y2, padded with class -1, [N, K, 6]; at most 100
            of an image count.

    Returns:
        `map_50` at an intersection over union of 0.5, and `map_50_95`, the mean over 0.5, 0.55,
        ..., 0.95 (Lin et al. 2014; pycocotools 2): in 0 .. 1, or NaN if a prediction is not
        finite or no box is true.
    """
    from pycocotools.coco import COCO  # type: ignore[import-untyped]
    from pycocotools.cocoeval import COCOeval  # type: ignore[import-untyped]

    if not np.isfinite(predicted).all() or not (y[..., 0] >= 0).any():
        return {"map_50": float("nan"), "map_50_95": float("nan")}
    with contextlib.redirect_stdout(io.StringIO()):  # it prints and has no switch for that
        truth = COCO()
        truth.dataset = _annotations(y)
        truth.createIndex()
        found = _detections(predicted)
        if not found:
            return {"map_50": 0.0, "map_50_95": 0.0}
        measured = COCOeval(truth, truth.loadRes(found), "bbox")
        measured.params.areaRng, measured.params.areaRngLbl = [[0, 1e10]], ["all"]
        measured.params.maxDets = [100]
        measured.evaluate()
        measured.accumulate()
    precision = measured.eval["precision"][..., 0, 0]  # [overlaps, recalls, classes]
    occurs = precision > -1
    return {
        "map_50": float(precision[0][occurs[0]].mean()),
        "map_50_95": float(precision[occurs].mean()),
    }


def _annotations(y: Array) -> dict[str, Any]:
    """The true boxes as COCO's JSON has them."""
    boxes: list[dict[str, Any]] = [
        {"image_id": row, "category_id": int(box[0]), "bbox": _bbox(box[1:]), "iscrowd": 0}
        for row, boxes in enumerate(y)
        for box in boxes
        if box[0] >= 0
    ]
    for number, box in enumerate(boxes, start=1):  # 0 would count as no box
        box |= {"id": number, "area": box["bbox"][2] * box["bbox"][3]}
    classes = sorted({box["category_id"] for box in boxes})
    return {
        "info": {},
        "images": [{"id": row} for row in range(len(y))],
        "categories": [{"id": label} for label in classes],
        "annotations": boxes,
    }


def _detections(predicted: Array) -> list[dict[str, Any]]:
    return [
        {
            "image_id": row,
            "category_id": int(box[0]),
            "score": float(box[1]),
            "bbox": _bbox(box[2:]),
        }
        for row, boxes in enumerate(predicted)
        for box in boxes
        if box[0] >= 0
    ]


def _bbox(corners: Array) -> list[float]:
    """x1, y1, x2, y2 as COCO's x, y, width, height."""
    x1, y1, x2, y2 = (float(c) * _PIXELS for c in corners)
    return [x1, y1, x2 - x1, y2 - y1]

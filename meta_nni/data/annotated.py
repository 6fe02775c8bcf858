"""Pictures with boxes, in whatever format the boxes were written: from files to arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from meta_nni.data.arrays import Split
from meta_nni.data.boxes import Box, from_pixels, pack
from meta_nni.data.pictures import Format, common_format, read_picture, stack
from meta_nni.data.problems import DataError, Problems
from meta_nni.data.source import Source, Spec, draw_test, share_of_test

__all__ = ["Annotated", "Mark", "Reader", "read_annotated"]


class Mark(NamedTuple):
    """A box as it was written.

    Attributes:
        name: Its class.
        corners: x1, y1, x2, y2 in pixels of the file.
        where: The file with the line or element that says so.
    """

    name: str
    corners: tuple[float, float, float, float]
    where: str


@dataclass(frozen=True, slots=True)
class Annotated:
    """A picture with its boxes.

    Attributes:
        file: The picture.
        name: What it is called, which says whether it is for the test.
        where: The file with the line or element that names it.
        size: Its width and height in pixels, as written; None if they are not.
        marks: Its boxes.
    """

    file: Path
    name: str
    where: str
    size: tuple[int, int] | None
    marks: list[Mark]


Reader = Callable[[Problems], tuple[list[Annotated], dict[str, str]]]
"""Reads annotations: the pictures, and the names that classes may have, in their order, each
with the file, and the line if there is one, that says so."""


def read_annotated(
    spec: Spec, split: Split, problems: Problems, train: Reader, test: Reader | None
) -> Source:
    """Reads the pictures and boxes of one split.

    Args:
        spec: With `size`, [height, width] of all pictures, or the training pictures' most
            common one, and `test_fraction`.
        split: "train" or "test".
        problems: Takes what is wrong.
        train: Reads the training annotations.
        test: Reads those of the test; None draws the test from the training annotations.
    """
    # What is wrong with training annotations is told when these are read, not with the test's.
    is_apart = split == "test" and test is not None
    fitted, names = train(Problems(skips=True) if is_apart else problems)
    classes = _classes(fitted, names, Problems(skips=True) if is_apart else problems)
    here = fitted
    if test is None:
        drawn = draw_test([each.name for each in fitted], share_of_test(spec)).tolist()
        here = [e for e, is_test in zip(fitted, drawn, strict=True) if is_test == (split == "test")]
        fitted = [e for e, is_test in zip(fitted, drawn, strict=True) if not is_test]
    elif split == "test":
        here, _ = test(problems)
    common = common_format([each.file for each in fitted], spec.get("size"), 3)
    return _read(here, classes, common, problems)


def _classes(
    annotated: Sequence[Annotated], names: Mapping[str, str], problems: Problems
) -> list[str]:
    """The names that have a box."""
    used = {mark.name for each in annotated for mark in each.marks}
    for name, where in names.items():
        if name not in used:
            problems.add(f"{where}, the class {name!r}", "it has no box; drop the class")
    classes = [name for name in names if name in used]
    if not classes:
        raise DataError(f"none of the {len(annotated)} annotated pictures has a box of a class")
    return classes


def _read(
    here: Sequence[Annotated], classes: Sequence[str], form: Format, problems: Problems
) -> Source:
    codes = {name: code for code, name in enumerate(classes)}
    kept, pictures, boxes = [], [], []
    for each in here:
        where = f"{each.file}, named in {each.where}"
        found = read_picture(each.file, form, problems, where, each.size)
        if found is None:
            continue
        pixels, size = found
        if each.size not in (None, size):
            problems.add(
                each.where,
                f"the picture is said to be {each.size} pixels wide and high, but {each.file} "
                f"is {size}: its boxes would be in the wrong place",
            )
            continue
        kept.append(each)
        pictures.append(pixels)
        boxes.append(_boxes(each, codes, size, problems))
    return Source(
        stack(pictures, form),
        pack(boxes),
        where=lambda row: kept[row].where,
        classes=np.array(classes, np.str_),
        kind="detection",
    )


def _boxes(
    each: Annotated, codes: Mapping[str, int], size: tuple[int, int], problems: Problems
) -> list[Box]:
    boxes = []
    for mark in each.marks:
        if mark.name not in codes:
            problems.add(
                mark.where, f"the class is {mark.name!r}, expected one of {list(codes)[:50]}"
            )
            continue
        box, fault = from_pixels(codes[mark.name], mark.corners, *size)
        if box is None:
            problems.add(mark.where, fault)
        else:
            boxes.append(box)
    return boxes

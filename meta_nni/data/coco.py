"""Reading boxes in the format of COCO: `{coco: annotations.json, images: folder}`.

Format: https://cocodataset.org/#format-data, "object detection".
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from meta_nni.data.annotated import Annotated, Mark, read_annotated
from meta_nni.data.arrays import Split
from meta_nni.data.json_lines import element_lines
from meta_nni.data.problems import DataError, Problems
from meta_nni.data.source import (
    FILE,
    FOLDER,
    SIZE,
    TEST_FRACTION,
    Loader,
    Source,
    Spec,
    to_path,
)

__all__ = ["COCO"]


def _read(spec: Spec, split: Split, problems: Problems) -> Source:
    folder = to_path(spec["images"])
    train = partial(_annotated, to_path(spec["coco"]), folder)
    test = None
    if "test" in spec:
        test = partial(_annotated, to_path(spec["test"]), to_path(spec.get("test_images", folder)))
    return read_annotated(spec, split, problems, train, test)


def _annotated(
    path: Path, folder: Path, problems: Problems
) -> tuple[list[Annotated], dict[str, str]]:
    """The pictures with their boxes, and the names of the categories with where they are from."""
    document = _Document.read(path)
    names = _names(document, problems)
    images = _images(document, folder, problems)
    for where, entry in document.entries("annotations", problems):
        if entry.get("iscrowd"):
            continue
        image, category, box = (entry.get(key) for key in ("image_id", "category_id", "bbox"))
        corners = _corners(box)
        if _key(image) not in images:
            problems.add(where, f"image_id is {image!r}, expected the id of one of images")
        elif _key(category) not in names:
            problems.add(where, f"category_id is {category!r}, expected the id of a category")
        elif corners is None:
            problems.add(where, f"bbox is {box!r}, expected 4 numbers: x, y, width, height")
        else:
            images[_key(image)].marks.append(Mark(names[_key(category)][0], corners, where))
    return list(images.values()), dict(names.values())


@dataclass(frozen=True, slots=True)
class _Document:
    """A file of annotations.

    Attributes:
        path: The file.
        content: What it holds.
        lines: The line of each element of each list.
    """

    path: Path
    content: Mapping[str, Any]
    lines: Mapping[str, Sequence[int]]

    @classmethod
    def read(cls, path: Path) -> _Document:
        try:
            raw = path.read_bytes()
            text = raw.decode(json.detect_encoding(raw), "surrogatepass")
            content = json.loads(text)
        except (OSError, ValueError, RecursionError) as error:
            raise DataError(f"{path} is no JSON ({error}); expected annotations of COCO") from None
        if not isinstance(content, dict):
            raise DataError(
                f"{path} is no object, expected annotations of COCO: images, categories, …"
            )
        return cls(path, content, element_lines(text))

    def entries(self, key: str, problems: Problems) -> list[tuple[str, Mapping[str, Any]]]:
        """The objects of a list, each with where it is from."""
        found = self.content.get(key)
        if not isinstance(found, list):
            raise DataError(f"{self.path} has no list {key!r}, expected annotations of COCO")
        entries: list[tuple[str, Mapping[str, Any]]] = []
        for index, (line, entry) in enumerate(zip(self.lines[key], found, strict=True)):
            where = f"{self.path} line {line}, {key}[{index}]"
            if isinstance(entry, dict):
                entries.append((where, entry))
            else:
                problems.add(where, f"it is {str(entry)[:100]!r}, expected an object")
        return entries


def _names(document: _Document, problems: Problems) -> dict[str, tuple[str, str]]:
    """The name of each category and where it is from, by its id."""
    names: dict[str, tuple[str, str]] = {}
    known: set[str] = set()
    for where, entry in document.entries("categories", problems):
        name, key = entry.get("name"), _key(entry.get("id"))
        if not isinstance(name, str) or not name.strip() or name in known or key in names:
            problems.add(where, "expected an id and a name of its own")
        else:
            names[key] = name, where
            known.add(name)
    if not names:
        raise DataError(
            f"{document.path} has no categories, expected at least one with an id and a name"
        )
    return names


def _images(document: _Document, folder: Path, problems: Problems) -> dict[str, Annotated]:
    """The pictures by their ids."""
    images: dict[str, Annotated] = {}
    for where, entry in document.entries("images", problems):
        name, key = entry.get("file_name"), _key(entry.get("id"))
        if not isinstance(name, str) or not name or "\0" in name or key in images:
            problems.add(where, "expected a file_name and an id of its own")
        else:
            size = _size(entry.get("width"), entry.get("height"))
            images[key] = Annotated(folder / name, name, where, size, [])
    return images


def _size(width: Any, height: Any) -> tuple[int, int] | None:
    """The size in pixels; some tools write 0 for what they do not know."""
    is_known = all(type(side) is int and side > 0 for side in (width, height))
    return (width, height) if is_known else None


def _key(value: Any) -> str:
    """An id: tools write numbers and texts."""
    return repr(value)


def _corners(box: Any) -> tuple[float, float, float, float] | None:
    """The corners of a box that is given as x, y, width, height; None if it is none."""
    if not isinstance(box, list) or len(box) != 4:
        return None
    if any(isinstance(side, bool) or not isinstance(side, int | float) for side in box):
        return None
    try:
        x, y, width, height = map(float, box)
    except OverflowError:
        return None
    return x, y, x + width, y + height


COCO = Loader(
    _read,
    main=FILE,
    example="{coco: annotations.json, images: folder}",
    options={
        "images": FOLDER,
        "size": SIZE,
        "test": FILE,
        "test_images": FOLDER,
        "test_fraction": TEST_FRACTION,
    },
    required=("images",),
)
"""Annotations and the folder that their file names start from. `test` is the annotations of
the test, whose pictures are in `test_images` or the same folder; without it, pictures whose
names have the lowest hashes are for the test. Crowds (`iscrowd`) are no boxes: detectors learn
and are measured as if there were background."""

"""Reading boxes in the format of Pascal VOC: `{voc: folder}`.

Everingham et al. (2010), "The Pascal Visual Object Classes (VOC) challenge"; its development
kit says that corners are pixels counted from 1, both within the box.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeAlias
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from meta_nni.data.annotated import Annotated, Mark, read_annotated
from meta_nni.data.arrays import Split
from meta_nni.data.columns import number
from meta_nni.data.image_sets import Listed, choose, leave_out, read_list
from meta_nni.data.problems import DataError, Problems
from meta_nni.data.source import (
    FOLDER,
    NAME,
    NAMES,
    SIZE,
    TEST_FRACTION,
    Loader,
    Source,
    Spec,
    to_path,
)

__all__ = ["VOC"]

_SIDES = ("xmin", "ymin", "xmax", "ymax")

Lines: TypeAlias = Mapping[Element, int]
"""The line at which an element begins."""


def _read(spec: Spec, split: Split, problems: Problems) -> Source:
    root, lists = to_path(spec["voc"]), [spec.get("images"), spec.get("test_images")]
    # In one folder, what one list names is not in the other, nor among all that there are.
    others: list[list[Listed]] = [[], []]
    if "test" not in spec:
        others = [[] if each is None else read_list(root, each) for each in reversed(lists)]
    trained = others[0] if lists[0] is None else []
    train = partial(_annotated, root, lists[0], trained, spec.get("classes"))
    test = None
    if "test" in spec or lists[1] is not None:
        folder = to_path(spec.get("test", root))
        test = partial(_annotated, folder, lists[1], others[1], ())
    return read_annotated(spec, split, problems, train, test)


def _annotated(
    root: Path,
    listed: str | None,
    others: Iterable[Listed],
    classes: Sequence[str] | None,
    problems: Problems,
) -> tuple[list[Annotated], dict[str, str]]:
    """The pictures with their boxes, and the names of the classes with the folder.

    Args:
        root: The folder.
        listed: The list of pictures that count; None takes all but the others.
        others: What another list of the same folder names.
        classes: The names that classes may have; None takes those that there are.
        problems: Takes what is wrong.
    """
    folder, pictures = (
        next((root / name for name in names if (root / name).is_dir()), root)
        for names in (["Annotations"], ["JPEGImages"])
    )
    files = sorted(folder.glob("*.xml"))
    if not files:
        raise DataError(f"{folder} has no .xml files, expected one per picture")
    if listed is not None:
        files = choose(files, read_list(root, listed), others, problems)
    else:
        files = leave_out(files, others)
    there = [file for file in sorted(pictures.iterdir()) if file.suffix != ".xml"]
    by_name = {file.name: file for file in there}
    by_stem = {file.stem: file for file in there}
    found = []
    for file in files:
        try:
            element, lines = _parse(file)
        except DataError as error:
            problems.add(str(file), str(error))
            continue
        name = Path(element.findtext("filename") or file.stem).name
        # Where it was renamed since, tools go by the annotation's own name.
        picture = by_name.get(name) or by_stem.get(file.stem) or pictures / name
        found.append(Annotated(picture, file.name, str(file), _size(element), []))
        found[-1].marks.extend(_marks(element, lines, file, problems))
    if classes is None:
        classes = sorted({mark.name for each in found for mark in each.marks})
    return found, dict.fromkeys(classes, str(folder))


def _parse(file: Path) -> tuple[Element, Lines]:
    """Parses a file by expat, which expands no entity here: a document type is refused."""
    parser, builder = expat.ParserCreate(), TreeBuilder()
    lines: dict[Element, int] = {}

    def start(tag: str, attributes: dict[str, str]) -> None:
        lines[builder.start(tag, attributes)] = parser.CurrentLineNumber

    def refuse(*_: object) -> None:
        raise DataError("it declares a document type, which is not read; delete the declaration")

    parser.StartElementHandler, parser.StartDoctypeDeclHandler = start, refuse
    parser.EndElementHandler, parser.CharacterDataHandler = builder.end, builder.data
    try:
        parser.Parse(file.read_bytes(), True)
        return builder.close(), lines
    except DataError:
        raise
    except (expat.ExpatError, OSError, ValueError, LookupError) as error:
        raise DataError(f"it is no XML ({error}), expected annotations of Pascal VOC") from None


def _size(annotation: Element) -> tuple[int, int] | None:
    """Width and height as written; some tools write 0 for what they do not know."""
    sides = [number(annotation.findtext(f"size/{side}") or "") for side in ("width", "height")]
    known = [int(side) for side in sides if side is not None and side > 0]
    return (known[0], known[1]) if len(known) == 2 else None


def _marks(annotation: Element, lines: Lines, file: Path, problems: Problems) -> list[Mark]:
    marks = []
    for element in annotation.iter("object"):
        where = f"{file} line {lines[element]}"
        name = (element.findtext("name") or "").strip()
        texts = [element.findtext(f"bndbox/{side}") or "" for side in _SIDES]
        sides = [number(text) for text in texts]
        corners = [math.nan if side is None else side for side in sides]
        if not name:
            problems.add(where, "the object has no name, expected its class")
        elif None in sides:
            problems.add(where, f"bndbox is {texts}, expected 4 numbers: {', '.join(_SIDES)}")
        else:
            x1, y1, x2, y2 = corners
            marks.append(Mark(name, (x1 - 1, y1 - 1, x2, y2), where))
    return marks


VOC = Loader(
    _read,
    main=FOLDER,
    example="{voc: folder}",
    options={
        "classes": NAMES,
        "images": NAME,
        "size": SIZE,
        "test": FOLDER,
        "test_images": NAME,
        "test_fraction": TEST_FRACTION,
    },
)
"""Pictures in `JPEGImages/` and an XML file for each in `Annotations/`; or all in one folder.
`classes` are the names that boxes may have, in the order of their codes; without it, all that
there are. `images` is a list of the pictures to train on, such as `ImageSets/Main/train.txt` or
`train` for short, `test_images` a list of those for the test. `test` is a like folder; without
one of both, annotations whose names have the lowest hashes are for the test. Objects that are
`difficult` or `truncated` are boxes like all others, also where mAP is measured."""

"""Lists of pictures in the format of Pascal VOC: `ImageSets/Main/train.txt` names one a line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from meta_nni.data.problems import DataError, Problems

__all__ = ["Listed", "choose", "leave_out", "read_list"]

_FOLDER = Path("ImageSets") / "Main"
_FLAGS = ("-1", "0", "1")  # in the lists of one class: whether it is in the picture


class Listed(NamedTuple):
    """A line of a list.

    Attributes:
        name: As written: a picture's name without ending, perhaps with a flag.
        where: The file with the line.
    """

    name: str
    where: str

    @property
    def plain(self) -> str:
        """The name without the flag of a class."""
        words = self.name.rsplit(None, 1)
        return words[0] if len(words) == 2 and words[1] in _FLAGS else self.name


def read_list(root: Path, name: str) -> list[Listed]:
    """Reads a list of pictures.

    Args:
        root: The folder of the data set.
        name: The list's path within it, or the name of one in `ImageSets/Main`.

    Raises:
        DataError: There is no such list, or it names nothing.
    """
    tried = [root / name, root / _FOLDER / name, root / _FOLDER / f"{name}.txt"]
    try:
        file = next((path for path in tried if path.is_file()), None)
        text = "" if file is None else file.read_text("utf-8-sig")
    except (OSError, ValueError) as error:
        raise DataError(f"the list {name!r} of {root} cannot be read: {error}") from None
    if file is None:
        there = sorted(path.stem for path in (root / _FOLDER).glob("*.txt"))
        known = f"there are {there[:50]}" if there else "and no list there"
        raise DataError(
            f"{root} has no list {name!r}; looked for in {root / _FOLDER}, too, {known}"
        )
    lines = enumerate(text.splitlines(), start=1)
    found = [Listed(line.strip(), f"{file} line {number}") for number, line in lines]
    found = [each for each in found if each.name]
    if not found:
        raise DataError(f"{file} names no picture, expected one a line, such as 000012")
    return found


def choose(
    files: Sequence[Path], listed: Iterable[Listed], others: Iterable[Listed], problems: Problems
) -> list[Path]:
    """Returns the annotations that a list names, in the order of the list.

    Args:
        files: All annotations.
        listed: What the list says.
        others: What another list says, of which this one may name nothing.
        problems: Takes lines that name nothing, or something again.
    """
    by_name = {file.stem: file for file in files}
    taken = {by_name[name].stem: each.where for each in others if (name := _of(each, by_name))}
    chosen = []
    for each in listed:
        name = _of(each, by_name)
        if name is None:
            folder = files[0].parent
            problems.add(each.where, f"{folder} has no {each.plain}.xml, expected an annotation")
        elif name in taken:
            problems.add(each.where, f"{name} stands in {taken[name]}, too; keep one of them")
        else:
            taken[name] = each.where
            chosen.append(by_name[name])
    return chosen


def leave_out(files: Sequence[Path], listed: Iterable[Listed]) -> list[Path]:
    """Returns the annotations that a list does not name."""
    by_name = {file.stem: file for file in files}
    named = {_of(each, by_name) for each in listed}
    return [file for file in files if file.stem not in named]


def _of(listed: Listed, by_name: dict[str, Path]) -> str | None:
    """The name that a line means; None if there is no such annotation."""
    return next((name for name in (listed.name, listed.plain) if name in by_name), None)

"""What loaders are and return: one way of reading, its options, and the arrays it finds."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from meta_nni.data.arrays import Kind, Split
from meta_nni.data.problems import Problems

__all__ = [
    "CHANNELS",
    "FILE",
    "FOLDER",
    "NAME",
    "NAMES",
    "SIZE",
    "TEST_FRACTION",
    "Loader",
    "Option",
    "Source",
    "Spec",
    "choice",
    "draw_test",
    "share_of_test",
    "to_path",
]

Spec: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Source:
    """What a loader found of one split.

    Attributes:
        x: Rows, as `Dataset.from_arrays` takes them.
        y: Their targets, likewise.
        where: Says of a row's number where it is from, by file and line or element.
        y_train: The training targets, if another split is read: labels get their codes.
        is_categorical: Which columns hold codes of categories.
        classes: Names of the classes of boxes.
        kind: What the rows are, where it is declared.
    """

    x: NDArray[Any]
    y: NDArray[Any]
    where: Callable[[int], str]
    y_train: NDArray[Any] | None = None
    is_categorical: NDArray[Any] | None = None
    classes: NDArray[Any] | None = None
    kind: Kind | None = None


class Option(NamedTuple):
    """A value that a specification may have.

    Attributes:
        expected: What it is, for messages.
        fits: Whether a value is that.
        is_there: Whether the path exists as it should; None if it is no path.
    """

    expected: str
    fits: Callable[[Any], bool]
    is_there: Callable[[Path], bool] | None = None


@dataclass(frozen=True, slots=True)
class Loader:
    """One way of reading data.

    Attributes:
        read: Reads one split: `read(spec, split, problems)`. What is wrong with single rows
            it adds to the problems and leaves out.
        main: The value of the key that names the loader.
        options: Further keys and what they may be.
        required: Which of them have to be there.
        example: A specification, for messages.
    """

    read: Callable[[Spec, Split, Problems], Source]
    main: Option
    example: str
    options: Mapping[str, Option] = field(default_factory=dict)
    required: tuple[str, ...] = ()


def to_path(value: str | os.PathLike[str]) -> Path:
    """Returns the path that a specification means."""
    return Path(value).expanduser()


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_path(value: Any) -> bool:
    return _is_text(value) or isinstance(value, os.PathLike)


def _is_whole(value: Any, low: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= low


def _is_share(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1


def _is_size(value: Any) -> bool:
    is_pair = isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 2
    return is_pair and all(_is_whole(side, 1) for side in value)


def _are_names(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and all(map(_is_text, value))


def choice(*names: str) -> Option:
    """Returns the option of one of a few words."""
    return Option(f"one of {list(names)}", lambda value: value in names)


FILE = Option("the path of a file", _is_path, Path.is_file)
FOLDER = Option("the path of a folder", _is_path, Path.is_dir)
NAME = Option("a name", _is_text)
NAMES = Option("a list of names", _are_names)
CHANNELS = Option("1 (grey) or 3 (colours)", lambda v: not isinstance(v, bool) and v in (1, 3))
SIZE = Option("[height, width] in pixels", _is_size)
TEST_FRACTION = Option("a number from 0 to below 1", _is_share)

_DEFAULT_TEST_FRACTION = 0.2


def share_of_test(spec: Spec) -> float:
    """Returns the share of rows that are for the test, where there is no test split."""
    return float(spec.get("test_fraction", _DEFAULT_TEST_FRACTION))


def draw_test(
    names: Sequence[str], fraction: float, groups: Sequence[Any] | None = None
) -> NDArray[np.bool_]:
    """Draws the rows of the test split by their names.

    A row stays on its side when others come and go: it is for the test if the hash of its
    name is among the lowest `fraction` of all hashes. Rows of the same name stay together.

    Args:
        names: A name per row.
        fraction: About which share to draw, 0 to below 1.
        groups: A class per row; the highest hash of each class is never drawn, so that a
            small class has a training row.

    Returns:
        bool (n,): whether the row is for the test.
    """
    hashes = np.array([_hash(name) for name in names], np.float64)
    drawn = hashes < fraction
    if groups is not None:
        last: dict[Any, float] = {}
        for group, value in zip(groups, hashes.tolist(), strict=True):
            last[group] = max(value, last.get(group, 0.0))
        highest = [last[group] for group in groups]
        drawn &= hashes < np.array(highest, np.float64)
    return drawn


def _hash(name: str) -> float:
    """A number of 0..1 that is the same on every machine."""
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=6).digest()
    return int.from_bytes(digest, "big") / 2.0**48

"""Reading folders of pictures, one folder per class: `{images: folder}`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from meta_nni.data.arrays import Split
from meta_nni.data.pictures import Format, common_format, is_picture_file, read_picture, stack
from meta_nni.data.problems import DataError, Problems
from meta_nni.data.source import (
    CHANNELS,
    FOLDER,
    SIZE,
    TEST_FRACTION,
    Loader,
    Source,
    Spec,
    draw_test,
    share_of_test,
    to_path,
)

__all__ = ["IMAGES"]

_SPLITS = {"train", "test", "val", "valid", "validation"}

Labelled = tuple[Path, str]
"""A picture and its class."""


def _read(spec: Spec, split: Split, problems: Problems) -> Source:
    root = to_path(spec["images"])
    train, test = _splits(root, split, share_of_test(spec), problems)
    form = common_format([file for file, _ in train], spec.get("size"), spec.get("channels"))
    y_train = None if split == "train" else _readable_labels(train, form)
    files, labels, pictures = [], [], []
    for file, label in train if split == "train" else test:
        found = read_picture(file, form, problems, str(file))
        if found is not None:
            files.append(file)
            labels.append(label)
            pictures.append(found[0])
    return Source(
        stack(pictures, form),
        np.array(labels, np.str_),
        where=lambda row: str(files[row]),
        y_train=y_train,
    )


def _readable_labels(train: list[Labelled], form: Format) -> NDArray[np.str_]:
    """The classes of the training split: those with a picture that can be read."""
    found: set[str] = set()
    for file, label in train:
        if label not in found and read_picture(file, form, Problems(skips=True), str(file)):
            found.add(label)
    return np.array(sorted(found), np.str_)


def _splits(
    root: Path, split: Split, fraction: float, problems: Problems
) -> tuple[list[Labelled], list[Labelled]]:
    """The files for training and those for the test."""
    train = root / "train"
    has_splits = train.is_dir() and {folder.name for folder in _folders(root)} <= _SPLITS
    if not has_splits:
        train = root
    elif (root / "test").is_dir():
        # What is wrong with one split is told when that one is read.
        other = Problems(skips=True)
        is_train = split == "train"
        return (
            _files(train, problems if is_train else other),
            _files(root / "test", other if is_train else problems),
        )
    files = _files(train, problems)
    names = [file.relative_to(train).as_posix() for file, _ in files]
    drawn = draw_test(names, fraction, [label for _, label in files]).tolist()
    sides: tuple[list[Labelled], list[Labelled]] = ([], [])
    for file, is_test in zip(files, drawn, strict=True):
        sides[is_test].append(file)
    return sides


def _folders(root: Path) -> list[Path]:
    found = (each for each in root.iterdir() if each.is_dir() and each.name[0] != ".")
    return sorted(found, key=lambda folder: folder.name)


def _files(root: Path, problems: Problems) -> list[Labelled]:
    """All files of the classes' folders, also of folders within, in the order of their names."""
    classes = _folders(root)
    if not classes:
        raise DataError(f"{root} has no folders, expected a folder of pictures per class")
    found: list[Labelled] = []
    for folder in classes:
        files = sorted(file for file in folder.rglob("*") if is_picture_file(file))
        if not files:
            problems.add(str(folder), "the folder of the class holds no picture")
        found += [(file, folder.name) for file in files]
    return found


IMAGES = Loader(
    _read,
    main=FOLDER,
    example="{images: folder}",
    options={"size": SIZE, "channels": CHANNELS, "test_fraction": TEST_FRACTION},
)
"""A folder per class, or such folders in `train/` and `test/`; the names are the labels. A
folder for validation beside them is not read. Without `test/` the files whose names have the
lowest hashes are for the test."""

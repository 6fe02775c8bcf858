"""Shipped experience: files of `meta_nni.experience` in this folder, read once."""

from __future__ import annotations

from functools import cache
from importlib import resources

from meta_nni.experience import read_experience
from meta_nni.trial import History

__all__ = ["shipped_knowledge"]


def shipped_knowledge() -> list[History]:
    """Returns the runs of every `*.jsonl.gz` file shipped in this folder, by file name.

    Raises:
        ExperienceError: A shipped file is damaged; reinstall the package.
    """
    return list(_shipped())


@cache
def _shipped() -> tuple[History, ...]:
    files = sorted(resources.files(__name__).iterdir(), key=lambda file: file.name)
    histories: list[History] = []
    for file in files:
        if file.name.endswith(".jsonl.gz"):
            with resources.as_file(file) as path:
                histories.extend(read_experience(path))
    return tuple(histories)

"""Shipped experience, and networks trained on it: files in this folder.

`experiments/build_knowledge/` writes them: `collect.py` the experience, `checkpoints.py` a
network for each of AutoKeras's search spaces, so that a user's first search does not have to
train one before its first proposal.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from meta_nni.experience import read_experience
from meta_nni.space import SearchSpace
from meta_nni.trial import History, Run

__all__ = ["Provenance", "shipped_checkpoint", "shipped_knowledge"]

_KINDS = ("image", "text", "tabular")


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a shipped run comes from; None where the run does not say.

    Attributes:
        kind: Kind of data: "image", "text" or "tabular".
        metric: Name of the value.
        recipe: Name of the training recipe.
        data_set: Name of the data set whose training rows were used.
        licence: The data set's licence, as its origin states it. The data is not shipped.
        data_origin: Where the data set was taken from.
    """

    kind: str | None
    metric: str | None
    recipe: str | None
    data_set: str | None
    licence: str | None
    data_origin: str | None

    @classmethod
    def of(cls, run: Run) -> Provenance:
        """Reads what `experiments/build_knowledge/collect.py` wrote with a run."""
        described = run.task.metafeatures
        kinds = (kind for kind in _KINDS if described.get(f"kind_{kind}") == 1.0)
        source: Any = run.extra.get("source", {})
        named = (source.get(key) for key in ("name", "licence", "origin"))
        return cls(next(kinds, None), run.metric, run.recipe, *named)


def shipped_knowledge() -> list[History]:
    """Returns the runs of every `*.jsonl.gz` file shipped in this folder, by file name.

    Raises:
        ExperienceError: A shipped file is damaged; reinstall the package.
    """
    return list(_shipped())


def shipped_checkpoint(space: SearchSpace) -> bytes | None:
    """Returns a file of `checkpoint`, or None where none ships for the space.

    Its network has seen all of `shipped_knowledge()`, so it suits only searches that are
    given all of that: not one whose knowledge leaves a task out.

    Args:
        space: The space; its fingerprint's first 16 digits name the file.
    """
    file = resources.files(__name__) / f"{space.fingerprint[:16]}.npz"
    return file.read_bytes() if file.is_file() else None


@cache
def _shipped() -> tuple[History, ...]:
    files = sorted(resources.files(__name__).iterdir(), key=lambda file: file.name)
    histories: list[History] = []
    for file in files:
        if file.name.endswith(".jsonl.gz"):
            with resources.as_file(file) as path:
                histories.extend(read_experience(path))
    return tuple(histories)

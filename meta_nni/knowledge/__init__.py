"""Shipped experience: files of `meta_nni.experience` in this folder, read once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from meta_nni.experience import read_experience
from meta_nni.trial import History, Run

__all__ = ["Provenance", "shipped_knowledge"]

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


@cache
def _shipped() -> tuple[History, ...]:
    files = sorted(resources.files(__name__).iterdir(), key=lambda file: file.name)
    histories: list[History] = []
    for file in files:
        if file.name.endswith(".jsonl.gz"):
            with resources.as_file(file) as path:
                histories.extend(read_experience(path))
    return tuple(histories)

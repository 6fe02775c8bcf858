"""What several verbs take, and how they refuse it."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Sequence
from typing import TypeAlias

from meta_nni.store import ExperienceStore, StoreError
from meta_nni.trial import History

__all__ = ["CommandError", "Commands", "add_store", "known_history", "near"]

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
"""Where verbs add themselves."""


class CommandError(ValueError):
    """A verb cannot do what was asked; says what came, what was expected and what to do."""


def add_store(parser: argparse._ActionsContainer) -> None:
    """Adds the option `--store`."""
    parser.add_argument(
        "--store",
        help="path or URL (sqlite:///PATH, postgresql://USER@HOST/NAME); default "
        "$META_NNI_STORE, else a file in the user's data folder",
    )


def near(name: str, known: Sequence[str], count: int = 3) -> list[str]:
    """Returns the known names that `name` may have meant: that hold it, or are like it."""
    holding = [each for each in known if name and name in each]
    alike = difflib.get_close_matches(name, known, n=count)
    return list(dict.fromkeys([*holding, *alike]))[:count]


def known_history(store: ExperienceStore, run_id: str) -> History:
    """Returns a run of a store.

    Raises:
        StoreError: There is none of that name; names those that are like it.
    """
    known = [run.run_id for run in store.runs()]
    if run_id in known:
        return store.history(run_id)
    names = [repr(name) for name in near(run_id, known) or known[-3:]]
    hint = f"did you mean {' or '.join(names)}?" if names else "it has no runs"
    raise StoreError(f"run {run_id!r} is not in {store.name}; {hint} See: meta-nni experience list")

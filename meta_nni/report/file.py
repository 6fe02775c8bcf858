"""Where reports are kept, and writing them whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import tempfile
from pathlib import Path

from meta_nni.report.page import render
from meta_nni.store import ExperienceStore
from meta_nni.store_checkpoints import checkpoint_path
from meta_nni.trial import History

__all__ = ["ReportError", "leave_report", "report_path", "write_report"]

_log = logging.getLogger(__name__)


class ReportError(ValueError):
    """A report cannot be written; says why and what to do."""


def report_path(store: str, history: History) -> Path:
    """Returns where the report of a run is kept: beside its store, as checkpoints are.

    `<store file>.reports/<run>.html`; a run whose name is no plain file name gets a hash.

    Args:
        store: A path or URL, or `ExperienceStore.name`.
        history: The run.

    Raises:
        StoreError: The store is neither a path nor a URL.
    """
    checkpoints = checkpoint_path(store, history.run.space).parent
    folder = Path(f"{str(checkpoints).removesuffix('.checkpoints')}.reports")
    name = re.sub(r"[^A-Za-z0-9_.-]", "-", history.run.run_id).lstrip(".")[:80]
    if name != history.run.run_id:
        digest = hashlib.sha256(history.run.run_id.encode("utf-8", "replace")).hexdigest()
        name = f"{name}-{digest[:8]}"
    return folder / f"{name}.html"


def write_report(history: History, store: str, path: Path, against: str | None = None) -> None:
    """Writes the report of a run, in place of one that is there.

    Args:
        history: The run.
        store: Its store, as `render` shows it.
        path: The file; its folder is made.
        against: See `render`.

    Raises:
        ReportError: The file cannot be written.
        KeyError: There is nothing of the name `against`.
    """
    page = render(history, store, against).encode("utf-8")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".html", delete=False) as file:
            try:
                file.write(page)
                file.flush()
                os.chmod(file.name, 0o644)
                os.replace(file.name, path)
            except OSError:
                with contextlib.suppress(OSError):
                    os.unlink(file.name)
                raise
    except OSError as error:
        raise ReportError(f"{path} cannot be written: {error.strerror or error}") from None


def leave_report(store: ExperienceStore, run_id: str) -> None:
    """Writes a run's report beside its store, at the end of a search.

    What can go wrong is logged: a report is no reason for a search to fail.
    """
    try:
        history = store.history(run_id)
        path = report_path(store.name, history)
        write_report(history, store.name, path)
    except Exception as error:
        _log.warning("no report of run %s was left: %s", run_id, error)
    else:
        _log.info("the report of run %s is %s", run_id, path)

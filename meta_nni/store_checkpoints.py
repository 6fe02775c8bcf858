"""Where the checkpoints that were trained from a store are kept: one a search space."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from pathlib import Path

import platformdirs
from sqlalchemy import URL

from meta_nni.knowledge import shipped_checkpoint
from meta_nni.space import SearchSpace
from meta_nni.store_engine import parse_store

__all__ = ["checkpoint_path", "first_checkpoint"]


def checkpoint_path(store: str | Path, space: SearchSpace) -> Path:
    """Returns the file of the checkpoint that belongs to a store and a space.

    `<store file>.checkpoints/<fingerprint>.npz` beside a SQLite file, so that it moves and
    goes with it. Other databases are used from several machines: there it is a file in this
    user's data folder, under a hash of the URL, in which a password does not count.

    Args:
        store: A path or URL, or `ExperienceStore.name`.
        space: The space; its fingerprint's first 16 digits name the file.

    Raises:
        StoreError: The store is neither a path nor a URL.
    """
    url = parse_store(store)
    name = f"{space.fingerprint[:16]}.npz"
    if url.drivername == "sqlite":
        return Path(f"{url.database}.checkpoints") / name
    parts = (url.drivername, url.username, None, url.host, url.port, url.database, url.query)
    known = URL.create(*parts).render_as_string()
    folder = hashlib.sha256(known.encode()).hexdigest()[:16]
    return Path(platformdirs.user_data_dir("meta_nni")) / "checkpoints" / folder / name


def first_checkpoint(store: str | Path, space: SearchSpace, knowledge: str) -> Path:
    """Returns `checkpoint_path`; where no checkpoint is yet, the shipped one is put there.

    Only with `knowledge` "shipped", since the shipped network has seen all of it. A file that
    cannot be written is none: the search trains its own.

    Args:
        store: As for `checkpoint_path`.
        space: As for `checkpoint_path`.
        knowledge: As for `Search.open`.

    Raises:
        StoreError: The store is neither a path nor a URL.
    """
    path = checkpoint_path(store, space)
    if knowledge == "shipped" and not path.exists() and (shipped := shipped_checkpoint(space)):
        with contextlib.suppress(OSError):
            _write(path, shipped)
    return path


def _write(path: Path, content: bytes) -> None:
    """Writes a file unless there is one; whoever reads sees none or all of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name, suffix=".part") as file:
        file.write(content)
        file.flush()
        os.link(file.name, path)  # fails where another process was first

"""Where the checkpoints that were trained from a store are kept: one a search space."""

from __future__ import annotations

import hashlib
from pathlib import Path

import platformdirs
from sqlalchemy import URL

from meta_nni.space import SearchSpace
from meta_nni.store_engine import parse_store

__all__ = ["checkpoint_path"]


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

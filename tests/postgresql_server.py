"""A PostgreSQL server of our own, on loopback, for as long as a test session lasts."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

_UNPRIVILEGED = "nobody"


def binaries() -> Path | None:
    """The folder of `initdb` and `pg_ctl`, or None where PostgreSQL is not installed."""
    on_path = shutil.which("initdb")
    found = [Path(on_path).resolve()] if on_path else []
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)
    return next((file.parent for file in found if (file.parent / "pg_ctl").exists()), None)


@contextlib.contextmanager
def running_server(bin_: Path) -> Iterator[str]:
    """Yields the address "USER@HOST:PORT" of a fresh server and stops it afterwards."""
    # The server refuses to run as root.
    user = _UNPRIVILEGED if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="meta_nni_pg") as folder:
        if user:
            shutil.chown(folder, user)
        data, port = f"{folder}/data", _free_port()

        def call(name: str, *arguments: str) -> None:
            subprocess.run(
                [bin_ / name, "-D", data, *arguments],
                check=True,
                cwd=folder,
                user=user,
                stdout=subprocess.DEVNULL,
                timeout=60,
            )

        call("initdb", "-U", "tester", "-A", "trust", "--no-sync")
        options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories=''"
        call("pg_ctl", "start", "-w", "-l", f"{folder}/log", "-o", f"{options} -c fsync=off")
        try:
            yield f"tester@127.0.0.1:{port}"
        finally:
            call("pg_ctl", "stop", "-w", "-m", "immediate")


def new_database(server: str) -> str:
    """Returns the URL of another empty database of a server "USER@HOST:PORT"."""
    import psycopg

    name = f"store_{next(_numbers)}"
    with psycopg.connect(f"postgresql://{server}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"postgresql://{server}/{name}"


_numbers = itertools.count()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

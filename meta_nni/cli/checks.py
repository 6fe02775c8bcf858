"""What `meta-nni doctor` looks at: each check says what it found, and how to mend it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from meta_nni.store import ExperienceStore, StoreError
from meta_nni.store_engine import parse_store
from meta_nni.store_schema import SCHEMA_VERSION

__all__ = ["Finding", "examine"]

Status = Literal["ok", "note", "problem"]

_PACKAGE = "meta-nni"
_SHOWN = ("nni", "autokeras", "keras", "tensorflow", "numpy")  # the versions that matter most
_PORTS = range(8080, 8100)
_MIN_BYTES = 200 * 2**20  # free on disk: NNI's logs and a store's growth
_SECONDS = 60.0  # that a program may take to say its version


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    Attributes:
        check: What was looked at.
        status: "ok"; "note", which is worth knowing; or "problem", which is to be mended.
        found: What was found.
        mend: What to do about it; empty where nothing is to be done.
    """

    check: str
    status: Status
    found: str
    mend: str = ""


def examine(store: str | None) -> Iterator[Finding]:
    """Yields what is found, in an order that makes sense to read.

    Args:
        store: The store to look at; None for the default one.
    """
    yield from _requirements()
    yield _manager()
    yield _trial_python()
    yield _port()
    yield _store(store)
    yield from _folders()
    yield _gpu()


def _requirements() -> Iterator[Finding]:
    try:
        package = metadata.distribution(_PACKAGE)
    except metadata.PackageNotFoundError:
        mend = "install it, so that versions can be compared: pip install ."
        yield Finding("package", "problem", f"{_PACKAGE} is not installed here", mend)
        return
    version = ".".join(map(str, sys.version_info[:3]))
    wanted = package.metadata["Requires-Python"] or ""
    fits = SpecifierSet(wanted).contains(version)
    mend = "" if fits else f"make an environment with Python {wanted}, and install there"
    yield Finding("python", "ok" if fits else "problem", version, mend)
    needed = [Requirement(text) for text in package.requires or ()]
    needed = [each for each in needed if each.marker is None or each.marker.evaluate({"extra": ""})]
    unmet = [finding for each in needed if (finding := _unmet(each))]
    yield from unmet
    named = ", ".join(f"{name} {_version(name) or 'missing'}" for name in _SHOWN)
    count = f"{len(needed) - len(unmet)} of {len(needed)} requirements met: {named}"
    yield Finding("packages", "ok" if not unmet else "note", count)


def _unmet(requirement: Requirement) -> Finding | None:
    version = _version(requirement.name)
    if version is not None and requirement.specifier.contains(version, prereleases=True):
        return None
    found = f"{requirement.name} {version or 'is missing'}, expected {requirement.specifier}"
    return Finding("packages", "problem", found, f"pip install '{requirement}'")


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _manager() -> Finding:
    """NNI's manager, which runs on a Node that comes with the package."""
    spec = util.find_spec("nni_node")
    folders = list(spec.submodule_search_locations or []) if spec else []
    mend = "pip install --force-reinstall --no-deps nni==3.0"
    if not folders or not (Path(folders[0]) / "main.js").exists():
        return Finding("NNI's manager", "problem", "nni_node is missing or incomplete", mend)
    node = Path(folders[0]) / ("node.exe" if os.name == "nt" else "node")
    version = _output([str(node), "--version"])
    if version is None:
        found = "its Node does not run on this machine"
        return Finding("NNI's manager", "problem", found, f"{mend}; NNI ships it for x86-64 Linux")
    return Finding("NNI's manager", "ok", f"runs on Node {version}")


def _trial_python() -> Finding:
    """Whether `trialCommand: python trial.py` would find this package."""
    found = shutil.which("python")
    if found is not None and Path(found).parent.resolve() == Path(sys.executable).parent.resolve():
        return Finding("python of trials", "ok", "`python` is this environment's")
    text = "`python` is " + ("not on the path" if found is None else "another environment's")
    mend = "activate this environment before nnictl, or write its full path in trialCommand"
    return Finding("python of trials", "note", text, mend)


def _port() -> Finding:
    free = next((port for port in _PORTS if _is_free(port)), None)
    if free is None:
        found = f"{_PORTS.start} to {_PORTS.stop - 1} are all taken"
        mend = "end experiments that run no more: nnictl stop --all; or choose another: --port N"
        return Finding("port of NNI's page", "problem", found, mend)
    if free > _PORTS.start:
        found = f"{_PORTS.start} is taken, {free} is free"
        return Finding("port of NNI's page", "note", found, f"nnictl create --port {free}")
    return Finding("port of NNI's page", "ok", f"{free} is free")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True


def _store(store: str | None) -> Finding:
    try:
        url = parse_store(store)
        if url.drivername == "sqlite" and not Path(str(url.database)).exists():
            return _missing_store(Path(str(url.database)))
        with closing(ExperienceStore.open(store, create=False)) as opened:  # by a write
            count, name = opened.count(), opened.name
    except StoreError as error:
        return Finding("store", "problem", str(error), "mend what it says, or take another --store")
    return Finding("store", "ok", f"{name}: {count} ended trials, version {SCHEMA_VERSION}")


def _missing_store(path: Path) -> Finding:
    if problem := _cannot_write(path.parent):
        mend = "name another place: --store, or META_NNI_STORE"
        return Finding("store", "problem", f"{path} is not there yet and {problem}", mend)
    return Finding("store", "ok", f"{path} is not there yet; the first search makes it")


def _folders() -> Iterator[Finding]:
    config = Path(os.environ.get("NNI_CONFIG_DIR") or Path(sys.prefix) / "nni")
    for check, folder, mend in (
        ("NNI's experiments", Path.home() / "nni-experiments", "set experimentWorkingDirectory"),
        ("NNI's settings", config, "set NNI_CONFIG_DIR to a folder of yours"),
        ("temporary files", Path(tempfile.gettempdir()), "set TMPDIR to a folder of yours"),
    ):
        problem = _cannot_write(folder)
        yield Finding(
            check, "problem" if problem else "ok", problem or str(folder), problem and mend
        )


def _cannot_write(folder: Path) -> str:
    """Why nothing can be written in a folder, which may be one to be made; empty if it can."""
    there = next(each for each in (folder, *folder.parents) if each.exists())
    if not os.access(there, os.W_OK | os.X_OK):
        return f"{there} cannot be written"
    free = shutil.disk_usage(there).free
    return f"{there} has {free // 2**20} MiB left" if free < _MIN_BYTES else ""


def _gpu() -> Finding:
    listed = _output(["nvidia-smi", "-L"]) if shutil.which("nvidia-smi") else None
    if not listed:
        return Finding("GPU", "ok", "none; trials run on the processor")
    names = [line.split(": ", 1)[-1].split(" (")[0] for line in listed.splitlines()]
    seen = _output([sys.executable, "-c", _COUNT_GPUS])
    if seen is None or not seen.split()[-1:] or int(seen.split()[-1]) == 0:
        mend = "pip install 'tensorflow[and-cuda]', or 'jax[cuda12]' with KERAS_BACKEND=jax"
        return Finding("GPU", "problem", f"{', '.join(names)}; Keras does not see it", mend)
    return Finding("GPU", "ok", f"{', '.join(names)}; Keras sees {seen.split()[-1]}")


_COUNT_GPUS = "import keras; print(len(keras.distribution.list_devices('gpu')))"


def _output(command: list[str]) -> str | None:
    """What a program writes; None where it fails."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=True,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()

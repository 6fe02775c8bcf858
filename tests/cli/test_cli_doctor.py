from __future__ import annotations

import json
import socket
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from meta_nni.cli import checks, main
from meta_nni.cli.checks import Finding, examine
from meta_nni.store import ExperienceStore


def found(check: str, store: str | None) -> list[Finding]:
    return [each for each in examine(store) if each.check == check]


@pytest.fixture
def path(tmp_path: Path) -> str:
    ExperienceStore.open(tmp_path / "store.db").close()
    return str(tmp_path / "store.db")


@pytest.fixture
def versions(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Versions that differ from those installed, by package."""
    changed: dict[str, str] = {}
    real = metadata.version

    def version(name: str) -> str:
        if changed.get(name) == "":
            raise metadata.PackageNotFoundError(name)
        return changed.get(name) or real(name)

    monkeypatch.setattr(metadata, "version", version)
    return changed


def test_this_environment_is_fit(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The one that runs the tests: what it lacks would fail them, too."""
    main(["doctor", "--store", path, "--json"])
    findings = json.loads(capsys.readouterr().out)
    problems = [each for each in findings if each["status"] == "problem"]
    assert [each["found"] for each in problems if each["check"] in ("python", "packages")] == []
    checks = {each["check"] for each in findings}
    assert checks >= {"python", "packages", "NNI's manager", "store", "GPU", "port of NNI's page"}


@pytest.mark.parametrize(
    ("package", "version", "words", "mend"),
    [
        ("setuptools", "81.0.0", "setuptools 81.0.0, expected <81", "pip install 'setuptools<81'"),
        ("filelock", "3.12.2", "filelock 3.12.2, expected <3.12", "pip install 'filelock<3.12'"),
        ("keras", "3.13.0", "keras 3.13.0, expected <3.13,>=3.8", "pip install 'keras<3.13,>=3.8'"),
        ("nni", "2.10", "nni 2.10, expected ==3.0", "pip install 'nni==3.0'"),
        ("six", "", "six is missing", "pip install 'six'"),
    ],
)
def test_each_pin_has_its_mend(
    path: str,
    versions: dict[str, str],
    package: str,
    version: str,
    words: str,
    mend: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    versions[package] = version
    assert main(["doctor", "--store", path]) == 1
    captured = capsys.readouterr()
    assert f"PROBLEM  packages: {words}" in captured.out
    assert mend in captured.out
    assert "to mend, see above" in captured.err


def test_extras_are_not_required(path: str, versions: dict[str, str]) -> None:
    versions["psycopg"] = versions["selenium"] = ""
    (packages,) = found("packages", path)
    assert packages.status == "ok"


def test_a_missing_store_is_no_problem(tmp_path: Path) -> None:
    (finding,) = found("store", str(tmp_path / "later" / "store.db"))
    assert finding.status == "ok"
    assert "the first search makes it" in finding.found
    assert not (tmp_path / "later").exists()


def test_a_store_that_is_none_is_one(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database" * 100)
    (finding,) = found("store", str(tmp_path / "text"))
    assert finding.status == "problem"
    assert "file is not a database" in finding.found


def test_no_room_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "_MIN_BYTES", 2**70)
    findings = list(examine(str(tmp_path / "store.db")))
    full = [each for each in findings if "MiB left" in each.found]
    assert {each.check for each in full} >= {"store", "temporary files"}
    assert {each.status for each in full} == {"problem"}
    assert all(each.mend for each in full)


def test_a_taken_port_is_named_with_a_free_one(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setattr(checks, "_PORTS", range(port, port + 1))
        (finding,) = found("port of NNI's page", path)
        assert finding.status == "problem"
        monkeypatch.setattr(checks, "_PORTS", range(port, port + 50))
        (finding,) = found("port of NNI's page", path)
        assert (finding.status, str(port) in finding.found) == ("note", True)


def test_a_gpu_that_keras_does_not_see(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no GPU here: what its tools would say is made up."""
    answers = {"nvidia-smi": "GPU 0: NVIDIA T4 (UUID: x)\n", sys.executable: "noise\n0\n"}

    def run(command: list[str], **kwargs: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 0, answers.get(command[0], "v18"), "")

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(checks.shutil, "which", lambda name: f"/bin/{name}")
    (finding,) = found("GPU", path)
    assert (finding.status, finding.found) == ("problem", "NVIDIA T4; Keras does not see it")
    answers[sys.executable] = "1\n"
    (finding,) = found("GPU", path)
    assert (finding.status, finding.found) == ("ok", "NVIDIA T4; Keras sees 1")


def test_a_node_that_does_not_run(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*args: Any, **kwargs: Any) -> None:
        raise OSError("Exec format error")

    monkeypatch.setattr(subprocess, "run", run)
    (finding,) = found("NNI's manager", path)
    assert finding.status == "problem"
    assert "nni==3.0" in finding.mend

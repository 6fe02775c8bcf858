"""The wheel: what is in it, and that it works away from the source tree."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import meta_nni

pytestmark = pytest.mark.host

ROOT = Path(__file__).parents[2]
MOST_BYTES = 5 * 2**20
FILES = ("setup.py", "pyproject.toml", "README.md", "LICENSE")
SHIPPED = {".py", ".json", ".gz", ".npz", ".md", ".js", ".typed"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that nothing is left in the source tree."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in FILES:
        shutil.copy(ROOT / name, source)
    for name in ("meta_nni", "search_spaces"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    offline = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet"]
    command = [sys.executable, "-m", "pip", "wheel", *offline, "-w", str(folder), str(source)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def unpacked(wheel: Path) -> Path:
    folder = wheel.parent / "unpacked"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def test_it_holds_what_is_needed_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    package = {p for p in (ROOT / "meta_nni").rglob("*") if p.is_file() and p.suffix in SHIPPED}
    spaces = {p for p in (ROOT / "search_spaces").iterdir() if p.suffix in SHIPPED}
    expected = {p.relative_to(ROOT).as_posix() for p in package}
    expected |= {f"meta_nni/{p.relative_to(ROOT).as_posix()}" for p in spaces}
    assert names == expected
    assert {"meta_nni/py.typed", "meta_nni/search_spaces/cnn_small.json"} <= names
    assert any(name.startswith("meta_nni/knowledge/") and name.endswith(".gz") for name in names)
    assert any(name.endswith(".js") for name in names)  # what binds NNI's parameters to trials
    assert wheel.stat().st_size < MOST_BYTES


def test_it_says_what_it_is(unpacked: Path) -> None:
    (about,) = unpacked.glob("*.dist-info")
    metadata = (about / "METADATA").read_text()
    assert f"Version: {meta_nni.__version__}\n" in metadata
    assert "Requires-Dist: nni==3.0\n" in metadata
    assert "meta-nni = meta_nni.cli:main" in (about / "entry_points.txt").read_text()


def run(unpacked: Path, code: str, *flags: str) -> str:
    """Runs code with the unpacked wheel in front of all else, away from the source tree."""
    code = f"import sys; sys.path.insert(0, {str(unpacked)!r}); {code}"
    command = [sys.executable, "-I", *flags, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=unpacked)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_is_imported_without_any_other_package(unpacked: Path) -> None:
    found = run(unpacked, "import meta_nni; print(meta_nni.__version__, meta_nni.__file__)", "-S")
    assert found.split() == [meta_nni.__version__, str(unpacked / "meta_nni" / "__init__.py")]


def test_its_command_knows_what_is_shipped(unpacked: Path) -> None:
    code = (
        "from meta_nni import knowledge; assert knowledge.__file__.startswith(sys.path[0]); "
        "from meta_nni.cli import main; main(['experience', 'list', '--knowledge', '--json'])"
    )
    assert len(json.loads(run(unpacked, code))) > 10


def test_a_search_over_a_shipped_space(unpacked: Path) -> None:
    code = """
import json
from importlib import resources
from meta_nni import ExperienceStore, Result, Run, Search, SearchSpace, Task
from meta_nni.controllers import make
file = resources.files("meta_nni.search_spaces") / "cnn_small.json"
space = SearchSpace.from_nni(json.loads(file.read_text("utf-8")))
store = ExperienceStore.open("store.db")
search = Search.open(store, Run("r", Task("t"), space), make("meta"), seed=0, knowledge="none")
for number in range(4):
    search.ask([str(number)])
    search.tell(str(number), Result(number / 10))
print(len(store.history("r").completed))
"""
    assert run(unpacked, f"exec({code!r})") == "4\n"

"""Every code block of the documentation runs, page by page, as a reader would run it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from meta_nni.store import ExperienceStore

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted((DOCS / "pages").glob("*.md"))
BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
SLOW = {"nni", "autokeras"}  # pages that start a host
HOST = [pytest.mark.host, pytest.mark.slow]
EXPECTED = {
    "index": ["zero-shot 0.9", "run-second  second", "MEASURED", "report.html", '"run_id"'],
    "nni": ["NNI's page will be at http://127.0.0.1:", "digits  "],
    "autokeras": ["image_classifier-"],
    "your-data": [
        "tabular classification ['no', 'yes'] 40",
        "proposal 1",
        "people.csv line 42: the column 'age' is 'old', expected a number",
        "people.csv line 43: 2 cells, expected 3: one per column",
        "2 left out",
        "detection (4, 20, 40, 3) (4, 1, 5)",
    ],
}
"""What some of the blocks of a page print."""


def blocks(page):
    """The kind, file name and text of each block of a page."""
    return [match.groups() for match in BLOCK.finditer(page.read_text("utf-8"))]


class Reader:
    """Does what a page says in a folder of its own, in an environment of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = {
            **os.environ,
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "HOME": str(folder / "home"),
            "NNI_CONFIG_DIR": str(folder / "home" / "nni"),
            "META_NNI_STORE": str(folder / "default.db"),
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }
        (folder / "home").mkdir()
        self.script: list[str] = []  # the page's Python so far
        self.printed: list[str] = []

    def read(self, kind: str, title: str | None, text: str) -> None:
        if title is not None:
            (self.folder / title).write_text(text)
            self.parse(kind, text)
        elif kind == "python":
            self.script.append(text)
        else:
            assert kind == "bash", f"a block of {kind} has neither a title nor a way to run it"
            self.run_script()
            if "nnictl stop" in text:
                self.await_trials()
            self.run("bash", "-eu", "-c", text)

    def parse(self, kind: str, text: str) -> None:
        readers = {"json": json.loads, "yaml": yaml.safe_load}
        readers.get(kind, lambda python: compile(python, "block", "exec"))(text)

    def run_script(self) -> None:
        """Runs the page's Python, whose blocks build on each other."""
        script, self.script = "\n".join(self.script), []
        if script:
            self.run(sys.executable, "-c", script)

    def run(self, *command: str) -> None:
        done = subprocess.run(
            command, cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, f"{command[-1]}\n{done.stdout}\n{done.stderr}"
        self.printed.append(done.stdout)

    def await_trials(self) -> None:
        """A reader waits for the experiment's end."""
        number = yaml.safe_load((self.folder / "config.yml").read_text())["maxTrialNumber"]
        end = time.monotonic() + 180
        while ExperienceStore.open(self.folder / "experience.db").count() < number:
            assert time.monotonic() < end, "the trials did not end"
            time.sleep(1)

    def close(self) -> None:
        if (self.folder / "config.yml").exists():
            subprocess.run(
                ["nnictl", "stop", "--all"], env=self.env, cwd=self.folder, capture_output=True
            )


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(
            page, id=page.stem, marks=[pytest.mark.host, pytest.mark.slow] * (page.stem in SLOW)
        )
        for page in PAGES
    ],
)
def test_all_blocks_of_a_page_run(page, tmp_path):
    reader = Reader(tmp_path)
    try:
        for block in blocks(page):
            reader.read(*block)
        reader.run_script()
        if page.stem == "nni":
            (report,) = (tmp_path / "experience.db.reports").iterdir()
            assert "4</b><span>trials, 4 measured" in report.read_text("utf-8")
    finally:
        reader.close()
    printed = "\n".join(reader.printed)
    for text in EXPECTED.get(page.stem, []):
        assert text in printed


def test_no_block_is_overlooked():
    for page in PAGES:
        assert page.read_text("utf-8").count("```") == 2 * len(blocks(page)), page.name
    assert {page.stem for page in PAGES if blocks(page)} >= {"index", "nni", "autokeras"}


@pytest.mark.host
def test_the_site_builds_without_a_warning(tmp_path):
    pytest.importorskip("mkdocstrings")
    command = ["-m", "mkdocs", "build", "--strict", "-f", str(DOCS / "mkdocs.yml")]
    done = subprocess.run(
        [sys.executable, *command, "-d", str(tmp_path / "site")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    reference = (tmp_path / "site" / "reference.html").read_text("utf-8")
    for name in ("MetaTuner", "KerasEvaluator", "check_controller"):
        assert re.search(rf'id="meta_nni[\w.]*\.{name}"', reference)

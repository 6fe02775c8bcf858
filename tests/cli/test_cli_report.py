from __future__ import annotations

import json
from pathlib import Path

import pytest
from histories import fill, make_history

from meta_nni.cli import main
from meta_nni.store import ExperienceStore


@pytest.fixture
def path(tmp_path: Path) -> str:
    opened = ExperienceStore.open(tmp_path / "store.db")
    fill(opened, make_history("nni-abc"))
    opened.close()
    return str(tmp_path / "store.db")


def test_a_report_lies_beside_its_store(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "nni-abc", "--store", path]) == 0
    file = Path(capsys.readouterr().out.strip())
    assert file == Path(f"{path}.reports") / "nni-abc.html"
    assert file.read_text("utf-8").startswith("<!DOCTYPE html>")


def test_a_report_elsewhere_for_programs(
    path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "page.html"
    assert main(["report", "nni-abc", "--store", path, "--out", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"run_id": "nni-abc", "report": str(out)}
    assert "Value against seconds" in out.read_text("utf-8")


def test_the_front_that_was_asked_for(path: str, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    arguments = ["--store", path, "--out", str(out), "--pareto", "precision"]
    assert main(["report", "nni-abc", *arguments]) == 0
    assert "Value against precision" in out.read_text("utf-8")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["nni-abd"], "run 'nni-abd' is not in {path}; did you mean 'nni-abc'?"),
        (["nni-abc", "--pareto", "cost"], "expected one of ['seconds', 'precision']"),
        (["nni-abc", "--out", "{path}/page.html"], "page.html cannot be written: "),
    ],
)
def test_refusals_take_one_line(
    path: str, arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [each.format(path=path) for each in arguments]
    assert main(["report", *given, "--store", path]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert expected.format(path=path) in captured.err
    assert captured.err.count("\n") == 1

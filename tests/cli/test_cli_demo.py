from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from meta_nni.cli import main
from meta_nni.models import KerasEvaluator
from meta_nni.store import ExperienceStore
from meta_nni.trial import Result


@pytest.fixture
def evaluated(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Puts a formula in the place of the training."""
    configs: list[Any] = []

    def evaluate(self: KerasEvaluator, config: Any, *report: Any) -> Result:
        configs.append(config)
        return Result(config["filters"] / 100, seconds=2.0)

    monkeypatch.setattr(KerasEvaluator, "__call__", evaluate)
    monkeypatch.setattr("meta_nni.cli.demo.load_keras", lambda: None)
    return configs


def test_the_second_search_remembers_the_first(
    evaluated: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "demo"
    assert main(["demo", "--folder", str(folder), "--trials", "4", "--json"]) == 0
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert captured.err.count("measured 0.") == 8
    assert [each["values"] for each in document["runs"]] == [
        [config["filters"] / 100 for config in evaluated[:4]],
        [config["filters"] / 100 for config in evaluated[4:]],
    ]
    page = Path(document["report"]).read_text("utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert "What each proposal was based on" in page
    assert "Which decisions matter" in page
    last = ExperienceStore.open(document["store"]).history("demo-digits_5_to_9")
    evidence = last.trials[0].suggestion.evidence
    assert evidence["tasks"][0]["run_id"] == "demo-digits_0_to_4"


def test_what_is_there_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--folder", str(tmp_path)]) == 1
    assert "cannot be made (File exists); name a new one" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.host
@pytest.mark.slow
def test_real_searches(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "demo"
    assert main(["demo", "--folder", str(folder), "--trials", "3", "--seed", "3"]) == 0
    out = capsys.readouterr().out
    assert "digits_5_to_9, trial 0: zero-shot" in out
    assert f"  meta-nni explain demo-digits_5_to_9 --store {folder}/experience.db" in out
    values = [
        ExperienceStore.open(folder / "experience.db").history(f"demo-{name}").trials[0].value
        for name in ("digits_0_to_4", "digits_5_to_9")
    ]
    assert all(value is not None and 0 < value <= 1 for value in values)

"""What the verbs that change something print for programs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from histories import make_history

from meta_nni.cli import main
from meta_nni.experience import write_experience


def test_import_copy_and_export(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, store, other, out = (str(tmp_path / n) for n in ("f.jsonl", "s.db", "o.db", "o.jsonl"))
    write_experience([make_history()], file)
    added = {"runs_added": 1, "trials_added": 6, "trials_finished": 0, "trials_unchanged": 0}
    assert main(["experience", "import", file, "--store", store, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"store": store, **added}
    assert main(["experience", "copy", "--from", store, "--to", other, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"store": other, **added}
    assert main(["experience", "export", out, "--store", other, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"file": out, "runs": 1}


def test_register(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NNI_CONFIG_DIR", str(tmp_path))
    assert main(["register", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"name": "MetaNAS"}


@pytest.mark.parametrize(
    "verb",
    ["demo", "doctor", "launch", "propose", "explain", "report", "best", "train", "register"],
)
def test_every_verb_says_what_it_does(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([verb, "--help"])
    assert caught.value.code == 0
    said = capsys.readouterr().out
    assert said.startswith(f"usage: meta-nni {verb}")
    assert "--json" in said
    assert re.search(r"\n\n[A-Z][^\n]{20}", said)  # more than a list of its options
    with pytest.raises(SystemExit) as caught:
        main([verb, "--no-such-option"])
    assert caught.value.code == 2

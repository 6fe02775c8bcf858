from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from histories import make_history

from meta_nni import knowledge
from meta_nni.experience import ExperienceError, write_experience


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(knowledge.resources, "files", lambda package: tmp_path)
    knowledge._shipped.cache_clear()
    yield tmp_path
    knowledge._shipped.cache_clear()


def test_all_files_are_read_once(folder: Path) -> None:
    write_experience([make_history("b")], folder / "2.jsonl.gz")
    write_experience([make_history("a"), make_history("c")], folder / "1.jsonl.gz")
    (folder / "README.md").write_text("origin")
    expected = [make_history(name) for name in "acb"]
    assert knowledge.shipped_knowledge() == expected
    (folder / "1.jsonl.gz").unlink()
    knowledge.shipped_knowledge().clear()
    assert knowledge.shipped_knowledge() == expected


def test_a_damaged_file_is_named(folder: Path) -> None:
    (folder / "x.jsonl.gz").write_bytes(b"noise")
    with pytest.raises(ExperienceError, match=r"x\.jsonl\.gz: cannot be read"):
        knowledge.shipped_knowledge()


def test_what_is_shipped_fits_the_format() -> None:
    run_ids = [history.run.run_id for history in knowledge.shipped_knowledge()]
    assert len(set(run_ids)) == len(run_ids)

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from histories import make_history, make_run

from meta_nni import knowledge
from meta_nni.controllers import MetaController
from meta_nni.experience import ExperienceError, write_experience
from meta_nni.policy.neural import NeuralPolicy
from meta_nni.policy.source import Source
from meta_nni.space import SearchSpace
from meta_nni.store_checkpoints import first_checkpoint
from meta_nni.task import Task
from meta_nni.trial import History, Run

SPACES = Path(knowledge.__file__).parents[2] / "search_spaces"
AUTOKERAS = sorted(file.stem for file in SPACES.glob("autokeras_*.json"))


def shipped_space(name: str) -> SearchSpace:
    return SearchSpace.from_nni(json.loads((SPACES / f"{name}.json").read_text("utf-8")))


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


def test_provenance_of_a_run_that_says_nothing() -> None:
    run = make_run(metric=None, recipe=None)
    assert knowledge.Provenance.of(run) == knowledge.Provenance(*[None] * 6)


def test_a_space_without_a_checkpoint_has_none(folder: Path) -> None:
    space = shipped_space(AUTOKERAS[0])
    assert knowledge.shipped_checkpoint(space) is None
    (folder / f"{space.fingerprint[:16]}.npz").write_bytes(b"a network")
    assert knowledge.shipped_checkpoint(space) == b"a network"


class TestWhatIsShipped:
    @pytest.mark.parametrize("name", AUTOKERAS)
    def test_a_network_for_each_autokeras_space_has_seen_this_very_knowledge(
        self, name: str, tmp_path: Path
    ) -> None:
        """After `collect.py` run `experiments/build_knowledge/checkpoints.py`."""
        space = shipped_space(name)
        (tmp_path / "network.npz").write_bytes(knowledge.shipped_checkpoint(space) or b"")
        network = NeuralPolicy.load(tmp_path / "network.npz", space)
        rng = np.random.default_rng(0)
        sources = (Source.from_history(h, space, rng, 100) for h in knowledge.shipped_knowledge())
        seen = [source.history for source in sources if source is not None]
        assert network.trained_on == {h.run.run_id: len(h.completed) for h in seen}
        assert len(network.trained_on) >= 14

    def test_with_it_a_first_search_trains_no_network(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        space = shipped_space("autokeras_text")
        path = first_checkpoint(tmp_path / "store.db", space, "shipped")
        monkeypatch.setattr(NeuralPolicy, "train", None)
        run = Run("first", Task("new", "maximize", {"kind_text": 1.0}), space)
        predicted = []
        for checkpoint in (path, None):
            controller = MetaController(checkpoint)
            controller.learn(run, knowledge.shipped_knowledge(), np.random.default_rng(0))
            (suggestion,) = controller.propose(History(run), 1, np.random.default_rng(0))
            predicted.append(suggestion.mean)
        assert predicted[0] != predicted[1]  # the network has a say

    def test_fits_the_format_and_says_where_it_comes_from(self) -> None:
        histories = knowledge.shipped_knowledge()
        assert histories
        run_ids = [history.run.run_id for history in histories]
        assert len(set(run_ids)) == len(run_ids)
        for history in histories:
            origin = knowledge.Provenance.of(history.run)
            assert None not in (getattr(origin, name) for name in origin.__slots__), origin
            assert history.run.environment
            assert history.run.extra["shares"] is not None

    def test_covers_the_tasks_asked_for(self) -> None:
        origins = [knowledge.Provenance.of(h.run) for h in knowledge.shipped_knowledge()]
        counts = Counter(origin.kind for origin in origins)
        assert counts["image"] >= 14
        assert counts["text"] >= 14
        assert counts["tabular"] >= 25

    def test_keeps_failures_with_their_reasons(self) -> None:
        failed = [t for h in knowledge.shipped_knowledge() for t in h.failed]
        assert failed
        assert all(trial.result and trial.result.reason for trial in failed)

    def test_no_config_twice_in_a_task_and_no_design_twice(self) -> None:
        designs = []
        for history in knowledge.shipped_knowledge():
            keys = [history.run.space.key(trial.config) for trial in history.trials]
            assert len(set(keys)) == len(keys)
            designs.append(tuple(sorted(keys)))
        assert len(set(designs)) == len(designs)

    def test_is_small(self) -> None:
        folder = Path(knowledge.__file__).parent
        assert sum(file.stat().st_size for file in folder.iterdir() if file.is_file()) < 5 * 2**20

    @pytest.mark.host
    def test_the_wheel_carries_it(self, tmp_path: Path) -> None:
        package = Path(knowledge.__file__).parents[1]
        for name in ("meta_nni", "search_spaces"):
            shutil.copytree(package.parent / name, tmp_path / name)
        for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(package.parent / name, tmp_path)
        command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
        subprocess.run([*command, "--wheel-dir", "out", "."], cwd=tmp_path, check=True)
        (wheel,) = (tmp_path / "out").iterdir()
        expected = {f"meta_nni/knowledge/{file.name}" for file in package.glob("knowledge/*.*")}
        assert expected <= set(zipfile.ZipFile(wheel).namelist())
        assert any(name.endswith(".jsonl.gz") for name in expected)
        assert wheel.stat().st_size < 5 * 2**20

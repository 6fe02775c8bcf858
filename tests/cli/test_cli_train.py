from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from histories import SPACE, fill, make_history, make_run, make_trial

from meta_nni.cli import main, train
from meta_nni.controllers.fidelity import at_full_budget
from meta_nni.search import KNOWLEDGE
from meta_nni.space import SearchSpace
from meta_nni.store import ExperienceStore
from meta_nni.store_checkpoints import checkpoint_path
from meta_nni.trial import History, Result


class CheckpointError(ValueError):
    pass


class FakePolicy:
    """Has the surface of NeuralPolicy; remembers how it was trained."""

    calls: list[dict[str, Any]] = []  # noqa: RUF012
    histories: Sequence[History] = ()  # of the latest training
    interrupt = False

    def __init__(self, trained_on: Mapping[str, int]) -> None:
        self.trained_on = trained_on

    @classmethod
    def train(
        cls,
        space: SearchSpace,
        histories: Sequence[History],
        *,
        seed: int,
        start: FakePolicy | None = None,
        steps: int | None = None,
        max_seconds: float | None = None,
        progress: Callable[[int, int, float], None] | None = None,
    ) -> FakePolicy:
        cls.calls.append({"space": space, "seed": seed, "start": start, "seconds": max_seconds})
        cls.histories = histories
        assert progress is not None
        progress(1, 2, 0.5)
        if cls.interrupt:
            raise KeyboardInterrupt
        progress(2, 2, 0.25)
        return cls({history.run.run_id: len(history.completed) for history in histories})

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(dict(self.trained_on)))

    @classmethod
    def load(cls, path: Path, space: SearchSpace) -> FakePolicy:
        if path.read_text() == "broken":
            raise CheckpointError(f"{path} is damaged; remove it")
        return cls(json.loads(path.read_text()))


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> type[FakePolicy]:
    """Puts the fake in the place of the network, which takes seconds to load and train."""
    for name, attributes in {
        "meta_nni.policy.neural": {"NeuralPolicy": FakePolicy},
        "meta_nni.checkpoint": {"CheckpointError": CheckpointError},
    }.items():
        module = ModuleType(name)
        vars(module).update(attributes)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(train, "load_keras", lambda: None)
    monkeypatch.setattr(FakePolicy, "calls", [])
    return FakePolicy


@pytest.fixture
def space(tmp_path: Path) -> str:
    path = tmp_path / "space.json"
    path.write_text(json.dumps(SPACE.to_nni()))
    return str(path)


@pytest.fixture
def store(tmp_path: Path) -> str:
    path = str(tmp_path / "store.db")
    opened = ExperienceStore.open(path)
    failed = make_trial(0).with_result(Result.failed("no"))
    foreign = SearchSpace.from_nni({"x": {"_type": "uniform", "_value": [0, 1]}})
    fill(
        opened,
        make_history("a"),
        make_history("b", (0.1, 0.2, 0.3)),
        History(make_run("only failed"), (failed,)),
        History(make_run("foreign", space=foreign), (make_trial(0, 0.5, config={"x": 0.5}),)),
    )
    opened.close()
    return path


@pytest.fixture
def checkpoint(store: str) -> Path:
    return checkpoint_path(store, SPACE)


def run(*arguments: str) -> int:
    return main(["train", *arguments, "--knowledge", "none"])


def test_it_learns_from_the_runs_that_share_the_space(
    store: str, space: str, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--store", store, "--space", space, "--seed", "3", "--seconds", "9") == 0
    assert json.loads(checkpoint.read_text()) == {"a": 2, "b": 3}
    (call,) = FakePolicy.calls
    assert call == {"space": SPACE, "seed": 3, "start": None, "seconds": 9.0}
    captured = capsys.readouterr()
    assert captured.out.splitlines() == [
        "trained on 5 measured trials of 2 runs: digits (5)",
        str(checkpoint),
    ]
    assert captured.err == ""  # no terminal, no bar


def test_it_learns_from_values_at_the_full_budget(store: str, space: str) -> None:
    short = Result(0.5, curve=(0.5,), budget={"epochs": 1.0})  # the others have 0.5 after one
    opened = ExperienceStore.open(store)
    opened.add_trials("a", [make_trial(6).with_result(short)])
    raw = opened.history("a")
    opened.close()
    assert run("--store", store, "--space", space) == 0
    (found,) = (h for h in FakePolicy.histories if h.run.run_id == "a")
    assert found == at_full_budget(raw) != raw


def test_it_goes_on_from_the_checkpoint_unless_told_to_begin_anew(
    store: str, space: str, checkpoint: Path
) -> None:
    for more in ([], [], ["--fresh"]):
        assert run("--store", store, "--space", space, *more) == 0
    first, second, fresh = (call["start"] for call in FakePolicy.calls)
    assert (first, fresh) == (None, None)
    assert second.trained_on == {"a": 2, "b": 3}


def test_shipped_knowledge_is_learned_from_too(
    store: str, space: str, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "shipped_knowledge", lambda: [make_history("shipped")])
    assert main(["train", "--store", store, "--space", space]) == 0
    assert json.loads(checkpoint.read_text()) == {"a": 2, "b": 3, "shipped": 2}


def test_an_interrupt_keeps_the_last_checkpoint(
    store: str,
    space: str,
    checkpoint: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(FakePolicy, "interrupt", True)
    assert run("--store", store, "--space", space) == 130
    assert capsys.readouterr().err.endswith("interrupted, no checkpoint was written\n")
    assert not checkpoint.exists()
    checkpoint.parent.mkdir()
    checkpoint.write_text('{"a": 1}')
    assert run("--store", store, "--space", space) == 130
    assert capsys.readouterr().err.endswith(f"interrupted, {checkpoint} is as it was\n")
    assert checkpoint.read_text() == '{"a": 1}'


def test_a_broken_checkpoint_is_refused_and_left(
    store: str, space: str, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint.parent.mkdir()
    checkpoint.write_text("broken")
    assert run("--store", store, "--space", space) == 1
    assert "is damaged; remove it; or begin anew with --fresh" in capsys.readouterr().err
    assert checkpoint.read_text() == "broken"
    assert run("--store", store, "--space", space, "--fresh") == 0


def test_a_folder_that_cannot_be_made_is_named(
    store: str, space: str, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint.parent.write_text("a file")
    assert run("--store", store, "--space", space) == 1
    assert f"{checkpoint} cannot be written: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "cannot be read: No such file"),
        (b"{", "is not JSON: "),
        (b"\xff", "is no search space: "),
        (b"[]", "is no search space: the search space is a list"),
        (b'{"a": {"_type": "choise", "_value": [1]}}', "is no search space: .*choise"),
        (b"[" * 100_000, "is no search space: "),
    ],
)
def test_what_is_no_space_is_refused(
    store: str, tmp_path: Path, content: bytes | None, expected: str, capsys: Any
) -> None:
    import re

    path = tmp_path / "other.json"
    if content is not None:
        path.write_bytes(content)
    assert run("--store", store, "--space", str(path)) == 1
    error = capsys.readouterr().err
    assert re.match(f"meta-nni: {path} {expected}", error)
    assert error.count("\n") == 1


def test_nothing_to_learn_from_is_refused(
    tmp_path: Path, space: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "new.db"
    assert run("--store", str(path), "--space", space) == 1
    assert "there is no store at" in capsys.readouterr().err
    opened = ExperienceStore.open(path)
    assert run("--store", str(path), "--space", space) == 1
    assert "no run has a measured trial; search first" in capsys.readouterr().err
    foreign = SearchSpace.from_nni({"x": {"_type": "uniform", "_value": [0, 1]}})
    fill(opened, History(make_run(space=foreign), (make_trial(0, 0.5, config={"x": 0.5}),)))
    assert run("--store", str(path), "--space", space) == 1
    assert "none of its 1 runs shares a parameter with the space" in capsys.readouterr().err
    assert FakePolicy.calls == []


def test_runs_that_are_too_short_to_learn_from_are_refused(
    store: str, space: str, checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(FakePolicy, "train", lambda *args, **options: FakePolicy({}))
    assert run("--store", store, "--space", space) == 1
    assert "none of the 2 runs that share a parameter with the space" in capsys.readouterr().err
    assert not checkpoint.exists()


def test_only_the_largest_tasks_are_named(
    tmp_path: Path, space: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "many.db"
    opened = ExperienceStore.open(path)
    for number in range(10):
        trials = tuple(make_trial(n, 0.5) for n in range(number + 1))
        fill(opened, History(make_run(f"r{number}", task=f"t{number}"), trials))
    assert run("--store", str(path), "--space", space) == 0
    line = capsys.readouterr().out.splitlines()[0]
    assert line.startswith("trained on 55 measured trials of 10 runs: t9 (10), t8 (9), ")
    assert line.endswith("t2 (3), 2 more")


def test_the_choices_of_knowledge_are_those_of_a_search(capsys: Any) -> None:
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    assert "{" + ",".join(KNOWLEDGE) + "}" in capsys.readouterr().out

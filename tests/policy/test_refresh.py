import logging
from typing import ClassVar

import pytest
from synthetic import SPACE, Problem

from meta_nni.checkpoint import CheckpointError
from meta_nni.policy import refresh as module
from meta_nni.policy.refresh import MAX_SECONDS, refresh

HISTORIES = [Problem(k).history(30, k) for k in range(3)]


class FakePolicy:
    """Stands in for the network: remembers what it was trained on and from where."""

    trainings: ClassVar = []
    complete = True
    files: ClassVar = {}

    def __init__(self, trained_on, start):
        self.trained_on, self.start = trained_on, start

    @classmethod
    def train(cls, space, histories, *, seed, start, max_seconds):
        assert space == SPACE
        assert max_seconds == MAX_SECONDS
        found = cls({h.run.run_id: len(h.completed) for h in histories}, start)
        cls.trainings.append(found)
        return found

    def save(self, path):
        path.write_text("a checkpoint")
        self.files[path] = self

    @classmethod
    def load(cls, path, space):
        if path not in cls.files:
            raise CheckpointError(f"{path} is not a checkpoint")
        return cls.files[path]


@pytest.fixture(autouse=True)
def fake(monkeypatch):
    monkeypatch.setattr(FakePolicy, "trainings", [])
    monkeypatch.setattr(FakePolicy, "files", {})
    monkeypatch.setattr(module, "NeuralPolicy", FakePolicy)


def test_it_learns_once_and_again_from_where_it_was_when_there_is_more(tmp_path):
    path = tmp_path / "network.npz"
    first = refresh(path, SPACE, HISTORIES[:2], seed=1)
    assert first.start is None
    assert refresh(path, SPACE, HISTORIES[:2], seed=1) is first
    assert refresh(path, SPACE, HISTORIES[1:2] + HISTORIES[:1], seed=2) is first
    more = refresh(path, SPACE, HISTORIES, seed=1)
    assert more.start is first
    assert set(more.trained_on) == {history.run.run_id for history in HISTORIES}
    assert refresh(path, SPACE, HISTORIES, seed=1) is more
    assert FakePolicy.trainings == [first, more]


@pytest.mark.parametrize("given", [[], HISTORIES[:1], [Problem(k).history(19) for k in (8, 9)]])
def test_too_little_experience_is_left_to_the_sources_own_models(tmp_path, given):
    assert refresh(tmp_path / "network.npz", SPACE, given, seed=0) is None
    assert FakePolicy.trainings == []
    assert list(tmp_path.iterdir()) == []


def test_a_bad_checkpoint_is_reported_and_replaced(tmp_path, caplog):
    path = tmp_path / "network.npz"
    path.write_bytes(b"not a checkpoint")
    with caplog.at_level(logging.WARNING):
        found = refresh(path, SPACE, HISTORIES, seed=0)
    assert found.start is None
    assert "is not a checkpoint; it is trained anew" in caplog.text
    assert refresh(path, SPACE, HISTORIES, seed=0) is found


def test_without_tensorflow_it_does_without(tmp_path, monkeypatch, caplog):
    def train(*args, **kwargs):
        raise ImportError("No module named 'tensorflow'")

    monkeypatch.setattr(FakePolicy, "train", train)
    assert refresh(tmp_path / "network.npz", SPACE, HISTORIES, seed=0) is None
    assert "deciding without the network: No module named 'tensorflow'" in caplog.text


def test_a_folder_that_cannot_be_written_does_not_stop_the_search(tmp_path, monkeypatch, caplog):
    def save(self, path):
        raise PermissionError(f"no permission to write {path}")

    monkeypatch.setattr(FakePolicy, "save", save)
    found = refresh(tmp_path / "network.npz", SPACE, HISTORIES, seed=0)
    assert found.trained_on
    assert "the network could not be kept: no permission to write" in caplog.text


def test_what_was_trained_by_command_is_used_however_little_there_is(tmp_path):
    path = tmp_path / "network.npz"
    trained = FakePolicy.train(SPACE, HISTORIES[:1], seed=0, start=None, max_seconds=MAX_SECONDS)
    trained.save(path)
    assert refresh(path, SPACE, HISTORIES[:1], seed=0) is trained
    few = [Problem(9).history(5, 9)]
    assert refresh(path, SPACE, few, seed=0) is trained
    assert FakePolicy.trainings == [trained]


def test_a_training_that_was_cut_short_is_not_used(tmp_path, monkeypatch, caplog):
    path = tmp_path / "network.npz"
    first = refresh(path, SPACE, HISTORIES[:2], seed=0)
    monkeypatch.setattr(FakePolicy, "complete", False)
    assert refresh(path, SPACE, HISTORIES, seed=0) is first
    assert "run `meta-nni train`" in caplog.text
    assert FakePolicy.files == {path: first}

import logging
from types import SimpleNamespace

import numpy as np
import pytest
from sample_spaces import choice

from meta_nni.policy.decisions import Decisions
from meta_nni.policy.episodes import Lesson
from meta_nni.policy.network import Network
from meta_nni.space import SearchSpace
from meta_nni.task import Task
from meta_nni.testing import history_of
from meta_nni.trial import Run

pytestmark = pytest.mark.host  # loads TensorFlow and trains


@pytest.fixture(autouse=True, scope="module")
def _loaded():
    """Loads TensorFlow when a test of this file runs, not when it is collected."""
    global pretraining
    from meta_nni.policy import pretraining


SPACE = SearchSpace.from_nni({"op": choice("a", "b", "c"), "width": choice(1, 2, 4)})
NETWORK = Network.initial(Decisions(SPACE), 0)


def lesson(seed, count=12):
    rng = np.random.default_rng(seed)
    configs = [SPACE.sample(rng) for _ in range(count)]
    outcomes = [(c, c["width"] + 0.1 * rng.standard_normal()) for c in configs]
    history = history_of(Run(f"run {seed}", Task(f"task {seed}"), SPACE), outcomes)
    return Lesson.from_history(history, NETWORK.decisions)


LESSONS = [lesson(0), lesson(1)]


def train(**arguments):
    given = {"seed": 0, "steps": 8, "progress": lambda *args: None} | arguments
    return pretraining.train_network(NETWORK, LESSONS, **given)


def test_the_same_seed_gives_the_same_weights_to_the_bit():
    (one, steps), (same, _), (other, _) = train(), train(), train(seed=1)
    assert steps == 8
    for name, array in one.weights.items():
        assert np.array_equal(array, same.weights[name])
    assert not np.array_equal(one.weights["value"], other.weights["value"])
    assert not np.array_equal(one.weights["value"], NETWORK.weights["value"])


def test_the_loss_falls_and_progress_is_told():
    told = []
    train(steps=80, progress=lambda *args: told.append(args))
    assert [(step, steps) for step, steps, _ in told] == [(i + 1, 80) for i in range(80)]
    assert told[-1][2] < told[0][2] - 0.5


def test_an_emergency_stop_is_logged(caplog, monkeypatch):
    clock = iter(range(100))
    monkeypatch.setattr(pretraining, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    network, steps = train(max_seconds=3.5)
    assert steps == 4
    assert not np.array_equal(network.weights["value"], NETWORK.weights["value"])
    assert "training stopped after 4 of 8 steps" in caplog.text


def test_the_log_shows_a_bar(caplog):
    with caplog.at_level(logging.INFO):
        train(steps=20, progress=None)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 10
    assert lines[4].startswith("training [##########----------] 10 of 20, loss ")
    assert lines[-1].startswith("training [####################] 20 of 20, loss ")


@pytest.mark.parametrize(("trials", "steps"), [(3, 50), (800, 150), (3300, 200), (10**6, 200)])
def test_steps_are_a_function_of_the_data(trials, steps):
    fake = SimpleNamespace(scores=np.zeros(trials))
    assert pretraining.num_steps([fake]) == steps

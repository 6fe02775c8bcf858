"""What one-shot searches take from the store and give to it."""

from types import SimpleNamespace

import numpy as np
import pytest

from meta_nni.adapters import oneshot
from meta_nni.adapters.oneshot import learned_start, record, search_from_store
from meta_nni.models import KerasEvaluator
from meta_nni.oneshot import CellSpace, EnasSearch, Found
from meta_nni.policy.neural import NeuralPolicy
from meta_nni.report import report_path
from meta_nni.task import Task
from meta_nni.trial import History, Result, Run, Suggestion, Trial

CELLS = CellSpace.named("nasbench201")
TASK = Task("clothing", "maximize", {"kind_image": 1.0})


def make_found(rng, count=3):
    configs = [CELLS.space.sample(rng) for _ in range(count)]
    children = tuple(
        (config, Result(0.3 + 0.1 * i, budget={"epochs": 2.0, "shared_weights": 1.0}))
        for i, config in enumerate(configs)
    )
    recipe = "nasbench201-enas-shared-weights-v1"
    return Found(configs[-1], children, (0.5,), 10.0, None, "enas", recipe)


def test_children_and_result_become_two_runs(store, rng):
    found = make_found(rng)
    result = Result(0.9, seconds=4.0, budget={"epochs": 20.0})
    for _ in range(2):  # again changes nothing
        record(store, "s1", TASK, "nasbench201", found, seed=3, retrained=result, recipe="nb201-v1")
    shared, own = store.history("s1-shared"), store.history("s1")
    assert [trial.value for trial in shared.trials] == [
        result.value for _, result in found.children
    ]
    assert [trial.config for trial in shared.trials] == [config for config, _ in found.children]
    assert shared.run.recipe == found.recipe
    assert all(trial.result.budget["shared_weights"] == 1.0 for trial in shared.trials)
    (trial,) = own.trials
    assert (trial.config, trial.value, own.run.recipe) == (found.config, 0.9, "nb201-v1")
    assert store.seed("s1") == 3


def test_a_search_starts_from_the_store_and_adds_to_it(monkeypatch, tmp_path, store, rng):
    y = np.arange(20) % 2
    np.savez(tmp_path / "x.npz", x_train=np.zeros((20, 4, 4)) + y[:, None, None], y_train=y)
    asked, start, found = [], {"edge_0_1": [0.2] * 5}, make_found(rng)
    earlier = Run("earlier", TASK, CELLS.space)
    store.add_run(earlier)
    store.add_trials("earlier", [Trial("0", 0, Suggestion(found.config, "x"), state="failed")])

    def learned(space, task, sources, *, seed):
        asked.append((space, task.name, [source.run.run_id for source in sources], seed))
        return start

    def run(self, report):
        assert self.initial == start
        report(1, 20, 0.5)
        return found

    monkeypatch.setattr(oneshot, "learned_start", learned)
    monkeypatch.setattr(EnasSearch, "run", run)
    evaluator = KerasEvaluator("nasbench201", {}, epochs=3)
    monkeypatch.setattr(KerasEvaluator, "__call__", lambda self, config: Result(0.9))
    search, said = EnasSearch("nasbench201", {"npz": tmp_path / "x.npz"}, seed=3), []
    done = search_from_store(
        search, evaluator, store, run_id="s1", task="x", report=lambda *now: said.append(now)
    )
    assert done == (found, Result(0.9))
    assert asked == [(CELLS.space, "x", ["earlier"], 3)]
    assert said == [(1, 20, 0.5)]
    assert len(store.history("s1-shared").trials) == 3
    own = store.history("s1")
    assert (own.run.task.name, own.run.recipe) == ("x", "nasbench201-3-epochs-v1")
    assert own.run.task.metafeatures["kind_image"] == 1.0
    assert (store.seed("s1"), search.initial) == (3, None)
    reports = [report_path(store.name, store.history(run_id)) for run_id in ("s1-shared", "s1")]
    assert all(path.exists() for path in reports)


def test_without_retraining_there_is_no_run_of_it(store, rng):
    record(store, "s1", TASK, "nasbench201", make_found(rng), seed=0)
    assert [summary.run_id for summary in store.runs()] == ["s1-shared"]


def test_a_task_to_minimise_is_refused(store, rng):
    with pytest.raises(ValueError, match="task 'error' is to be minimised"):
        record(store, "s1", Task("error", "minimize"), "nasbench201", make_found(rng), seed=0)
    assert store.runs() == []


def test_nothing_known_starts_uniform():
    assert learned_start(CELLS.space, TASK, [], seed=0) == {}


def test_shared_weights_teach_no_start(store, rng):
    record(store, "s1", TASK, "nasbench201", make_found(rng), seed=0)
    assert learned_start(CELLS.space, TASK, store.histories(), seed=0) == {}


def test_short_trainings_teach_what_they_would_have_become(monkeypatch, rng):
    config, taught = CELLS.space.sample(rng), []

    def train(space, histories, **options):
        taught.extend(trial.value for history in histories for trial in history.trials)
        return SimpleNamespace(trained_on={})

    monkeypatch.setattr(NeuralPolicy, "train", train)
    curves = [(0.2, 0.4, 0.8), (0.5,)]
    trials = tuple(
        Trial(str(i), i, Suggestion(config, "random")).with_result(
            Result(curve[-1], curve=curve, budget={"epochs": float(len(curve))})
        )
        for i, curve in enumerate(curves)
    )
    learned_start(CELLS.space, TASK, [History(Run("r", TASK, CELLS.space), trials)], seed=0)
    assert taught == pytest.approx([0.8, 1.1])  # after one epoch 0.6 was still to be gained


@pytest.mark.host
def test_earlier_runs_decide_the_start(rng):
    """Earlier tasks agreed that the direct edge needs a 3x3 convolution."""
    histories = []
    for name in ("digits", "letters", "signs"):
        configs = [CELLS.space.sample(rng) for _ in range(60)]
        trials = [
            Trial(str(i), i, Suggestion(config, "random")).with_result(
                Result((config["edge_0_3"] == "nor_conv_3x3") + 0.1 * rng.random())
            )
            for i, config in enumerate(configs)
        ]
        run = Run(name, Task(name, "maximize", {"kind_image": 1.0}), CELLS.space)
        histories.append(History(run, tuple(trials)))
    start = learned_start(CELLS.space, TASK, histories, seed=0)
    assert start["edge_0_3"][3] > 0.5
    assert max(start["edge_0_1"]) < 0.4
    again = learned_start(CELLS.space, TASK, histories, seed=0)
    assert again == start
    assert np.allclose([sum(shares) for shares in start.values()], 1.0)

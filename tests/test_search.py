import threading

import numpy as np
import pytest
from searches import SPACE, TEN, Recorder, earlier, measure, new_run, open_search, rows

import meta_nni.search
from meta_nni.controllers import RandomController
from meta_nni.search import SearchError, SpaceExhausted
from meta_nni.space import SpaceError
from meta_nni.store import StoreError
from meta_nni.task import Task
from meta_nni.testing import history_of
from meta_nni.trial import Result, Run, Suggestion

# Asking


def test_proposals_are_in_the_store_before_they_are_returned(store):
    search = open_search(store)
    suggestions = search.ask(["0", "1"]) + search.ask(["2"])
    stored = store.history("run").trials
    assert [trial.suggestion for trial in stored] == suggestions
    assert [(t.trial_id, t.number, t.state) for t in stored] == [
        ("0", 0, "proposed"),
        ("1", 1, "proposed"),
        ("2", 2, "proposed"),
    ]
    assert search.history == store.history("run")


def test_a_proposal_that_cannot_be_stored_is_not_returned(store, monkeypatch):
    search = open_search(store)

    def refuse(run_id, trials):
        raise StoreError("disk full")

    monkeypatch.setattr(store, "add_trials", refuse)
    with pytest.raises(StoreError, match="disk full"):
        search.ask(["0"])
    monkeypatch.undo()
    assert search.history.trials == ()
    assert len(search.ask(["0"])) == 1


def test_every_proposal_has_a_generator_of_its_own(store):
    drawn = []
    for seed in (7, 8):
        controller = Recorder()
        search = open_search(store, new_run(f"run {seed}"), controller, seed)
        for host_id in "0123":
            search.ask([host_id])
        drawn += controller.drawn
    assert len(set(drawn)) == 8


@pytest.mark.parametrize("ids", [["0"], ["1", "1"], ["2", "0"]])
def test_an_id_is_asked_for_once(store, ids):
    search = open_search(store)
    search.ask(["0"])
    with pytest.raises(SearchError, match="was asked for before"):
        search.ask(ids)
    assert len(store.history("run").trials) == 1


def test_asking_for_nothing_gives_nothing(store):
    assert open_search(store).ask([]) == []
    assert rows(store) == []


def test_an_exhausted_space_gives_what_is_left(store):
    search = open_search(store, new_run(space=TEN))
    search.ask([str(i) for i in range(8)])
    with pytest.raises(SpaceExhausted) as caught:
        search.ask(["a", "b", "c"])
    assert len(caught.value.suggestions) == 2
    assert [trial_id for trial_id, *_ in rows(store)][8:] == ["a", "b"]
    search.tell("b", Result(0.5))
    assert rows(store)[9] == ("b", "completed", 0.5)
    with pytest.raises(SpaceExhausted) as caught:
        search.ask(["d"])
    assert caught.value.suggestions == []
    with pytest.raises(SearchError, match="'c' is unknown"):
        search.tell("c", Result(0.5))


class Broken(RandomController):
    def __init__(self, *configs):
        self.configs = configs

    def propose(self, history, count, rng):
        return [Suggestion(config, "broken") for config in self.configs]


@pytest.mark.parametrize(
    ("configs", "error", "message"),
    [
        ([{"a": 1}, {"a": 1.0}], SearchError, "Broken proposed a config twice"),
        ([{"a": 0}, {"a": 1}], SearchError, "proposed a config twice"),
        ([{"a": 1}, {"a": 2}, {"a": 3}], SearchError, "proposed 3 configs, expected at most 2"),
        ([{"a": 1}, {"a": 99}], SpaceError, '"a" is 99'),
    ],
)
def test_a_controller_that_breaks_its_contract_is_named(store, configs, error, message):
    search = open_search(store, new_run(space=TEN), Broken(*configs))
    search.adopt({"a": 0}, Result(1.0))
    with pytest.raises(error, match=message):
        search.ask(["0", "1"])
    assert len(rows(store)) == 1


# Telling


def test_a_result_is_stored_as_it_arrives_and_only_once(store):
    search = open_search(store)
    search.ask(["0", "1"])
    result = Result(0.75, seconds=3.0, curve=(0.5, 0.75), metrics={"f1": 0.7}, budget={"epochs": 2})
    search.tell("1", result)
    assert store.history("run").trials[1].result == result
    search.tell("1", result)
    search.tell("1", Result(0.1))
    search.tell("1", Result.failed("too late"))
    assert rows(store) == [("0", "proposed", None), ("1", "completed", 0.75)]
    assert search.history == store.history("run")


@pytest.mark.parametrize("success", [True, False])
def test_a_value_beats_an_end_and_an_end_never_beats_a_value(store, success):
    search = open_search(store)
    search.ask(["0", "1", "2"])
    search.ended("0", success)
    assert rows(store)[0] == ("0", "failed", None)
    assert "without reporting a result" in store.history("run").trials[0].result.reason
    search.tell("0", Result(0.5))
    search.tell("1", Result(0.6))
    search.ended("1", success)
    search.ended("1", success)
    assert rows(store) == [
        ("0", "completed", 0.5),
        ("1", "completed", 0.6),
        ("2", "proposed", None),
    ]
    assert search.history == store.history("run")


def test_a_reported_reason_beats_an_end_but_no_value(store):
    search = open_search(store)
    search.ask(["0", "1"])
    search.ended("0", False)
    search.tell("0", Result.failed("out of memory"))
    search.tell("0", Result.failed("something else"))
    search.tell("1", Result(float("nan")))
    reasons = [trial.result.reason for trial in store.history("run").trials]
    assert reasons[0] == "out of memory"
    assert "nan" in reasons[1]
    assert search.history == store.history("run")


def test_results_of_unknown_ids_are_refused(store):
    search = open_search(store)
    for say in (lambda: search.tell("9", Result(1.0)), lambda: search.ended("9", True)):
        with pytest.raises(SearchError, match="'9' is unknown to run run"):
            say()
    assert rows(store) == []


def test_an_adopted_result_belongs_to_the_trial_of_its_config(store):
    search = open_search(store, new_run(space=TEN))
    (suggestion,) = search.ask(["0"])
    search.adopt({"a": float(suggestion.config["a"])}, Result(0.5))
    other = (suggestion.config["a"] + 1) % 10
    for _ in range(2):
        search.adopt({"a": other}, Result(0.25))
    assert rows(store) == [("0", "completed", 0.5), ("imported-1", "completed", 0.25)]
    with pytest.raises(SpaceError, match='"a" is 77'):
        search.adopt({"a": 77}, Result(0.25))
    proposed = [s.config["a"] for s in search.ask([str(i) for i in range(1, 9)])]
    assert sorted([*proposed, suggestion.config["a"], other]) == list(range(10))
    assert search.history == store.history("run")


# Learning


def test_earlier_runs_reach_the_controller_once_before_the_first_proposal(store):
    first = earlier(store)
    earlier(store, "awaited", values=("running",))
    controller = Recorder()
    search = open_search(store, controller=controller)
    assert controller.learned == []
    search.ask(["0"])
    search.tell("0", Result(1.0))
    search.ask(["1"])
    ((run, sources, drawn),) = controller.learned
    assert run == search.run
    assert sources == [first]
    assert drawn == np.random.default_rng(7).integers(2**31)
    assert [len(history.trials) for history in controller.histories] == [0, 1]
    assert controller.histories[1].completed[0].value == 1.0


def test_a_run_of_the_same_task_is_a_source_and_its_own_trials_are_not(store):
    one = open_search(store, new_run("one"))
    one.ask(["0"])
    one.tell("0", Result(1.0))
    controller = Recorder()
    again = open_search(store, new_run("one"), Recorder())
    again.ask(["1"])
    open_search(store, new_run("two"), controller).ask(["0"])
    assert [source.run.run_id for source in controller.learned[0][1]] == ["one"]
    assert again._controller.learned[0][1] == []


@pytest.mark.parametrize(
    ("knowledge", "names"), [("shipped", ["earlier", "of old"]), ("none", ["earlier"])]
)
def test_shipped_knowledge_counts_unless_it_is_declined(store, monkeypatch, knowledge, names):
    earlier(store)
    run = Run("of old", Task("mnist"), SPACE)
    shipped = [history_of(run, [(SPACE.sample(np.random.default_rng(0)), 0.5)])]
    monkeypatch.setattr(meta_nni.search, "shipped_knowledge", lambda: shipped)
    controller = Recorder()
    open_search(store, controller=controller, knowledge=knowledge).ask(["0"])
    assert [source.run.run_id for source in controller.learned[0][1]] == names


def test_unknown_knowledge_is_refused_before_anything_is_stored(store):
    with pytest.raises(SearchError, match=r"'all', expected one of \['shipped', 'none'\]"):
        open_search(store, knowledge="all")
    assert store.runs() == []


# Threads


def test_eight_threads_asking_and_telling_lose_nothing(store):
    search = open_search(store)
    errors, told = [], {}
    start = threading.Barrier(8)

    def work(thread):
        try:
            start.wait(10)
            for i in range(6):
                host_id = f"{thread}-{i}"
                (suggestion,) = search.ask([host_id])
                value = measure(suggestion.config)
                if i % 3 == 2:
                    search.ended(host_id, True)
                    assert search.history.trials
                search.tell(host_id, Result(value))
                told[host_id] = (suggestion.config, value)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    trials = store.history("run").trials
    assert {t.trial_id: (t.config, t.value) for t in trials} == told
    assert [trial.number for trial in trials] == list(range(48))
    assert len({SPACE.key(trial.config) for trial in trials}) == 48
    assert search.history == store.history("run")

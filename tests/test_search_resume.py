import numpy as np
import pytest
from searches import SPACE, TEN, Recorder, earlier, measure, new_run, open_search, rows

from meta_nni.controllers import CONTROLLERS, make
from meta_nni.store import ExperienceStore, StoreError
from meta_nni.trial import Result


def test_unresolved_trials_are_proposed_again_first_under_the_same_row(store):
    before = open_search(store)
    first = before.ask(["0", "1", "2", "3"])
    before.tell("1", Result(0.5))
    before.ended("3", False)
    again = open_search(store)  # as after kill -9: nothing was closed
    suggestions = again.ask(["10", "11", "12"])
    assert suggestions[:2] == [first[0], first[2]]
    again.tell("11", Result(0.25))
    again.tell("12", Result(0.125))
    assert [row[0] for row in rows(store)] == ["0", "1", "2", "3", "12"]
    assert rows(store)[2] == ("2", "completed", 0.25)
    assert [row[1] for row in rows(store)] == [
        "proposed",
        "completed",
        "completed",
        "failed",
        "completed",
    ]
    assert again.history == store.history("run")


def test_close_marks_what_is_awaited_as_lost_and_opening_revives_it(store):
    before = open_search(store)
    first = before.ask(["0", "1", "2"])
    before.tell("1", Result(0.5))
    before.close()
    before.close()
    assert [row[1] for row in rows(store)] == ["lost", "completed", "lost"]
    controller = Recorder()
    again = open_search(store, controller=controller)
    assert again.ask(["a"]) == [first[0]]
    assert [row[1] for row in rows(store)] == ["proposed", "completed", "lost"]
    again.ask(["b", "c"])
    # The controller sees them as awaited, as it did before the interruption.
    assert [t.state for t in controller.histories[0].trials] == [
        "proposed",
        "completed",
        "proposed",
    ]
    again.tell("b", Result(0.25))
    assert rows(store)[2] == ("2", "completed", 0.25)


def test_what_the_host_runs_again_itself_is_not_proposed(store):
    before = open_search(store)
    first = before.ask(["0", "1", "2"])
    before.tell("0", Result(1.0))
    before.close()
    again = open_search(store)
    strange = [{"x": 1}, SPACE.sample(np.random.default_rng(99))]
    again.running_again([*strange, first[0].config, first[2].config])
    assert [row[1] for row in rows(store)] == ["completed", "lost", "running"]
    suggestions = again.ask(["10", "11"])
    assert suggestions[0] == first[1]
    assert suggestions[1] not in first
    again.adopt(first[2].config, Result(0.5))
    assert rows(store)[2] == ("2", "completed", 0.5)
    again.close()
    assert [row[1] for row in rows(store)] == ["completed", "lost", "completed", "lost"]


@pytest.mark.parametrize("how", ["tell", "ended", "adopt"])
def test_a_resolved_trial_is_not_proposed_again(store, how):
    before = open_search(store)
    (first,) = before.ask(["0"])
    again = open_search(store)
    if how == "adopt":
        again.adopt(first.config, Result(0.5))
    elif how == "tell":
        again.tell("0", Result(0.5))  # the host still knows the trial by its old id
    else:
        again.ended("0", False)
    assert again.ask(["1"]) != [first]


def test_ids_that_start_again_get_rows_of_their_own(store):
    for session in range(3):
        search = open_search(store)
        search.ask(["0", "1"])
        for host_id in ("0", "1"):
            search.tell(host_id, Result(float(session)))
    assert rows(store) == [
        ("0", "completed", 0.0),
        ("1", "completed", 0.0),
        ("0#2", "completed", 1.0),
        ("1#2", "completed", 1.0),
        ("0#3", "completed", 2.0),
        ("1#3", "completed", 2.0),
    ]


def play(search, count, start=0):
    """Two trials at a time, of which every fifth fails."""
    for number in range(start, start + count, 2):
        for i, suggestion in enumerate(search.ask([f"{number}", f"{number + 1}"])):
            failed = (number + i) % 5 == 4
            search.tell(
                f"{number + i}",
                Result.failed("crash")
                if failed
                else Result(measure(suggestion.config), seconds=1.5),
            )


@pytest.mark.parametrize("name", CONTROLLERS)
def test_a_resumed_run_goes_on_as_if_it_had_not_stopped(store, name):
    earlier(store, values=(0.5, 0.1, None, 0.7, 0.3))
    straight = open_search(store, new_run("straight"), make(name))
    play(straight, 12)
    whole = [trial.suggestion for trial in store.history("straight").trials]

    with_breaks = ExperienceStore.open(store.name.replace("store.db", "other.db"))
    earlier(with_breaks, values=(0.5, 0.1, None, 0.7, 0.3))
    play(open_search(with_breaks, new_run("straight"), make(name)), 6)
    interrupted = open_search(with_breaks, new_run("straight"), make(name), seed=None)
    assert interrupted.seed == 7
    interrupted.ask(["6", "7"])
    interrupted.close()
    play(open_search(with_breaks, new_run("straight"), make(name), seed=1), 6, start=6)
    found = [trial.suggestion for trial in with_breaks.history("straight").trials]
    with_breaks.close()
    assert found == whole


def test_seeds_are_kept_and_drawn_where_none_is_given(store):
    seeds = {open_search(store, new_run(f"run {i}"), seed=None).seed for i in range(5)}
    assert len(seeds) == 5
    assert open_search(store, new_run("run 0"), seed=None).seed in seeds
    one, same, other = (
        open_search(store, new_run(name), seed=seed).ask(["0", "1"])
        for name, seed in (("one", 3), ("same", 3), ("other", 4))
    )
    assert one == same
    assert one != other


@pytest.mark.parametrize("changed", [{"space": TEN}, {"objective": "minimize"}])
def test_a_run_that_changed_is_refused(store, changed):
    open_search(store).ask(["0"])
    with pytest.raises(StoreError, match="run 'run' came with"):
        open_search(store, new_run(**changed))
    assert len(rows(store)) == 1

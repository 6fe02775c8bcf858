"""What every store keeps to, whatever database it is in."""

from __future__ import annotations

import itertools
import json
import math
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from histories import SPACE, make_config, make_history, make_run, make_trial
from postgresql_server import binaries, running_server

from meta_nni.experience import ExperienceError, read_experience, write_experience
from meta_nni.space import SearchSpace
from meta_nni.store import ExperienceStore, ImportSummary, RunSummary, StoreError
from meta_nni.trial import History, Result, Suggestion, Trial

KINDS = ["sqlite", pytest.param("postgresql", marks=pytest.mark.host)]

FAILED = Result.failed("out of memory")
VALUE = Result(0.9, seconds=2.0)


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    folder = binaries()
    if folder is None:
        pytest.skip("PostgreSQL is not installed")
    with running_server(folder) as address:
        yield address


@pytest.fixture(params=KINDS)
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """Returns the address of another empty store at each call."""
    if request.param == "sqlite":
        return lambda: f"sqlite:///{tmp_path}/{next(_numbers)}.db"
    server = request.getfixturevalue("server")
    return lambda: _new_database(server)


_numbers = itertools.count()


def _new_database(server: str) -> str:
    import psycopg

    name = f"store_{next(_numbers)}"
    with psycopg.connect(f"postgresql://{server}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"postgresql://{server}/{name}"


@pytest.fixture
def new_store(new_url: Callable[[], str]) -> Iterator[Callable[[], ExperienceStore]]:
    stores: list[ExperienceStore] = []

    def open_another() -> ExperienceStore:
        stores.append(ExperienceStore.open(new_url()))
        return stores[-1]

    yield open_another
    for opened in stores:
        opened.close()


@pytest.fixture
def store(new_store: Callable[[], ExperienceStore]) -> ExperienceStore:
    return new_store()


def fill(store: ExperienceStore, *histories: History) -> None:
    for history in histories:
        store.add_run(history.run)
        store.add_trials(history.run.run_id, history.trials)


# Runs


def test_an_empty_store(store: ExperienceStore) -> None:
    assert (store.runs(), store.histories(), store.count()) == ([], [], 0)


def test_a_run_is_kept_whole(store: ExperienceStore) -> None:
    history = make_history()
    extra = {"task": {"licence": "BSD"}, "note": [1, None]}
    kept = replace(history, run=replace(history.run, extra=extra))
    fill(store, kept)
    assert store.history("run") == kept


def test_a_run_without_anything_optional(store: ExperienceStore) -> None:
    run = make_run(metric=None, recipe=None, environment={})
    fill(store, History(run, (Trial("0", 0, Suggestion(make_config(), "random")),)))
    assert store.history("run").run == run
    assert store.seed("run") is None


@pytest.mark.parametrize("seed", [0, 7, 2**127 + 1])
def test_seed(store: ExperienceStore, seed: int) -> None:
    store.add_run(make_run(), seed=seed, controller="Random")
    assert store.seed("run") == seed


def test_a_known_run_stays_as_it_is(store: ExperienceStore) -> None:
    store.add_run(make_run(), seed=1)
    store.add_run(make_run(environment={"device": "gpu"}), seed=2)
    assert store.seed("run") == 1
    assert store.history("run").run == make_run()


OTHER_SPACE = SearchSpace.from_nni({"x": {"_type": "uniform", "_value": [0, 1]}})


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (make_run(task="letters"), "task 'letters', but the store knows it with 'digits'"),
        (make_run(objective="minimize"), "objective 'minimize', .* with 'maximize'"),
        (
            make_run(space=OTHER_SPACE),
            f"space '{OTHER_SPACE.fingerprint}', .* with '{SPACE.fingerprint}'",
        ),
    ],
)
def test_a_run_does_not_change(store: ExperienceStore, other: Any, expected: str) -> None:
    store.add_run(make_run())
    with pytest.raises(StoreError, match=f"run 'run' came with {expected}"):
        store.add_run(other)


def test_runs_are_summed_up(store: ExperienceStore) -> None:
    low = History(make_run("low", "minimize"), (make_trial(0, 0.3), make_trial(1, 0.2)))
    fill(store, make_history("high"), low)
    store.add_run(make_run("empty"))
    fields = ("digits", "maximize", SPACE.fingerprint)
    assert store.runs() == [
        RunSummary("high", *fields, 6, 2, 1, 0.9, "own"),
        RunSummary("low", "digits", "minimize", SPACE.fingerprint, 2, 2, 0, 0.2, "own"),
        RunSummary("empty", *fields, 0, 0, 0, None, "own"),
    ]
    assert RunSummary.of(low, "own") == store.runs()[1]


def test_histories_are_those_with_a_result(store: ExperienceStore) -> None:
    waiting = History(make_run("waiting"), (make_trial(0), make_trial(1, state="lost")))
    failed = History(make_run("failed"), (make_trial(0).with_result(FAILED),))
    fill(store, make_history("b"), waiting, failed, make_history("a"))
    assert store.histories() == [make_history("b"), failed, make_history("a")]
    assert store.histories(exclude="b") == [failed, make_history("a")]
    assert store.count() == 3 + 1 + 3


def test_unknown_runs_are_refused(store: ExperienceStore, tmp_path: Path) -> None:
    calls: list[Callable[[], object]] = [
        lambda: store.history("x"),
        lambda: store.seed("x"),
        lambda: store.add_trials("x", [make_trial(0)]),
        lambda: store.export(tmp_path / "file", ["x"]),
    ]
    for call in calls:
        with pytest.raises(StoreError, match="run 'x' is not in this store"):
            call()
    assert not (tmp_path / "file").exists()


# Trials


@pytest.mark.parametrize(
    "batch",
    [[make_trial(1), make_trial(0)], [make_trial(1), make_trial(1)]],
    ids=["known", "twice"],
)
def test_trials_are_added_all_or_none(store: ExperienceStore, batch: list[Trial]) -> None:
    fill(store, History(make_run(), (make_trial(0),)))
    with pytest.raises(StoreError, match=r"run 'run' has one of the trials '1', '[01]' already"):
        store.add_trials("run", batch)
    assert store.history("run").trials == (make_trial(0),)


def test_what_is_not_json_is_refused(store: ExperienceStore) -> None:
    store.add_run(make_run())
    for config in ({"a": {1, 2}}, {"a": math.nan}):
        with pytest.raises(StoreError, match="cannot be stored as JSON"):
            store.add_trials("run", [make_trial(0), make_trial(1, config=config)])
    assert store.history("run").trials == ()


def test_numbers_that_are_not_finite(store: ExperienceStore) -> None:
    suggestion = Suggestion(make_config(), "random", math.nan, math.inf, math.nan)
    fill(store, History(make_run(), (Trial("0", 0, suggestion),)))
    store.finish("run", "0", Result(math.nan, None, math.inf, (0.5, math.inf), {"loss": math.nan}))
    (trial,) = store.history("run").trials
    assert trial.suggestion == Suggestion(make_config(), "random")
    assert trial.result is not None
    assert (trial.state, trial.result.seconds) == ("failed", None)
    assert trial.result.reason == "the value is nan, expected a finite number"
    assert trial.result.curve[0] == 0.5
    assert math.isnan(trial.result.curve[1])
    assert math.isnan(trial.result.metrics["loss"])


def test_words_that_databases_refuse(store: ExperienceStore) -> None:
    fill(store, History(make_run(), (make_trial(0),)))
    store.finish("run", "0", Result.failed("a\0b\ud800c"))
    assert store.history("run").trials[0].result == Result.failed("a\N{REPLACEMENT CHARACTER}b?c")


STEPS: dict[str, Callable[[ExperienceStore], bool]] = {
    "value": lambda store: store.finish("run", "0", VALUE),
    "other value": lambda store: store.finish("run", "0", Result(0.1)),
    "failure": lambda store: store.finish("run", "0", FAILED),
    "other failure": lambda store: store.finish("run", "0", Result.failed("crash")),
    "failed end": lambda store: store.end("run", "0", "failed", "no result"),
    "lost": lambda store: store.end("run", "0", "lost", "closed"),
    "running": lambda store: store.mark("run", "0", "running"),
    "proposed": lambda store: store.mark("run", "0", "proposed"),
}


@pytest.mark.parametrize(
    ("steps", "changes", "state", "reason"),
    [
        ("value", "y", "completed", None),
        ("value,value", "yn", "completed", None),
        ("value,other value", "yn", "completed", None),
        ("value,failure", "yn", "completed", None),
        ("value,failed end,lost,running", "ynnn", "completed", None),
        ("failure,failure", "yn", "failed", "out of memory"),
        ("failure,other failure", "yn", "failed", "out of memory"),
        ("failure,value", "yy", "completed", None),
        ("failure,failed end,lost,proposed", "ynnn", "failed", "out of memory"),
        ("failed end,failed end", "yn", "failed", "no result"),
        ("failed end,lost,running", "ynn", "failed", "no result"),
        ("failed end,failure", "yy", "failed", "out of memory"),
        ("failed end,value", "yy", "completed", None),
        ("failed end,failure,value", "yyy", "completed", None),
        ("lost,failed end", "yn", "lost", "closed"),
        ("lost,failure", "yy", "failed", "out of memory"),
        ("lost,value", "yy", "completed", None),
        ("lost,proposed", "yy", "proposed", None),
        ("lost,running,lost,proposed,value", "yyyyy", "completed", None),
        ("running,failed end", "yy", "failed", "no result"),
    ],
)
def test_what_is_known_of_a_trial_only_grows(
    store: ExperienceStore, steps: str, changes: str, state: str, reason: str | None
) -> None:
    fill(store, History(make_run(), (make_trial(0), make_trial(1))))
    assert ["ny"[STEPS[step](store)] for step in steps.split(",")] == list(changes)
    trial, other = store.history("run").trials
    assert trial.state == state
    assert (trial.result.reason if trial.result else trial.extra.get("reason")) == reason
    assert trial.result == VALUE if state == "completed" else trial.value is None
    assert other == make_trial(1)


def test_unknown_trials_are_refused(store: ExperienceStore) -> None:
    fill(store, History(make_run(), (make_trial(1),)))
    for step in STEPS.values():
        with pytest.raises(StoreError, match="run 'run' has no trial '0'"):
            step(store)


# Files


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "runs.jsonl"


def test_an_export_is_imported_whole(
    new_store: Callable[[], ExperienceStore], file: Path, tmp_path: Path
) -> None:
    histories = [make_history("b"), make_history("a")]
    first, second = new_store(), new_store()
    fill(first, *histories)
    assert first.export(file) == 2
    assert second.import_(file) == ImportSummary(2, 12, 0, 0)
    assert second.histories() == histories
    assert {run.origin for run in second.runs()} == {"imported"}
    second.export(tmp_path / "again.jsonl")
    assert (tmp_path / "again.jsonl").read_bytes() == file.read_bytes()


def test_an_export_names_seed_and_controller(store: ExperienceStore, file: Path) -> None:
    store.add_run(make_run("a"), seed=7, controller="Random")
    store.add_run(make_run("b"))
    assert store.export(file, ["b", "a"]) == 2
    b, a = (json.loads(line) for line in file.read_text().splitlines())
    assert (a["run_id"], a["seed"], a["controller"]) == ("a", 7, "Random")
    assert (b["run_id"], "seed" in b, "controller" in b) == ("b", False, False)


def test_an_import_again_changes_nothing(store: ExperienceStore, file: Path) -> None:
    fill(store, make_history())
    store.end("run", "5", "failed", "no result")
    store.export(file)
    before = store.history("run")
    assert store.import_(file) == ImportSummary(0, 0, 0, 6)
    assert store.history("run") == before
    assert [run.origin for run in store.runs()] == ["own"]


def test_an_import_adds_what_is_new(store: ExperienceStore, file: Path) -> None:
    fill(store, make_history())
    trials = [
        make_trial(0, 0.8, trial_id="new"),
        make_trial(3, 0.6),  # lost in the store
        make_trial(5).with_result(FAILED),  # proposed in the store
        make_trial(2, 0.5),  # failed in the store
        make_trial(1),  # completed in the store
        make_trial(4, state="lost"),  # running in the store
    ]
    write_experience([History(make_run(), tuple(trials))], file)
    assert store.import_(file) == ImportSummary(0, 1, 3, 2)
    found = {trial.trial_id: trial for trial in store.history("run").trials}
    assert [found[str(number)].value for number in range(6)] == [0.7, 0.9, 0.5, 0.6, None, None]
    assert [found[key].state for key in ("4", "5")] == ["running", "failed"]
    assert (found["new"].value, found["new"].number) == (0.8, 6)
    assert store.import_(file) == ImportSummary(0, 0, 0, 6)


CHANGED = [
    (make_trial(1, 0.5), "trial '1' of run 'run' came with value 0.5, .* knows it with 0.9"),
    (make_trial(1, 0.9, config=make_config(2)), "trial '1' of run 'run' came with config"),
    (make_trial(5, config=make_config(2)), "trial '5' of run 'run' came with config"),
]


@pytest.mark.parametrize(("trial", "expected"), CHANGED)
def test_an_import_that_differs_is_refused_whole(
    store: ExperienceStore, file: Path, trial: Trial, expected: str
) -> None:
    fill(store, make_history())
    changed = History(make_run(), (make_trial(9, 0.1), make_trial(3, 0.6), trial))
    write_experience([make_history("before"), changed, make_history("after")], file)
    with pytest.raises(StoreError, match=expected):
        store.import_(file)
    assert store.histories() == [make_history()]


def test_an_import_with_a_bad_line_is_refused_whole(store: ExperienceStore, file: Path) -> None:
    write_experience([make_history("a"), make_history("b")], file)
    with file.open("a") as stream:
        stream.write('{"format": "meta-nni-experience/1", "run_id": NaN}\n')
    with pytest.raises(ExperienceError, match="line 3: run_id: got NaN"):
        store.import_(file)
    assert store.runs() == []


def test_an_import_of_nothing(store: ExperienceStore, file: Path) -> None:
    file.write_bytes(b"")
    assert store.import_(file) == ImportSummary(0, 0, 0, 0)


# Several at once


def in_threads(*calls: Callable[[], object]) -> None:
    failures: list[BaseException] = []

    def guarded(call: Callable[[], object]) -> None:
        try:
            call()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_threads_lose_nothing(store: ExperienceStore) -> None:
    store.add_run(make_run())

    def write(first: int) -> None:
        for number in range(first, first + 5):
            store.add_trials("run", [make_trial(number)])
            store.finish("run", str(number), Result(number / 100))
            store.histories()

    in_threads(*(lambda first=first: write(first) for first in range(0, 40, 5)))
    history = store.history("run")
    assert [(t.number, t.value) for t in history.trials] == [(n, n / 100) for n in range(40)]


def test_one_of_many_values_wins(store: ExperienceStore) -> None:
    fill(store, History(make_run(), (make_trial(0),)))
    told: list[float] = []

    def tell(value: float) -> None:
        store.end("run", "0", "failed", "no result")
        store.finish("run", "0", FAILED)
        if store.finish("run", "0", Result(value)):
            told.append(value)

    in_threads(*(lambda value=value: tell(value) for value in range(8)))
    assert [trial.value for trial in store.history("run").trials] == told


def script(*lines: str) -> list[str]:
    head = "import os, signal, sys; sys.path.insert(0, sys.argv[2])"
    body = "from histories import *; from meta_nni.store import *; from meta_nni.trial import *"
    return [sys.executable, "-c", "\n".join((head, body, *lines))]


PROCESSES = script(
    "shared = ExperienceStore.open(sys.argv[1])",
    "shared.add_run(make_run())",
    "children = []",
    "for child in range(4):",
    "    pid = os.fork()",
    "    if pid == 0:",
    "        store = shared if child % 2 else ExperienceStore.open(sys.argv[1])",
    "        for number in range(child * 25, child * 25 + 25):",
    "            store.add_trials('run', [make_trial(number)])",
    "            store.finish('run', str(number), Result(float(number)))",
    "        os._exit(0)",
    "    children.append(pid)",
    "sys.exit(any(os.waitpid(pid, 0)[1] for pid in children))",
)


@pytest.mark.host
def test_processes_lose_nothing(new_url: Callable[[], str]) -> None:
    """Two of four share the parent's store across the fork, two open their own."""
    url = new_url()
    subprocess.run([*PROCESSES, url, str(Path(__file__).parent)], check=True, timeout=120)
    history = ExperienceStore.open(url).history("run")
    assert [(t.trial_id, t.value) for t in history.trials] == [(str(n), n) for n in range(100)]


WRITER = script(
    "store = ExperienceStore.open(sys.argv[1])",
    "store.add_run(make_run())",
    "first = len(store.history('run').trials)",
    "while True:",
    "    store.add_trials('run', [make_trial(first + i, 0.5) for i in range(3)])",
    "    first += 3",
    "    print(first, flush=True)",
)


@pytest.mark.host
def test_a_killed_writer_leaves_no_half_rows(new_url: Callable[[], str]) -> None:
    url = new_url()
    for _ in range(3):
        with subprocess.Popen(
            [*WRITER, url, str(Path(__file__).parent)], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            acknowledged = [int(writer.stdout.readline()) for _ in range(5)]
            writer.kill()
        assert writer.returncode == -signal.SIGKILL
        count = len(ExperienceStore.open(url).history("run").trials)
        assert count % 3 == 0
        assert count >= acknowledged[-1]


KILLED_IMPORT = script(
    "import meta_nni.store as module",
    "merge, calls = module.merge, []",
    "def merge_or_die(connection, history):",
    "    calls.append(merge(connection, history))",
    "    if len(calls) == 3: os.kill(os.getpid(), signal.SIGKILL)",
    "    return calls[-1]",
    "module.merge = merge_or_die",
    "ExperienceStore.open(sys.argv[1]).import_(sys.argv[3])",
)


@pytest.mark.host
def test_a_killed_import_leaves_nothing(new_url: Callable[[], str], file: Path) -> None:
    url = new_url()
    write_experience([make_history(name) for name in "abcd"], file)
    killed = subprocess.run([*KILLED_IMPORT, url, str(Path(__file__).parent), str(file)])
    assert killed.returncode == -signal.SIGKILL
    store = ExperienceStore.open(url)
    assert store.runs() == []
    store.import_(file)
    assert store.histories() == list(read_experience(file))

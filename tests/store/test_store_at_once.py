"""Threads and processes that use a store at once, and those that are killed."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from histories import fill, make_history, make_run, make_trial

from meta_nni.experience import read_experience, write_experience
from meta_nni.store import ExperienceStore
from meta_nni.trial import History, Result

TESTS = Path(__file__).parents[1]
FAILED = Result.failed("out of memory")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "runs.jsonl"


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
    subprocess.run([*PROCESSES, url, str(TESTS)], check=True, timeout=120)
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
            [*WRITER, url, str(TESTS)], stdout=subprocess.PIPE, text=True
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
    killed = subprocess.run([*KILLED_IMPORT, url, str(TESTS), str(file)])
    assert killed.returncode == -signal.SIGKILL
    store = ExperienceStore.open(url)
    assert store.runs() == []
    store.import_(file)
    assert store.histories() == list(read_experience(file))

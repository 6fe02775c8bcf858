"""Files made to do harm: refused with the place named, in bounded memory, nothing executed."""

from __future__ import annotations

import gc
import gzip
import io
import json
import math
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from histories import SPACE, fill, make_config, make_history
from hypothesis import given, settings
from hypothesis import strategies as st

from meta_nni import experience
from meta_nni.controllers import make
from meta_nni.experience import ExperienceError, read_experience, write_experience
from meta_nni.search import Search
from meta_nni.space import SearchSpace, SpaceError
from meta_nni.store import ExperienceStore, StoreError
from meta_nni.task import Task
from meta_nni.trial import History, Result, Run, Suggestion, Trial


def document(**fields: Any) -> dict[str, Any]:
    base = {
        "format": "meta-nni-experience/1",
        "run_id": "r",
        "task": {"name": "t", "objective": "maximize"},
        "space": SPACE.to_nni(),
        "trials": [{"config": make_config(), "value": 0.5, "state": "completed"}],
    }
    return base | fields


def line(**fields: Any) -> bytes:
    return json.dumps(document(**fields)).encode() + b"\n"


def assert_refused(path: Path, store: ExperienceStore, match: str) -> None:
    before = store.histories()
    with pytest.raises((ExperienceError, StoreError), match=match):
        store.import_(path)
    assert store.histories() == before


# Experience files: size


MEASURED = """
import resource, sys
from meta_nni.store import ExperienceStore
from meta_nni.experience import ExperienceError
store = ExperienceStore.open(sys.argv[1])
pages = int(open("/proc/self/statm").read().split()[0])
most = pages * resource.getpagesize() + int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_AS, (most, -1))
try:
    store.import_(sys.argv[2])
except ExperienceError as error:
    print(error)
print(len(store.runs()))
"""


def imported_within(path: Path, most: int) -> str:
    """Imports a file in a process that may take `most` more bytes of addresses."""
    command = [sys.executable, "-c", MEASURED, str(path.with_suffix(".db")), str(path), str(most)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.host  # seconds, as it reads 64 MiB
@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz"])
def test_a_line_of_a_gigabyte_takes_little_memory(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"runs{suffix}"
    if suffix == ".jsonl":
        with path.open("wb") as sparse:
            sparse.write(line())
            sparse.truncate(2**30)
    else:
        with gzip.open(path, "wb", compresslevel=1) as packed:
            packed.write(line())
            for _ in range(80):
                packed.write(b" " * 2**20)
    found = imported_within(path, 300 * 2**20)
    assert f"{path}, line 2: longer than {experience.MAX_LINE_BYTES} bytes" in found
    assert found.endswith("\n0\n")


@pytest.mark.parametrize("unit", [b"[]", b"{}", b'{"":0}', b'""', b"0.5"])
def test_a_line_of_too_many_values_is_refused_unparsed(
    monkeypatch: pytest.MonkeyPatch, unit: bytes
) -> None:
    monkeypatch.setattr(experience, "MAX_VALUES", 10_000)
    data = line()[:-2] + b', "x": [' + b",".join([unit] * 11_000) + b"]}\n"
    monkeypatch.setattr(json, "loads", lambda *args, **kwargs: pytest.fail("it was parsed"))
    with pytest.raises(ExperienceError, match=r"f, line 1: holds .* expected at most 10000 in one"):
        list(read_experience(io.BytesIO(data), "f"))


def test_what_is_not_read_is_not_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    history = make_history()
    monkeypatch.setattr(experience, "MAX_VALUES", 10)
    with pytest.raises(ExperienceError, match=r"run 'run' takes .* commas and brackets"):
        write_experience([history], tmp_path / "a.jsonl")
    monkeypatch.undo()
    monkeypatch.setattr(experience, "MAX_LINES", 1)
    with pytest.raises(ExperienceError, match="run 'b' is too much: expected at most 1 lines"):
        write_experience([make_history("a"), make_history("b")], tmp_path / "a.jsonl")
    monkeypatch.undo()
    monkeypatch.setattr(experience, "MAX_UNPACKED_BYTES", 2_000)
    with pytest.raises(ExperienceError, match="unpacked to over 2000 bytes"):
        write_experience([make_history("a"), make_history("b")], tmp_path / "a.jsonl.gz")
    assert write_experience([make_history("a"), make_history("b")], tmp_path / "a.jsonl") == 2
    assert [file.name for file in tmp_path.iterdir()] == ["a.jsonl"]


def test_a_bomb_of_blank_lines_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, store: ExperienceStore
) -> None:
    monkeypatch.setattr(experience, "MAX_LINES", 1_000)
    path = tmp_path / "bomb.jsonl.gz"
    path.write_bytes(gzip.compress(line() + b"\n" * 2_000))
    assert_refused(path, store, "line 1001: expected at most 1000 lines")


def test_a_bomb_of_long_lines_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, store: ExperienceStore
) -> None:
    monkeypatch.setattr(experience, "MAX_UNPACKED_BYTES", 10**6)
    path = tmp_path / "bomb.jsonl.gz"
    path.write_bytes(gzip.compress((b" " * 10**5 + b"\n") * 30))
    assert path.stat().st_size < 10_000
    assert_refused(path, store, "line 10: unpacked to over 1000000 bytes")
    plain = tmp_path / "plain.jsonl"
    plain.write_bytes((b" " * 10**5 + b"\n") * 30 + line())
    assert store.import_(plain).runs_added == 1


def test_an_import_holds_one_run_at_a_time(
    tmp_path: Path, store: ExperienceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "runs.jsonl"
    path.write_bytes(b"".join(line(run_id=f"held {i}") for i in range(8)))
    held: list[int] = []

    def reading(*args: Any) -> Iterator[Any]:
        for history in read_experience(*args):
            runs = (each for each in gc.get_objects() if type(each) is Run)
            held.append(sum(run.run_id.startswith("held ") for run in runs))
            yield history

    monkeypatch.setattr("meta_nni.store.read_experience", reading)
    assert store.import_(path).runs_added == 8
    assert len(held) == 16  # read twice
    assert max(held) <= 3


def test_a_pipe_is_imported(tmp_path: Path, store: ExperienceStore) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = subprocess.Popen(
        [sys.executable, "-c", f"open({str(path)!r}, 'wb').write({line()!r})"]
    )
    try:
        assert store.import_(path).trials_added == 1
    finally:
        writer.wait(20)


# Experience files: content


def test_a_choice_of_many_options_is_read_in_time(tmp_path: Path, store: ExperienceStore) -> None:
    # Comparing each with each took 20 seconds, and hours with the most that a line may have.
    space = {"a": {"_type": "choice", "_value": list(range(20_000))}}
    path = tmp_path / "runs.jsonl"
    path.write_bytes(
        line(space=space, trials=[{"config": {"a": 7}, "value": 1, "state": "completed"}])
    )
    assert store.import_(path).trials_added == 1
    spec = {"a": {"_type": "choice", "_value": [*range(20_000), 7]}}
    with pytest.raises(SpaceError, match="lists the option 7 twice"):
        SearchSpace.from_nni(spec)


NAMES = [
    "'); DROP TABLE meta_nni_run; --",
    "../../../etc/cron.d/x",
    "{0.__class__}",
    "$(id)",
    "\x1b[2J",
]


@pytest.mark.parametrize("name", NAMES)
def test_names_are_kept_as_they_are(tmp_path: Path, store: ExperienceStore, name: str) -> None:
    path = tmp_path / "runs.jsonl"
    trial = {"trial_id": name, "config": make_config(), "value": 0.5, "state": "completed"}
    task = {"name": name, "objective": "minimize", "metafeatures": {name: 1.0}}
    path.write_bytes(line(run_id=name, task=task, metric=name, trials=[trial]))
    store.import_(path)
    found = store.history(name)
    assert (found.run.task.name, found.trials[0].trial_id) == (name, name)
    assert {file.name.split(".db")[0] for file in tmp_path.iterdir()} == {"runs.jsonl", "store"}


HUGE = [1e308, -1e308, 5e-324, math.nextafter(0.0, -1.0), 2**1000]


@pytest.mark.parametrize("value", HUGE)
def test_numbers_at_the_end_of_their_range_are_kept(
    tmp_path: Path, store: ExperienceStore, value: float
) -> None:
    path = tmp_path / "runs.jsonl"
    trial = {
        "config": make_config(),
        "value": value,
        "state": "completed",
        "seconds": value,
        "curve": [value],
        "metrics": {"m": value},
    }
    path.write_bytes(line(trials=[trial]))
    store.import_(path)
    (found,) = store.history("r").trials
    assert (found.value, found.result.seconds) == (float(value), float(value))  # type: ignore[union-attr]
    store.export(tmp_path / "again.jsonl")
    again = ExperienceStore.open(tmp_path / "again.db")
    assert again.import_(tmp_path / "again.jsonl").trials_added == 1
    assert again.history("r").trials == store.history("r").trials


@pytest.mark.parametrize("values", [[1e308] * 8, [1e308, -1e308, 5e-324, 0.0] * 2])
def test_such_numbers_do_not_stop_a_search(
    store: ExperienceStore, values: list[float], rng: np.random.Generator
) -> None:
    def run(name: str) -> Run:
        return Run(name, Task(name, "maximize", {"n_train": 1e308}), SPACE)

    def result(value: float) -> Result:
        return Result(value, seconds=abs(value), curve=[value])

    trials = [
        Trial(str(number), number, Suggestion(SPACE.sample(rng), "random")).with_result(
            result(value)
        )
        for number, value in enumerate(values)
    ]
    fill(store, History(run("a"), tuple(trials)), History(run("b"), tuple(trials)))
    search = Search.open(store, run("target"), make("meta"), seed=0, knowledge="none")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for number, value in enumerate(values):
            (suggestion,) = search.ask([str(number)])
            search.tell(str(number), result(value))
            assert suggestion.mean is not None
            assert math.isfinite(suggestion.mean)
    assert len(search.history.completed) == len(values)


def nested(depth: int, opening: str, closing: str) -> bytes:
    return (line()[:-2] + b', "x": ' + (opening * depth + "0" + closing * depth).encode()) + b"}\n"


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
@pytest.mark.parametrize("depth", [65, 5_000, 1_000_000])
def test_deep_nesting_is_refused(
    tmp_path: Path, store: ExperienceStore, depth: int, opening: str, closing: str
) -> None:
    path = tmp_path / "runs.jsonl"
    path.write_bytes(line(run_id="before") + nested(depth, opening, closing))
    assert_refused(path, store, "runs.jsonl, line 2: .*nested deeper than 64 levels|commas")


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=40), st.integers(0, 400), st.integers(0, 40), st.booleans())
def test_any_bytes_are_read_whole_or_refused(
    tmp_path_factory: pytest.TempPathFactory, junk: bytes, at: int, cut: int, packed: bool
) -> None:
    good = line(run_id="first") + line()
    whole = gzip.compress(good, mtime=0) if packed else good  # damage of the archive itself
    at %= len(whole)
    path = tmp_path_factory.getbasetemp() / ("any.jsonl.gz" if packed else "any.jsonl")
    path.write_bytes(whole[:at] + junk + whole[at + cut :])
    refusal = None
    try:
        found = list(read_experience(path))
    except ExperienceError as error:
        refusal = str(error)
    assert refusal is None or refusal.startswith(str(path))
    assert refusal is not None or all(history.run.run_id for history in found)

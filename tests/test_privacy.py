"""What an experience file says about the data: nothing but metafeatures and results."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from histories import EVIDENCE, SPACE, make_config, make_run, make_trial
from hypothesis import given, settings
from hypothesis import strategies as st

from meta_nni.controllers import make
from meta_nni.data import load_data
from meta_nni.experience import ExperienceError, read_experience
from meta_nni.experience_private import Hidden, load_key
from meta_nni.metafeatures import compute_metafeatures
from meta_nni.search import Search
from meta_nni.store import ExperienceStore
from meta_nni.task import Task
from meta_nni.trial import History, Result, Run, Suggestion, Trial

ROWS = 60
KEY = bytes(range(32))


def tables(rng: np.random.Generator) -> dict[str, Any]:
    """Numbers that would be recognised anywhere, of people that can be named."""
    x = np.round(rng.uniform(1_000, 9_000, (ROWS, 4)), 3)
    return {"x_train": x, "y_train": np.array(["Zweig-Mahlow", "Quistorp"] * (ROWS // 2))}


def regression(rng: np.random.Generator) -> dict[str, Any]:
    return {
        "x_train": np.round(rng.uniform(1_000, 9_000, (ROWS, 4)), 3),
        "y_train": np.round(rng.uniform(1_000, 9_000, ROWS), 3),
    }


def texts(rng: np.random.Generator) -> dict[str, Any]:
    words = np.array(["Zweig-Mahlow owes", "patient Quistorp has", "account 7731-55 is"])
    return {"x_train": words[rng.integers(3, size=ROWS)], "y_train": rng.integers(2, size=ROWS)}


def images(rng: np.random.Generator) -> dict[str, Any]:
    x = np.round(rng.uniform(0, 1, (ROWS, 6, 6)), 6)
    return {"x_train": x, "y_train": rng.integers(2, size=ROWS)}


def raw_values(arrays: dict[str, Any]) -> set[str]:
    """All values as text; not the small whole numbers that occur anywhere."""
    found = {str(v) for array in arrays.values() for v in np.ravel(array).tolist()}
    words = {word for text in found for word in re.findall(r"[A-Za-z]{5,}|\d\S{5,}", text)}
    return {text for text in found | words if len(text) > 4}


def numbers(value: Any) -> Iterator[float]:
    if isinstance(value, (list, dict)):
        for child in value.values() if isinstance(value, dict) else value:
            yield from numbers(child)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield float(value)


def searched(store: ExperienceStore, file: Path) -> Run:
    """A search about a data file as NNI's tuner makes it, the first trial a failure."""
    data = load_data({"npz": str(file)})
    found = compute_metafeatures(data, np.random.default_rng(0), seconds=60)
    run = Run("run", Task("mahlow-clinic", "maximize", found), SPACE)
    search = Search.open(store, run, make("meta"), seed=0, knowledge="none")
    for number in range(5):
        search.ask([str(number)])
        search.tell(str(number), Result(None if number == 0 else number / 8, curve=(0.25,)))
    search.close()
    return run


@pytest.mark.parametrize("kind", [tables, regression, texts, images])
@pytest.mark.parametrize("hidden", [False, True])
def test_no_raw_value_is_in_an_export(
    kind: Any, hidden: bool, tmp_path: Path, store: ExperienceStore, rng: np.random.Generator
) -> None:
    arrays = kind(rng)
    np.savez(tmp_path / "private-data.npz", **arrays)
    searched(store, tmp_path / "private-data.npz")
    change = Hidden(KEY).history if hidden else lambda history: history
    store.export(tmp_path / "runs.jsonl", change=change)
    text = (tmp_path / "runs.jsonl").read_text()
    raw = raw_values(arrays)
    assert len(raw) >= 3
    assert [value for value in raw if value in text] == []
    assert "private-data" not in text
    inside = set(numbers(json.loads(text)["task"]["metafeatures"]))
    assert len(inside) > 10
    floats = {float(v) for a in arrays.values() if a.dtype.kind == "f" for v in np.ravel(a)}
    assert not floats & inside


def test_a_metafeature_is_no_single_value(rng: np.random.Generator, tmp_path: Path) -> None:
    # An outlier of one row moves averages and scores; it is nowhere itself, and no rank of it.
    arrays = tables(rng)
    arrays["x_train"][17, 2] = 123_456.789
    np.savez(tmp_path / "data.npz", **arrays)
    data = load_data({"npz": str(tmp_path / "data.npz")})
    found = compute_metafeatures(data, np.random.default_rng(0), seconds=60)
    assert max(map(abs, found.values())) < 1_000
    scaled = compute_metafeatures(
        data.__class__.from_arrays(data.x * 8, np.asarray(arrays["y_train"])),
        np.random.default_rng(0),
        seconds=60,
    )
    assert found == pytest.approx(scaled, rel=1e-6)  # the unit of the data does not show


FREE = "could not convert string to float: 'Zweig-Mahlow'"


def telling() -> History:
    """A run that says too much wherever it can."""
    suggestion = Suggestion(
        make_config(), "adapted", 0.5, 0.1, 3.0, "like the best of mahlow-clinic", EVIDENCE
    )
    trials = [
        Trial("0", 0, suggestion, extra={"note": FREE}).with_result(
            Result(0.5, None, 2.0, (0.25, 0.5), {"precision": 0.75}, {"epochs": 2.0})
        ),
        make_trial(1).with_result(Result.failed(f"ValueError: {FREE}")),
        make_trial(2).with_result(Result.failed(f"out of memory in layer {FREE}")),
        make_trial(3).with_result(Result.failed(FREE)),
        make_trial(4, state="lost", extra={"reason": FREE}, trial_id="mahlow-4"),
    ]
    run = make_run(
        "run-of-mahlow",
        task="mahlow-clinic",
        environment={"device": "cpu", "cores": 2, "host": "mahlow.example", "package": "0.1.0"},
        extra={"seed": 7, "controller": "Meta", "source": {"path": "mahlow"}, "note": FREE},
    )
    return History(run, tuple(trials))


def test_hidden_runs_say_results_and_nothing_else() -> None:
    history = Hidden(KEY).history(telling())
    assert "mahlow" not in repr(history).lower()
    assert "fashion" not in repr(history)  # the task that evidence names
    first, failed, memory, free, lost = history.trials
    assert first.result == telling().trials[0].result
    assert (first.config, first.suggestion.mean) == (make_config(), 0.5)
    reasons = [trial.result.reason for trial in (failed, memory, free) if trial.result]
    assert reasons == ["ValueError", "out of memory", "failed"]
    assert (lost.state, lost.result, lost.trial_id) == ("lost", None, "4")
    assert history.run.task.metafeatures == telling().run.task.metafeatures
    assert history.run.environment == {"device": "cpu", "cores": 2, "package": "0.1.0"}
    assert history.run.extra == {"seed": 7, "controller": "Meta"}


def test_a_name_has_one_hash_under_one_key() -> None:
    one, same, other = Hidden(KEY), Hidden(KEY), Hidden(bytes(32))
    assert one.name("task", "digits") == same.name("task", "digits")
    assert re.fullmatch(r"task-[0-9a-f]{16}", one.name("task", "digits"))
    names = {
        hidden.name(kind, name)
        for hidden in (one, other)
        for kind in ("task", "run")
        for name in ("digits", "digits ", "\ud800")
    }
    assert len(names) == 12


@settings(max_examples=30, deadline=None)
@given(st.sets(st.text(), max_size=8))
def test_tasks_stay_as_many_as_they_were(names: set[str]) -> None:
    assert len({Hidden(KEY).name("task", name) for name in names}) == len(names)


def test_hidden_runs_are_imported_and_grow(tmp_path: Path, store: ExperienceStore) -> None:
    source = ExperienceStore.open(tmp_path / "source.db")
    history, file = telling(), tmp_path / "shared.jsonl.gz"
    source.add_run(history.run)
    source.add_trials(history.run.run_id, history.trials[:3])
    for expected in (3, 2, 0):
        source.export(file, change=Hidden(KEY).history)
        assert store.import_(file).trials_added == expected
        if expected == 3:
            source.add_trials(history.run.run_id, history.trials[3:])
    (found,) = store.histories()
    assert found == next(read_experience(file))
    source.close()


def test_the_key_is_made_once_and_kept_from_others(tmp_path: Path) -> None:
    file = tmp_path / "new" / "names.key"
    key = load_key(file)
    assert len(key) == 32
    assert load_key(file) == key != load_key(tmp_path / "other.key")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("content", ["", "12", "x" * 64, "\xff", "0" * 66, "0" * 10_000])
def test_a_key_that_is_none_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "names.key"
    file.write_text(content)
    with pytest.raises(ExperienceError, match=r"names\.key: expected 64 hexadecimal digits"):
        load_key(file)


def test_a_key_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExperienceError, match="Is a directory"):
        load_key(tmp_path)

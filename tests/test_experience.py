from __future__ import annotations

import copy
import gzip
import io
import json
import math
from typing import Any

import pytest
from histories import EVIDENCE, SPACE, make_config, make_history, make_run, make_trial
from hypothesis import given, settings
from hypothesis import strategies as st

from meta_nni import experience
from meta_nni.experience import ExperienceError, read_experience, write_experience
from meta_nni.trial import History, Result, Suggestion, Trial


def read(data: bytes) -> list[History]:
    return list(read_experience(io.BytesIO(data), "file"))


def written(*histories: History) -> bytes:
    stream = io.BytesIO()
    assert write_experience(histories, stream) == len(histories)
    return stream.getvalue()


def document() -> dict[str, Any]:
    """The documented example, with every field and some unknown ones."""
    return {
        "format": "meta-nni-experience/1",
        "run_id": "r",
        "task": {
            "name": "digits",
            "objective": "maximize",
            "metafeatures": {"n_train": 4000.0},
            "licence": "BSD",
        },
        "metric": "val_accuracy",
        "recipe": "image-v1",
        "environment": {"device": "cpu", "cores": 2},
        "space": SPACE.to_nni(),
        "note": [None, {"deep": []}],
        "trials": [
            {
                "trial_id": "a",
                "config": make_config(),
                "value": 0.93,
                "state": "completed",
                "reason": None,
                "seconds": 12.3,
                "curve": [0.8, None, 0.93],
                "metrics": {"precision": 0.92, "loss": None},
                "budget": {"epochs": 5},
                "proposal": {
                    "source": "adapted",
                    "mean": 0.9,
                    "std": 0.1,
                    "who": "x",
                    "evidence": copy.deepcopy(EVIDENCE),
                },
                "host": {"job": 3},
            },
            {"config": make_config(2), "value": None, "state": "failed", "reason": "memory"},
            {"config": make_config(3), "value": None, "state": "lost", "reason": "closed"},
            {"config": make_config(1, 0.5), "value": None, "state": "running", "curve": [0.1]},
        ],
    }


def line(value: Any) -> bytes:
    return json.dumps(value).encode() + b"\n"


def assert_kept(given: Any, found: Any, path: str = "") -> None:
    """Whatever `given` holds stands in `found` at the same place; null may be absent."""
    if isinstance(given, dict):
        for key, value in given.items():
            if value is not None or key in found:
                assert_kept(value, found[key], f"{path}.{key}")
    elif isinstance(given, list):
        assert len(given) == len(found), path
        for position, value in enumerate(given):
            assert_kept(value, found[position], f"{path}[{position}]")
    else:
        assert given == found, path


def test_documented_example_is_read() -> None:
    (history,) = read(line(document()))
    assert history.run.task.metafeatures == {"n_train": 4000.0}
    assert history.run.extra == {"task": {"licence": "BSD"}, "note": [None, {"deep": []}]}
    first, failed, lost, running = history.trials
    assert first.trial_id == "a"
    assert first.result is not None
    assert (first.value, first.result.seconds, first.result.budget) == (0.93, 12.3, {"epochs": 5.0})
    assert math.isnan(first.result.curve[1])
    assert math.isnan(first.result.metrics["loss"])
    assert first.suggestion == Suggestion(make_config(), "adapted", 0.9, 0.1, evidence=EVIDENCE)
    assert first.extra == {"host": {"job": 3}, "proposal": {"who": "x"}}
    assert (failed.trial_id, failed.result) == ("1", Result.failed("memory"))
    assert (lost.result, lost.extra) == (None, {"reason": "closed"})
    assert (running.result, running.extra) == (None, {"curve": [0.1]})


def test_nothing_is_lost_from_file_to_file() -> None:
    assert_kept(document(), json.loads(written(*read(line(document())))))


def test_least_fields_suffice() -> None:
    least = {key: document()[key] for key in ("format", "run_id", "space")}
    least["task"] = {"name": "t", "objective": "minimize"}
    least["trials"] = [{"config": make_config(), "value": 1, "state": "completed"}]
    (history,) = read(line(least))
    assert history.trials[0].suggestion.source == "imported"
    least["trials"][0]["trial_id"] = "0"
    assert json.loads(written(history)) == least


def test_a_failure_without_reason_gets_one() -> None:
    value = document()
    value["trials"] = [{"config": make_config(), "value": None, "state": "failed"}]
    (history,) = read(line(value))
    assert history.trials[0].result == Result.failed("no value was reported")


def test_numbers_that_are_not_finite_become_null() -> None:
    result = Result(None, "diverged", math.inf, (0.1, math.nan), {"loss": math.inf})
    trial = Trial("0", 0, Suggestion(make_config(), "random", math.nan)).with_result(result)
    (found,) = json.loads(written(History(make_run(), (trial,))))["trials"]
    assert (found["curve"], found["metrics"]) == ([0.1, None], {"loss": None})
    assert "seconds" not in found
    assert found["proposal"] == {"source": "random"}


@pytest.mark.parametrize("name", ["runs.jsonl", "runs.jsonl.gz"])
def test_files(tmp_path: Any, name: str) -> None:
    path = tmp_path / name
    histories = [make_history("a"), make_history("b")]
    assert write_experience(histories, path) == 2
    assert list(read_experience(str(path))) == histories
    assert [file.name for file in tmp_path.iterdir()] == [name]
    assert path.read_bytes().startswith(b"\x1f\x8b") == name.endswith(".gz")


def test_equal_runs_give_equal_bytes(tmp_path: Any) -> None:
    for name in ("a.jsonl.gz", "b.jsonl.gz"):
        write_experience([make_history()], tmp_path / name)
    assert (tmp_path / "a.jsonl.gz").read_bytes() == (tmp_path / "b.jsonl.gz").read_bytes()


def test_a_failed_write_leaves_the_old_file(tmp_path: Any) -> None:
    path = tmp_path / "runs.jsonl"
    path.write_text("old")
    bad = History(make_run(environment={"device": object()}), ())
    with pytest.raises(ExperienceError, match="run 'run' cannot be written as JSON"):
        write_experience([make_history(), bad], path)
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["runs.jsonl"]


def test_a_link_is_written_through(tmp_path: Any) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "target")
    write_experience([make_history()], tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert read((tmp_path / "target").read_bytes()) == [make_history()]


def edited(path: str, value: Any) -> dict[str, Any]:
    """The example with the field at `path` replaced, or removed where `value` is `...`."""
    result = document()
    *parents, last = (int(key) if key.isdigit() else key for key in path.split("."))
    target: Any = result
    for key in parents:
        target = target[key]
    if value is ...:
        del target[last]
    else:
        target[last] = value
    return result


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("format", ..., 'format: got nothing, expected "meta-nni-experience/1"'),
        ("format", "meta-nni-experience/2", "format: got .*experience/2"),
        ("run_id", "", 'run_id: got "", expected a text that is not empty'),
        ("run_id", "a\0b", r'run_id: got "a\\u0000b"'),
        ("run_id", "\ud800", r'run_id: got "\\ud800"'),
        ("run_id", 7, "run_id: got 7"),
        ("task", ..., "task.name: got nothing"),
        ("task", ["digits"], r"task: got \[\"digits\"\], expected an object"),
        ("task.name", ..., "task.name: got nothing"),
        ("task.objective", "max", r"task.objective: got \"max\", expected one of \['maximize'"),
        ("task.objective", [], r"task.objective: got \[\]"),
        ("task.metafeatures.n_train", "many", 'task.metafeatures.n_train: got "many"'),
        ("space", ..., "space: got nothing, expected an object"),
        ("space", {}, "space: .*empty"),
        ("space.rate", {"_type": "x", "_value": []}, 'space: parameter "rate" has type'),
        ("metric", 1, "metric: got 1, expected a text"),
        ("environment", "cpu", 'environment: got "cpu", expected an object'),
        ("trials", {}, r"trials: got \{\}, expected a list"),
        ("trials.1", 3, r"trials\[1\]: got 3, expected an object"),
        ("trials.1.trial_id", 3, r"trials\[1\].trial_id: got 3, expected a text"),
        ("trials.1.trial_id", "a", r"trials\[1\].trial_id: 'a' is also that of trials\[0\]"),
        ("trials.0.config", ..., r"trials\[0\].config: got nothing"),
        ("trials.0.config.rate", 2.0, r'trials\[0\].config: parameter "rate" is 2.0'),
        ("trials.0.state", "done", r"trials\[0\].state: got \"done\", expected one of"),
        ("trials.0.value", None, r"trials\[0\].value: got null, expected a finite number, as"),
        ("trials.0.value", True, r"trials\[0\].value: got true"),
        ("trials.0.value", "0.9", r"trials\[0\].value: got \"0.9\""),
        ("trials.0.value", 10**400, r"trials\[0\].value: got 1000"),
        ("trials.0.value", math.nan, r"trials\[0\].value: got NaN, expected a finite number"),
        ("trials.0.value", math.inf, r"trials\[0\].value: got Infinity"),
        ("trials.1.value", 0.5, r"trials\[1\].value: got 0.5, expected null, as the state is fa"),
        ("trials.1.value", ..., r"trials\[1\].value: got nothing, expected null"),
        ("trials.0.reason", "late", r"trials\[0\].reason: got \"late\", expected null"),
        ("trials.0.seconds", "1", r"trials\[0\].seconds: got \"1\", expected a finite number"),
        ("trials.0.curve", [0.1, "x"], r"trials\[0\].curve\[1\]: got \"x\""),
        ("trials.0.metrics.loss", [], r"trials\[0\].metrics.loss: got \[\]"),
        ("task.metafeatures.n_train", None, "task: metafeature 'n_train' .* is None"),
        ("trials.0.proposal.mean", {}, r"trials\[0\].proposal.mean: got \{\}"),
        (
            "trials.0.proposal.evidence",
            [1],
            r"trials\[0\].proposal.evidence: got \[1\], expected an",
        ),
        ("trials.0.proposal.evidence", "x", r"trials\[0\].proposal.evidence: got \"x\""),
        ("trials.0.proposal.evidence.own.0.weight", math.inf, r"trials.*own\[0\].weight: got Inf"),
        ("note", [0.1, {"x": -math.inf}], r"note\[1\].x: got -Infinity"),
    ],
)
def test_what_does_not_fit_is_refused(path: str, value: Any, expected: str) -> None:
    data = written(make_history("first")) + b"\n" + line(edited(path, value))
    with pytest.raises(ExperienceError, match=f"^file, line 3: {expected}"):
        read(data)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"{", "line 1: not JSON: .* at column 2"),
        (b"[]", r"line 1: got \[\], expected an object"),
        (b'{"a": 1e999}', "line 1: a: got Infinity, expected a finite number"),
        (b'{"a": NaN}', "line 1: a: got NaN"),
        (b'{"a": ' + b"9" * 5000 + b"}", "line 1: .*4300 digits"),
        (b'{"a": 1, "b": 2, "a": 3}', "line 1: a: given twice"),
        (b'\n\n{"a": "\xff"}', "line 3: byte 8 is not UTF-8"),
        (b"[" * 100_000, "line 1: nested deeper than 64 levels"),
        (b'{"a":' + b"[" * 64 + b"]" * 64 + b"}", r"line 1: a\[0\].*: nested deeper than 64"),
    ],
)
def test_what_is_no_json_is_refused(data: bytes, expected: str) -> None:
    with pytest.raises(ExperienceError, match=f"^file, {expected}"):
        read(data)


def test_a_run_twice_in_a_file_is_refused() -> None:
    with pytest.raises(ExperienceError, match="line 2: run_id: 'run' was already on line 1"):
        read(written(make_history(), make_history()))


def test_a_line_longer_than_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = written(make_history())
    monkeypatch.setattr(experience, "MAX_LINE_BYTES", len(data))
    assert read(data) == [make_history()]
    monkeypatch.setattr(experience, "MAX_LINE_BYTES", len(data) - 1)
    with pytest.raises(ExperienceError, match="line 1: longer than"):
        read(data)
    with pytest.raises(ExperienceError, match="run 'run' takes"):
        written(make_history())


def test_no_more_than_a_line_is_held() -> None:
    class Endless(io.BytesIO):
        def readline(self, size: int | None = -1) -> bytes:
            assert size is not None
            assert 0 < size <= experience.MAX_LINE_BYTES + 1
            return b" " * size

    with pytest.raises(ExperienceError, match="line 1: longer than"):
        next(read_experience(Endless(), "file"))


def test_what_cannot_be_read_is_refused(tmp_path: Any) -> None:
    packed = gzip.compress(written(make_history()))
    (tmp_path / "cut.gz").write_bytes(packed[:-20])
    (tmp_path / "plain.gz").write_bytes(b"{}")
    (tmp_path / "noise.gz").write_bytes(packed[:10] + b"\xff" * 40)
    for name in ("cut.gz", "plain.gz", "noise.gz", "missing", "."):
        with pytest.raises(ExperienceError, match="cannot be read"):
            list(read_experience(tmp_path / name))
    with pytest.raises(ExperienceError, match="cannot be written"):
        write_experience([], tmp_path / "missing" / "file")


def test_runs_before_a_bad_line_are_yielded() -> None:
    histories = read_experience(io.BytesIO(written(make_history()) + b"{}\n"), "file")
    assert next(histories) == make_history()
    with pytest.raises(ExperienceError, match="line 2"):
        next(histories)


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
numbers = st.floats(allow_nan=False, allow_infinity=False)
trees = st.recursive(
    st.none() | st.booleans() | st.integers() | numbers | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
unknown = st.dictionaries(st.text().map("x-".__add__), trees, max_size=2)
results = st.builds(
    Result,
    numbers,
    seconds=st.none() | numbers,
    curve=st.lists(numbers, max_size=3),
    metrics=st.dictionaries(st.text(), numbers, max_size=2),
    budget=st.dictionaries(st.text(), numbers, max_size=2),
) | st.builds(Result.failed, texts, st.none() | numbers)
suggestions = st.builds(
    Suggestion,
    st.builds(make_config, st.integers(1, 3), st.floats(0.0001, 1), st.none() | st.integers(1, 7)),
    texts,
    st.none() | numbers,
    st.none() | numbers,
    st.none() | numbers,
    st.just("") | texts,
    st.just(EVIDENCE) | st.dictionaries(st.text(), trees, max_size=2),
)


@st.composite
def histories(draw: st.DrawFn) -> History:
    trials = []
    for number in range(draw(st.integers(0, 3))):
        state = draw(st.sampled_from(["proposed", "running", "lost", "ended"]))
        fields = {"suggestion": draw(suggestions), "extra": draw(unknown)}
        if state == "ended":
            trial = Trial(str(number), number, **fields).with_result(draw(results))
        else:
            trial = Trial(str(number), number, state=state, **fields)
        trials.append(trial)
    objective = draw(st.sampled_from(["maximize", "minimize"]))
    run = make_run(draw(texts), objective, recipe=draw(st.none() | texts), extra=draw(unknown))
    return History(run, tuple(trials))


@settings(max_examples=20, deadline=None)
@given(st.lists(histories(), max_size=3, unique_by=lambda history: history.run.run_id))
def test_what_is_written_is_read_back(many: list[History]) -> None:
    assert read(written(*many)) == many


def containers(value: Any) -> list[Any]:
    found = [value] if isinstance(value, (dict, list)) and value else []
    children = value.values() if isinstance(value, dict) else value if found else ()
    return found + [inner for child in children for inner in containers(child)]


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_no_changed_field_raises_anything_else(data: st.DataObject) -> None:
    value = copy.deepcopy(document())
    target = data.draw(st.sampled_from(containers(value)))
    keys = list(target) if isinstance(target, dict) else range(len(target))
    wild = st.sampled_from([math.nan, 10**400, -1, 1e308, "", "_name", {"_name": "x"}, [[]]])
    target[data.draw(st.sampled_from(list(keys)))] = data.draw(wild | trees)
    try:
        (history,) = read(line(value))
    except ExperienceError:
        return
    assert read(written(history)) == [history] or "nan" in repr(history)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_no_changed_bytes_raise_anything_else(data: st.DataObject) -> None:
    raw = bytearray(line(document()))
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(raw)))
        stop = min(len(raw), start + data.draw(st.integers(0, 4)))
        raw[start:stop] = data.draw(st.binary(max_size=4))
    try:
        found = read(bytes(raw))
    except ExperienceError:
        return
    assert len(found) <= bytes(raw).count(b"\n") + 1


def test_trial_numbers_follow_the_file() -> None:
    history = History(make_run(), (make_trial(4, 0.5), make_trial(9, 0.6)))
    assert [trial.number for trial in read(written(history))[0].trials] == [0, 1]

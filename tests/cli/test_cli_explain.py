from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from histories import EVIDENCE, fill, make_config, make_history, make_run
from hypothesis import given, settings
from hypothesis import strategies as st

from meta_nni.cli import main
from meta_nni.cli.evidence import Evidence, TrialEvidence
from meta_nni.cli.explanation import Calibration, explain_trial
from meta_nni.store import ExperienceStore
from meta_nni.testing import history_of
from meta_nni.trial import History, Result, Suggestion, Trial


def proposed(number: int, mean: float | None, std: float | None = 0.05, **fields: Any) -> Trial:
    config = make_config(rate=(number + 1) / 1000)
    return Trial(str(number), number, Suggestion(config, "adapted", mean, std, **fields))


def measured(*pairs: tuple[float | None, float | None], std: float | None = 0.05) -> History:
    """A run of (predicted, measured) pairs; a measured None is a failure."""
    trials = [
        proposed(number, mean, std).with_result(Result(value))
        for number, (mean, value) in enumerate(pairs)
    ]
    return History(make_run(), tuple(trials))


@pytest.fixture
def store(tmp_path: Path) -> str:
    """A store with a run of five trials: inside, outside, failed, not predicted, pending."""
    trials = (
        proposed(0, 0.9, evidence=EVIDENCE).with_result(Result(0.87)),
        proposed(1, 0.8, why="a hunch").with_result(Result(0.6)),
        proposed(2, 0.7).with_result(Result.failed("out of memory\n at line 3 of a long trace")),
        proposed(3, None, None, why="drawn at random").with_result(Result(0.5)),
        proposed(4, 0.85),
    )
    path = str(tmp_path / "store.db")
    opened = ExperienceStore.open(path)
    fill(opened, History(make_run("nni-abc"), trials), make_history("nni-other"))
    opened.close()
    return path


def test_a_run_is_explained_trial_by_trial(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "nni-abc", "--store", store]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "nni-abc: digits, maximize val_accuracy",
        "",
        "TRIAL  SOURCE   PREDICTED  90% INTERVAL      MEASURED                        INSIDE",
        "0      adapted  0.9        0.8178 to 0.9822  0.87                            yes",
        "  past tasks   70% fashion: trial 3 (0.8) +0.4, trial 1 (failed) -0.1",
        "               25% chance that none of them bears on this one",
        "  this run    trial 0 (0.7) +0.2",
        "  decisions   layer=conv +0.03",
        "1      adapted  0.8        0.7178 to 0.8822  0.6                             no",
        "  why         a hunch",
        r"2      adapted  0.7        0.6178 to 0.7822  'failed: out of memory\n at...  -",
        "3      adapted  -          -                 0.5                             -",
        "  why         drawn at random",
        "4      adapted  0.85       0.7678 to 0.9322  proposed                        -",
        "",
        "2 predicted and measured: 90% intervals hold 1 of 2 (50%), mean absolute error 0.115.",
    ]


def test_one_trial_is_explained_in_full(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "nni-abc", "--store", store, "--trial", "0"]) == 0
    lines = capsys.readouterr().out.splitlines()
    config = '{"block/depth": 1, "rate": 0.001, "layer": {"_name": "conv", "kernel": 3}}'
    assert lines[3].split() == ["0", "adapted", "0.9", "0.8178", "to", "0.9822", "0.87", "yes"]
    assert lines[4] == f"  config      {config}"
    assert lines[5].endswith("70% fashion (earlier): trial 3 (0.8) +0.4, trial 1 (failed) -0.1")
    assert not any("a hunch" in line for line in lines)
    assert lines[-1].startswith("2 predicted and measured")


def test_a_run_is_explained_for_programs(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "nni-abc", "--store", store, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["run_id"], found["task"], len(found["trials"])) == ("nni-abc", "digits", 5)
    first, _, failed, unpredicted, pending = found["trials"]
    assert (first["predicted"], first["measured"], first["inside"]) == (0.9, 0.87, True)
    assert first["interval"] == pytest.approx([0.9 - 0.05 * 1.644854, 0.9 + 0.05 * 1.644854])
    assert first["evidence"] == EVIDENCE
    assert failed["reason"].startswith("out of memory")
    assert (unpredicted["interval"], unpredicted["inside"]) == (None, None)
    assert (pending["state"], pending["measured"]) == ("proposed", None)
    assert found["calibration"]["num_measured"] == 2
    assert main(["explain", "nni-abc", "--store", store, "--json", "--trial", "3"]) == 0
    assert [t["number"] for t in json.loads(capsys.readouterr().out)["trials"]] == [3]


def test_a_share_of_nearly_nothing_has_no_sign(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks = [{"task": name, "weight": w} for name, w in (("a", -0.004), ("b", -0.3), ("c", 1.0))]
    run = History(make_run(), (proposed(0, 0.9, evidence={"tasks": tasks}),))
    fill(ExperienceStore.open(tmp_path / "a.db"), run)
    assert main(["explain", "run", "--store", str(tmp_path / "a.db")]) == 0
    lines = capsys.readouterr().out.splitlines()[4:7]
    assert lines == ["  past tasks    0% a", "              -30% b", "              100% c"]


def test_much_evidence_is_cut_and_fits_in_100_columns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trials = [{"number": n, "value": n / 7, "weight": -n / 9} for n in range(20)]
    task = {"task": "a" * 80, "run_id": "b" * 80, "weight": 0.123, "trials": trials}
    decision = {"parameter": "image_block_1/conv_block_1/kernel_size", "value": ["x"] * 9}
    evidence = {
        "tasks": [task] * 9,
        "own": trials,
        "decisions": [{**decision, "effect": 0.1}] * 9,
    }
    run = History(make_run(), (proposed(0, 0.9, evidence=evidence, why="word " * 99),))
    fill(ExperienceStore.open(tmp_path / "a.db"), run)
    shown = []
    for more in ([], ["--trial", "0"]):
        assert main(["explain", "run", "--store", str(tmp_path / "a.db"), *more]) == 0
        shown.append(capsys.readouterr().out.splitlines())
        assert max(map(len, shown[-1])) <= 100
    brief, whole = ("\n".join(lines) for lines in shown)
    assert brief.count("aaa...") == 3
    assert whole.count("aaa...") == 9
    assert "trial 19" in whole
    assert "trial 3 " not in brief


def test_names_cannot_break_the_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = "a\nb\x1b[2J\ud800"
    evidence = {
        "tasks": [{"task": bad, "run_id": bad, "weight": 1.0}],
        "decisions": [{"parameter": bad, "value": bad, "effect": 1.0}],
    }
    plain, source = proposed(0, 0.9, evidence=evidence), "so\x1b[31m"
    suggestion = replace(plain.suggestion, source=source, why="why\x1b[31m")
    fill(
        ExperienceStore.open(tmp_path / "a.db"),
        History(make_run("r\nun"), (replace(plain, suggestion=suggestion),)),
    )
    assert main(["explain", "r\nun", "--store", str(tmp_path / "a.db"), "--trial", "0"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\ud800" not in out
    assert len(out.splitlines()) == 10


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["abc"], "run 'abc' is not in {store}; did you mean 'nni-abc'? See: meta-nni exp"),
        (["nni-oter"], "did you mean 'nni-other'"),
        (["zzz"], "did you mean 'nni-abc' or 'nni-other'?"),
        (["nni-abc", "--trial", "5"], "run 'nni-abc' has no trial 5, only 0 to 4"),
        (["nni-abc", "--trial", "-1"], "run 'nni-abc' has no trial -1, only 0 to 4"),
    ],
)
def test_what_is_not_there_is_refused(
    store: str, arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", *arguments, "--store", store]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert expected.format(store=store) in captured.err


def test_empty_stores_and_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(tmp_path / "a.db")
    opened = ExperienceStore.open(path)
    assert main(["explain", "x", "--store", path]) == 1
    assert "it has no runs" in capsys.readouterr().err
    opened.add_run(make_run("empty"))
    assert main(["explain", "empty", "--store", path]) == 0
    assert "No trial has been both predicted and measured yet." in capsys.readouterr().out
    assert main(["explain", "empty", "--trial", "0", "--store", path]) == 1
    assert "has no trial 0, only none yet" in capsys.readouterr().err


# How predictions held


def test_intervals_hold_90_percent_of_normal_values(rng: np.random.Generator) -> None:
    values = rng.normal(0.5, 0.1, 2000)
    calibration = Calibration.of(measured(*((0.5, value) for value in values), std=0.1))
    assert calibration.num_intervals == 2000
    assert calibration.num_inside / 2000 == pytest.approx(0.9, abs=0.02)


def test_failures_and_unpredicted_trials_do_not_count() -> None:
    calibration = Calibration.of(measured((0.5, 0.4), (0.5, None), (None, 0.9)))
    assert (calibration.num_measured, calibration.num_intervals) == (1, 1)
    assert calibration.mean_absolute_error == pytest.approx(0.1)


def test_a_prediction_without_deviation_has_no_interval() -> None:
    calibration = Calibration.of(measured((0.5, 0.4), std=None))
    assert (calibration.num_measured, calibration.num_intervals) == (1, 0)
    assert explain_trial(measured((0.5, 0.4), std=None).trials[0]).interval is None


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([(1, 10), (2, 20), (3, 90)], 1.0),
        ([(1, 3), (2, 2), (3, 1)], -1.0),
        ([(1, 1), (2, 3), (3, 2), (4, 4)], 0.8),
        ([(1, 1), (1, 2), (2, 3)], 0.8660254),  # equal values share their mean rank
        ([(1, 1), (1, 2), (1, 3)], None),
        ([(1, 1), (2, 2)], None),
        ([], None),
    ],
)
def test_rank_correlation(pairs: list[tuple[float, float]], expected: float | None) -> None:
    found = Calibration.of(measured(*pairs)).rank_correlation
    assert found == (None if expected is None else pytest.approx(expected))


# Evidence from anywhere


def test_evidence_is_read_as_documented() -> None:
    evidence = Evidence.read(EVIDENCE)
    (task,) = evidence.tasks
    assert (task.task, task.run_id, task.weight) == ("fashion", "earlier", 0.7)
    assert task.trials == (TrialEvidence(3, 0.8, 0.4), TrialEvidence(1, None, -0.1))
    assert evidence.own == (TrialEvidence(0, 0.7, 0.2),)
    assert (evidence.decisions[0].parameter, evidence.decisions[0].effect) == ("layer", 0.03)
    assert evidence.no_transfer == 0.25


@pytest.mark.parametrize(
    "mapping",
    [
        {},
        {"tasks": None, "own": {}, "decisions": 3, "no_transfer": "much"},
        {"tasks": [3, {}, {"task": "a"}, {"task": "a", "weight": None}]},
        {"own": [{"number": 1.5, "weight": 1.0}, {"number": True, "weight": 1.0}, {"number": 1}]},
        {"own": [{"number": 1, "weight": 10**400}, {"number": 1, "weight": float("nan")}]},
        {"decisions": [{"effect": 1.0}, {"parameter": "a", "effect": "1"}]},
    ],
)
def test_what_does_not_fit_is_left_out(mapping: dict[str, Any]) -> None:
    assert Evidence.read(mapping) == Evidence()
    assert not Evidence.read(mapping)


trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
names = st.sampled_from(["task", "run_id", "weight", "trials", "number", "value", "parameter"])
entries = st.lists(
    st.dictionaries(names | st.just("effect"), trees, max_size=5) | trees, max_size=3
)
keys = st.sampled_from(["tasks", "own", "decisions", "no_transfer"]) | st.text()


@settings(max_examples=30, deadline=None)
@given(st.dictionaries(keys, entries | trees, max_size=4))
def test_no_evidence_stops_an_explanation(evidence: dict[str, Any]) -> None:
    from meta_nni.cli.explain import _lines

    history = History(make_run(), (proposed(0, 0.5, evidence=evidence),))
    trials = [explain_trial(trial) for trial in history.trials]
    for whole in (False, True):
        lines = list(_lines(history, trials, Calibration.of(history), whole))
        assert all(line.isprintable() and len(line) <= 100 for line in lines)


def test_a_history_without_predictions_is_explained() -> None:
    history = history_of(make_run(), [(make_config(), 0.5)])
    assert Calibration.of(history) == Calibration(0, 0, 0, None, None)

"""What every store keeps of runs and trials, whatever database it is in."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from histories import EVIDENCE, SPACE, fill, make_config, make_history, make_run, make_trial

from meta_nni.space import SearchSpace
from meta_nni.store import ExperienceStore, RunSummary, StoreError
from meta_nni.trial import History, Result, Suggestion, Trial

FAILED = Result.failed("out of memory")
VALUE = Result(0.9, seconds=2.0)


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


def test_shared_weights_teach_nothing(store: ExperienceStore) -> None:
    """Values of configs that shared weights compare with each other only."""
    result = Result(0.9, budget={"epochs": 2.0, "shared_weights": 1.0})
    fill(store, History(make_run("shared"), (make_trial(0).with_result(result),)))
    assert store.histories() == []
    assert store.history("shared").shares_weights
    fill(store, make_history("own"))
    assert store.histories() == [make_history("own")]


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


def explained(evidence: dict[str, Any]) -> Trial:
    suggestion = Suggestion(make_config(), "adapted", 0.9, evidence=evidence)
    return Trial("0", 0, suggestion).with_result(VALUE)


def test_evidence_is_kept(store: ExperienceStore) -> None:
    kept = History(make_run(), (explained({**EVIDENCE, "later": [{"any": "thing \0"}]}),))
    fill(store, kept)
    assert store.history("run") == kept


def test_what_is_read_to_learn_from_has_no_evidence(store: ExperienceStore) -> None:
    fill(store, History(make_run(), (explained(EVIDENCE),)))
    assert store.histories() == [History(make_run(), (explained({}),))]


def test_evidence_that_is_not_finite_is_null(store: ExperienceStore) -> None:
    fill(store, History(make_run(), (explained({"own": [{"weight": math.nan}], "a": math.inf}),)))
    (trial,) = store.history("run").trials
    assert trial.suggestion.evidence == {"own": [{"weight": None}], "a": None}


def test_evidence_that_is_not_json_is_refused(store: ExperienceStore) -> None:
    store.add_run(make_run())
    with pytest.raises(StoreError, match="cannot be stored as JSON"):
        store.add_trials("run", [explained({"own": {1, 2}})])


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

"""Export and import, whatever database a store is in."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from histories import EVIDENCE, fill, make_config, make_history, make_run, make_trial

from meta_nni.experience import ExperienceError, write_experience
from meta_nni.store import ExperienceStore, ImportSummary, StoreError
from meta_nni.trial import History, Result, Suggestion, Trial

FAILED = Result.failed("out of memory")


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


def test_an_export_has_the_evidence(new_store: Callable[[], ExperienceStore], file: Path) -> None:
    trial = Trial("0", 0, Suggestion(make_config(), "adapted", evidence=EVIDENCE))
    first, second = new_store(), new_store()
    fill(first, History(make_run(), (trial,)))
    first.export(file)
    second.import_(file)
    assert second.history("run") == first.history("run")
    assert second.history("run").trials[0].suggestion.evidence == EVIDENCE


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

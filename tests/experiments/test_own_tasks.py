"""The experiment on a user's own tasks: its parts, and all of it with trials that cost nothing."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from histories import SPACE, fill, make_config, make_run, make_trial

from experiments.own_tasks import run, search
from experiments.own_tasks.search import Progress
from experiments.own_tasks.setting import Setting, ended, runs_of, store_without
from experiments.own_tasks.table import trials_table
from meta_nni.store import ExperienceStore
from meta_nni.trial import History, Result, Suggestion, Trial

ROOT = Path(__file__).parents[2]


@pytest.fixture
def setting(tmp_path):
    file = tmp_path / "space.json"
    file.write_text(json.dumps(SPACE.to_nni()))
    return Setting(
        file, None, "cnn_small", 2, 100, 30.0, 3, 2, "none", 7, output=tmp_path / "output"
    )


def test_a_trial_is_told_its_data_and_budget(setting):
    words = shlex.split(setting.command(Path("/my data/a.npz")))
    assert words[:4] == ["python", "trial.py", "--data", "/my data/a.npz"]
    assert words[4:] == [
        *("--model", "cnn_small", "--epochs", "2"),
        *("--samples", "100", "--seconds", "30.0"),
    ]


def test_nni_is_told_the_task_its_data_and_the_recipe(setting):
    config = setting.config(Path("/d/a.npz"), {"store": "s.db", "seed": 1}, 3)
    assert config["tuner"]["classArgs"] == {
        "task": "a",
        "data": {"npz": "/d/a.npz"},
        "recipe": setting.recipe,
        "store": "s.db",
        "seed": 1,
    }
    assert (config["maxTrialNumber"], config["trialConcurrency"]) == (3, 2)
    assert (Path(config["trialCodeDirectory"]) / "trial.py").is_file()


def test_only_runs_of_the_same_task_space_and_recipe_count_as_measured(setting, tmp_path):
    store = ExperienceStore.open(tmp_path / "a.db")
    trials = (make_trial(0, 0.5), make_trial(1).with_result(Result.failed("no")), make_trial(2))
    for name, recipe, task in [
        ("same", setting.recipe, "a"),
        ("again", setting.recipe, "a"),
        ("other recipe", "else", "a"),
        ("other task", setting.recipe, "b"),
    ]:
        fill(store, History(make_run(name, task=task, recipe=recipe), trials))
    found = runs_of(store, setting, "a")
    assert [history.run.run_id for history in found] == ["same", "again"]
    assert ended(found) == 4
    assert ended([]) == 0


def test_the_left_out_task_is_unknown_to_its_store_and_what_is_copied_again_is_added(tmp_path):
    store = ExperienceStore.open(tmp_path / "all.db")
    for task in "abc":
        fill(store, History(make_run(f"run {task}", task=task), (make_trial(0, 0.5),)))
    path = tmp_path / "output" / "without.db"
    copy = store_without("b", store, path)
    assert {run.task for run in copy.runs()} == {"a", "c"}
    fill(copy, History(make_run("own", task="b"), (make_trial(0, 0.7),)))
    fill(store, History(make_run("run d", task="d"), (make_trial(0, 0.5),)))
    again = store_without("b", store, path)
    assert [run.run_id for run in again.runs()] == ["run a", "run c", "own", "run d"]
    assert [file.name for file in path.parent.glob("*.gz")] == []


def history(objective, *outcomes):
    trials = [
        Trial(str(number), number, Suggestion(make_config(), "adapted", mean, 0.25)).with_result(
            Result(value)
        )
        for number, (mean, value) in enumerate(outcomes)
    ]
    return History(make_run(objective=objective), tuple(trials))


def test_the_table_has_the_best_so_far_beside_a_cold_start():
    warm = history("maximize", (0.5, 0.7), (None, None), (0.8, 0.6))
    cold = history("maximize", (None, 0.2), (0.3, 0.4))
    assert [line.split() for line in trials_table(warm, cold).splitlines()] == [
        ["trial", "source", "predicted", "measured", "best", "cold", "best", "cold"],
        ["1", "adapted", "0.500", "±", "0.250", "0.700", "0.700", "0.200", "0.200"],
        ["2", "adapted", "-", "failed", "0.700", "0.400", "0.400"],
        ["3", "adapted", "0.800", "±", "0.250", "0.600", "0.700"],
    ]


def test_the_best_is_the_lowest_where_lower_is_better():
    lines = trials_table(history("minimize", (0.5, None), (0.5, 0.7), (0.8, 0.6))).splitlines()
    assert [line.split()[-1] for line in lines] == ["best", "-", "0.700", "0.600"]


def test_progress_says_how_long_the_rest_will_take(capsys, monkeypatch):
    times = iter([0.0, 60.0, 180.0])
    monkeypatch.setattr("experiments.own_tasks.search.time.monotonic", lambda: next(times))
    progress = Progress(4)
    progress("digits", history("maximize", (0.5, 0.7)).trials[0])
    progress("digits", history("maximize", (None, None)).trials[0])
    assert capsys.readouterr().out.splitlines() == [
        "[1/4, about 3 min left] digits 0: adapted, predicted 0.500, measured 0.700, 0 s",
        "[2/4, about 3 min left] digits 0: adapted, no value was reported, 0 s",
    ]


class FakeExperiment(search.Experiment):
    """Stands for NNI alone: each start takes the next of the fates; watching is the real one."""

    def __init__(self, config, folder):
        self.id, self.port, self.status = "id", 0, self.fates.pop(0)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def log(self):
        return "the log"


def late():
    return {"status": "ERROR", "errors": ["tuner: Tuner did not connect in 10 seconds."]}


def searched(setting, store, monkeypatch, *fates):
    monkeypatch.setattr(search, "Experiment", FakeExperiment)
    monkeypatch.setattr(FakeExperiment, "fates", list(fates), raising=False)
    return search.search(setting, Path("/d/a.npz"), {}, store, 1, Progress(1), "a")


def done(store, value):
    def status():
        if "nni-id" not in {run.run_id for run in store.runs()}:
            fill(store, History(make_run("nni-id"), (make_trial(0).with_result(Result(value)),)))
        return {"status": "DONE", "errors": []}

    return status


def test_a_tuner_that_is_late_is_started_again(setting, store, monkeypatch, capsys):
    found = searched(setting, store, monkeypatch, late, late, done(store, 0.5))
    assert [trial.value for trial in found.trials] == [0.5]
    assert capsys.readouterr().out.count("did not start in time") == 2
    with pytest.raises(RuntimeError, match="the tuner did not start"):
        searched(setting, ExperienceStore.open(setting.output / "b.db"), monkeypatch, *[late] * 4)


def test_an_error_or_a_search_without_values_ends_it(setting, store, monkeypatch):
    def error():
        return {"status": "ERROR", "errors": ["bad space"]}

    with pytest.raises(SystemExit, match=r"the experiment failed: \['bad space'\]\nthe log"):
        searched(setting, store, monkeypatch, error)
    with pytest.raises(SystemExit, match=r"no trial has a value; .*no value was reported"):
        searched(setting, store, monkeypatch, done(store, None))


def save_data(folder, *names):
    """Tiny images of two classes."""
    folder.mkdir()
    for name in names:
        rng = np.random.default_rng(len(name))
        arrays = {f"x_{split}": rng.integers(0, 255, (40, 8, 8), np.uint8) for split in SPLITS}
        arrays |= {f"y_{split}": np.arange(40) % 2 for split in SPLITS}
        np.savez(folder / f"{name}.npz", **arrays)


SPLITS = ("train", "test")


@pytest.mark.parametrize("names", [(), ("a",), ("a", "b")])
def test_a_folder_without_the_left_out_data_set_or_any_other_is_refused(tmp_path, names):
    save_data(tmp_path / "data", *names)
    left_out = "c" if len(names) == 2 else "a"
    arguments = ["--data", str(tmp_path / "data"), "--leave-out", left_out]
    arguments += ["--space", str(ROOT / "search_spaces/cnn_small.json")]
    with pytest.raises(SystemExit, match=r"expected at least two \.npz files, one of them"):
        run.main([*arguments, "--output", str(tmp_path / "output")])


def test_a_missing_space_is_refused(tmp_path):
    arguments = ["--data", str(tmp_path), "--leave-out", "a", "--space", str(tmp_path / "s.json")]
    with pytest.raises(SystemExit, match=r"--space is .*s\.json: no such file"):
        run.main(arguments)


def test_an_unfinished_search_on_the_left_out_task_is_removed_a_finished_one_kept(setting):
    path = run._path(setting, Path("a.npz"), "without")
    assert run._finished(setting, Path("a.npz"), "without") is None
    store = ExperienceStore.open(path)
    one = make_run("one", task="a", recipe=setting.recipe)
    fill(store, History(one, tuple(make_trial(number, 0.5) for number in range(2))))
    checkpoints = Path(f"{path}.checkpoints")
    checkpoints.mkdir()
    assert run._finished(setting, Path("a.npz"), "without") is None
    assert not path.exists()
    assert checkpoints.is_dir()
    store = ExperienceStore.open(path)
    fill(store, History(one, tuple(make_trial(number, 0.5) for number in range(3))))
    assert run._finished(setting, Path("a.npz"), "without") == store.history("one")
    assert path.exists()


TRIAL = """
from meta_nni import Result, run_trial

run_trial(lambda config, report: Result(0.5 + 0.1 * config["depth"]))
"""


@pytest.mark.host
def test_all_steps_under_nni_and_again_from_what_is_there(tmp_path, monkeypatch, capsys):
    """A data set and one left out, two trials each, which cost nothing; training is left out."""
    save_data(tmp_path / "data", "a", "left")
    (tmp_path / "space.json").write_text('{"depth": {"_type": "choice", "_value": [1, 2, 3]}}')
    (tmp_path / "trial.py").write_text(TRIAL)
    trained = []
    started = subprocess.run

    def training_left_out(command, **options):
        if "train" not in command:
            return started(command, **options)
        trained.append(command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", training_left_out)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    arguments = ["--data", str(tmp_path / "data"), "--space", str(tmp_path / "space.json")]
    arguments += ["--leave-out", "left", "--trials", "2", "--knowledge", "none"]
    arguments += ["--trial", f"{sys.executable} {tmp_path / 'trial.py'}"]
    arguments += ["--output", str(tmp_path / "output")]
    assert run.main(arguments) == 0
    first = capsys.readouterr().out
    assert run.main(arguments) == 0
    second = capsys.readouterr().out
    assert "[4/4, about 0 min left] left 1: " in first
    assert "left, after 1 other task\n" in first
    assert "predicted and measured" in first
    assert "a: measured before" in second
    assert "left: searched before" in second
    assert second.endswith(first[first.index("left, after 1") :])
    assert len(trained) == 1
    copy = ExperienceStore.open(tmp_path / "output" / "without-left.db")
    assert sorted((r.task, r.completed) for r in copy.runs()) == [("a", 2), ("left", 2)]
    tasks = {r.task for r in ExperienceStore.open(tmp_path / "output" / "experience.db").runs()}
    assert tasks == {"a"}

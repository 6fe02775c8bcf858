"""The tool that measures the shipped knowledge: design, row log, tasks, child processes."""

import importlib
import itertools
import json
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from meta_nni.experience import read_experience
from meta_nni.space import SearchSpace

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "experiments/build_knowledge"
MODULES = ("candidate", "collect", "design", "recipes", "rows", "run", "tasks")


@pytest.fixture(scope="module")
def tool():
    """The scripts' modules, which import each other by their plain names."""
    sys.path.insert(0, str(FOLDER))
    yield SimpleNamespace(**{name: importlib.import_module(name) for name in MODULES})
    sys.path.remove(str(FOLDER))
    for name in MODULES:
        del sys.modules[name]


@pytest.fixture
def space():
    return SearchSpace.from_nni(
        json.loads((ROOT / "search_spaces/autokeras_image.json").read_text())
    )


def test_the_design_is_reproducible_different_per_task_and_without_repetition(tool, space):
    def first(task):
        return list(itertools.islice(tool.design.stream(task, space), 60))

    assert first("a") == first("a")
    keys = {space.key(config) for config in first("a") + first("b")}
    assert len(keys) == 120


def test_probabilities_belong_to_options(tool):
    design = tool.design
    for name in ("image", "text", "tabular"):
        spec = json.loads((ROOT / f"search_spaces/autokeras_{name}.json").read_text())
        for parameter in SearchSpace.from_nni(spec).parameters:
            probabilities = design._probabilities(parameter.path[-1], parameter.size)
            assert len(probabilities) == parameter.size
            assert sum(probabilities) == pytest.approx(1)
    assert design._probabilities("image_block_1/conv_block_1/filters_2_1", 6)[0] == 0.30
    assert design._probabilities("image_block_1/res_net_block_1/version", 6) == [1 / 6] * 6


def test_task_names_are_unique_and_relations_mutual(tool):
    tasks = {task.name: task for task in tool.tasks.TASKS}
    assert len(tasks) == len(tool.tasks.TASKS)
    for name, task in tasks.items():
        for relative in tool.tasks.shares(task):
            assert name in tool.tasks.shares(tasks[relative])
    counts = [sum(task.kind == kind for task in tasks.values()) for kind in tool.recipes.RECIPES]
    assert counts >= [14, 14, 25]
    assert "sst2" in tool.tasks.shares(tasks["snippet_source4"])
    assert tool.tasks.shares(tasks["adult"]) == ["adult-500rows"]


def test_variations_keep_what_they_say(tool, tmp_path):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 255, (300, 8, 8, 3)).astype(np.uint8)
    (tmp_path / "image").mkdir()
    np.savez(tmp_path / "image/toy.npz", x_train=x, y_train=np.arange(300) % 5, x_test=x)
    task = tool.tasks.TaskSpec("image", "toy", classes=3, rows=60, pixels=4)
    assert task.name == "toy-4px-3c-60rows"
    file = tool.tasks.materialise(task, tmp_path, tmp_path / "cache")
    with np.load(file) as arrays:
        assert set(arrays.files) == {"x_train", "y_train"}
        assert arrays["x_train"].shape == (60, 4, 4, 3)
        assert np.unique(arrays["y_train"], return_counts=True)[1].tolist() == [20, 20, 20]
        assert arrays["x_train"].mean() == pytest.approx(x.mean(), rel=0.05)
    original = replace(task, classes=None, rows=None, pixels=None)
    assert tool.tasks.materialise(original, tmp_path, tmp_path) == tmp_path / "image/toy.npz"


def test_a_scaled_target_has_mean_0_and_deviation_1(tool):
    task = tool.tasks.TaskSpec("tabular", "toy_reg", scaled=True)
    _, y = tool.tasks._vary(task, np.zeros((3, 1)), np.array([100.0, 200.0, 600.0]))
    assert task.is_regression
    assert task.space == "autokeras_tabular_regression"
    assert y.mean() == pytest.approx(0, abs=1e-6)
    assert y.std() == pytest.approx(1)


def test_a_line_cut_short_is_dropped(tool, tmp_path):
    path = tmp_path / "rows/task.jsonl"
    with tool.rows.locked(path) as file:
        tool.rows.append(file, {"index": 0})
    with path.open("a") as file:
        file.write('{"index": 1, "val')
    assert tool.rows.read(path) == [{"index": 0}]
    with tool.rows.locked(path) as file:
        tool.rows.append(file, {"index": 1})
    assert tool.rows.read(path) == [{"index": 0}, {"index": 1}]


def test_a_log_has_one_writer(tool, tmp_path):
    path = tmp_path / "task.jsonl"
    with tool.rows.locked(path) as first, tool.rows.locked(path) as second:
        assert first is not None
        assert second is None


def test_the_task_furthest_behind_comes_first(tool, tmp_path, monkeypatch):
    tasks = (
        tool.tasks.TaskSpec("image", "a"),
        tool.tasks.TaskSpec("image", "b"),
        tool.tasks.TaskSpec("tabular", "c"),
    )
    recipes = {
        "image": replace(tool.recipes.RECIPES["image"], configs=2),
        "tabular": replace(tool.recipes.RECIPES["tabular"], configs=4),
    }
    monkeypatch.setattr(tool.run, "TASKS", tasks)
    monkeypatch.setattr(tool.run, "RECIPES", recipes)

    def measure_next(task, *arguments):
        return {"index": 0, "recipe": recipes[task.kind].name}

    monkeypatch.setattr(tool.run, "_measure_next", measure_next)
    with tool.rows.locked(tmp_path / "a.jsonl") as file:
        for recipe in (recipes["image"].name, "another recipe's row does not count"):
            tool.rows.append(file, {"index": 0, "recipe": recipe})
    measured = [
        (task.name, left) for task, _, left in tool.run._measure_all(tmp_path, tmp_path, {})
    ]
    assert measured == [("c", 6), ("b", 5), ("c", 4), ("a", 3), ("c", 2), ("b", 1), ("c", 0)]


class TestChild:
    """`measure` with a stand-in for the evaluation, in real processes."""

    @pytest.fixture
    def measure(self, tool, monkeypatch):
        def measure(evaluate, paused=lambda: False):
            monkeypatch.setattr(tool.candidate, "_evaluate", evaluate)
            monkeypatch.setattr(tool.candidate.os, "listdir", lambda folder: ["main"])
            recipe = tool.recipes.RECIPES["tabular"]
            return tool.candidate.measure(recipe, "space", Path("x.npz"), {"a": 1}, paused)

        return measure

    def test_a_result_comes_back_whole(self, measure, tool):
        result = tool.candidate.Result(0.5, seconds=1.0, curve=(0.25, 0.5), budget={"epochs": 2.0})
        assert measure(lambda *arguments: result) == result

    def test_the_config_arrives(self, measure, tool):
        failed = tool.candidate.Result.failed
        result = measure(lambda recipe, space, file, config: failed(f"{space} {file} {config}"))
        assert result.reason == "space x.npz {'a': 1}"

    def test_a_killed_process_is_a_failure(self, measure, tool):
        result = measure(lambda *arguments: signal.raise_signal(signal.SIGTERM))
        assert result.reason == "the process died of SIGTERM"
        assert result.seconds >= 0

    def test_too_much_memory_is_a_failure(self, measure, tool, monkeypatch):
        monkeypatch.setattr(tool.candidate, "MAX_MEMORY_BYTES", 2**20)
        result = measure(lambda *arguments: time.sleep(60))
        assert result.reason == "out of memory: more than 1 MiB"

    def test_a_paused_process_stands_still_and_goes_on(self, measure, tool):
        answers = itertools.chain([True, True, True], itertools.repeat(False))
        result = measure(
            lambda *arguments: tool.candidate.Result(1.0), paused=lambda: next(answers)
        )
        assert result.value == 1.0

    def test_other_threads_forbid_the_fork(self, measure, tool, monkeypatch):
        monkeypatch.setattr(tool.candidate.os, "listdir", lambda folder: ["main", "pool"])
        with pytest.raises(RuntimeError, match="2 threads"):
            tool.candidate.measure(None, "", Path(), {}, lambda: False)


def test_collected_rows_read_back_as_experience(tool, tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    (tmp_path / "tabular").mkdir()
    x, y = rng.normal(size=(60, 3)), np.arange(60) % 2
    np.savez(tmp_path / "tabular/toy.npz", x_train=x, y_train=y)
    index = [{"name": "toy", "origin": "made here", "license": "CC0-1.0"}]
    (tmp_path / "index.json").write_text(json.dumps(index))
    task = tool.tasks.TaskSpec("tabular", "toy")
    monkeypatch.setattr(tool.collect, "TASKS", (task,))
    spec = json.loads((ROOT / f"search_spaces/{task.space}.json").read_text())
    configs = itertools.islice(tool.design.stream("toy", SearchSpace.from_nni(spec)), 2)
    outcome = {"curve": [0.6, 0.7], "metrics": {"f1": 0.1234567}, "budget": {"epochs": 25.0}}
    with tool.rows.locked(tmp_path / "rows/toy.jsonl") as file:
        for number, config in enumerate(configs):
            good = {"value": 0.7, "state": "completed", "reason": None, "seconds": 3.0, **outcome}
            bad = {"value": None, "state": "failed", "reason": "too large", "seconds": None}
            row = good if number == 0 else {**bad, "curve": [], "metrics": {}, "budget": {}}
            fixed = {"recipe": "autokeras-tabular-v1", "environment": {"device": "cpu"}}
            tool.rows.append(file, {"index": number, "config": config, **row, **fixed})
    arguments = ["collect", "--data", tmp_path, "--rows", tmp_path / "rows", "--out", tmp_path]
    monkeypatch.setattr(sys, "argv", list(map(str, arguments)))
    tool.collect.main()
    (history,) = read_experience(tmp_path / "autokeras_tabular.jsonl.gz")
    assert history.run.run_id == "autokeras-tabular-v1/toy"
    assert history.run.task.metafeatures["n_train"] == 60
    assert history.run.extra["source"]["licence"] == "CC0-1.0"
    assert [trial.state for trial in history.trials] == ["completed", "failed"]
    assert history.trials[0].result.metrics == {"f1": 0.12346}
    assert history.trials[1].result.reason == "too large"
    readme = (tmp_path / "README.md").read_text()
    assert "| tabular | 1 | 2 | 1 |" in readme
    assert "| autokeras-tabular-v1/toy | 2 | 1 | val_accuracy 0.700 | toy | CC0-1.0 |" in readme
    files = [tmp_path / "autokeras_tabular.jsonl.gz", tmp_path / "README.md"]
    first = [file.read_bytes() for file in files]
    tool.collect.main()
    assert [file.read_bytes() for file in files] == first

"""The warm-start comparison: nothing is measured twice, regrets and bars by hand."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest

from experiments.transfer_benchmark import records
from experiments.transfer_benchmark.records import Job
from experiments.warm_start import report, run
from experiments.warm_start.measured import Measured
from experiments.warm_start.tasks import KINDS, Kind
from meta_nni.controllers import RandomController
from meta_nni.space import SearchSpace
from meta_nni.task import Task
from meta_nni.trial import Result, Run

SETTINGS = {"epochs": 1}


class Scripted:
    """A data set that counts how often it is asked."""

    name = "scripted"
    space = SearchSpace.from_nni({"x": {"_type": "choice", "_value": [0, 1, 2, 3]}})

    def __init__(self):
        self.asked = []

    def run(self, run_id):
        return Run(run_id, Task(self.name), self.space)

    def measure(self, config):
        self.asked.append(config["x"])
        return Result(config["x"] / 4, seconds=1.0) if config["x"] else Result.failed("too slow")


def test_nothing_is_measured_twice(tmp_path):
    file, data_set = tmp_path / "kind" / "measured.jsonl", Scripted()
    found = [
        run.search(data_set, data_set.run("r"), RandomController(), (), 3, measured, 4)
        for measured in (Measured(file, SETTINGS) for _ in range(2))
    ]
    assert sorted(data_set.asked) == [0, 1, 2, 3]
    first, second = ([trial.result for trial in history.trials] for history in found)
    assert first == second
    with file.open("a") as lines:
        lines.write('{"data_set": "scripted", "ke')  # a kill
    assert sorted(Measured(file, SETTINGS).values("scripted")) == [0.25, 0.5, 0.75]


def test_random_searches_of_two_data_sets_try_different_configs(tmp_path):
    measured, tried = Measured(tmp_path / "measured.jsonl", SETTINGS), []
    for name in ("scripted", "another"):
        data_set = Scripted()
        data_set.name = name
        found = run.search(data_set, data_set.run("r"), RandomController(), (), 3, measured, 4)
        tried.append([trial.config["x"] for trial in found.trials])
    assert tried[0] != tried[1]


def test_what_was_measured_after_a_kill_is_found_again(tmp_path):
    file, data_set = tmp_path / "measured.jsonl", Scripted()
    Measured(file, SETTINGS).get(data_set, {"x": 1})
    with file.open("a") as lines:
        lines.write('{"data_set": "scripted", "ke')
    for _ in range(2):
        Measured(file, SETTINGS).get(data_set, {"x": 2})
    assert data_set.asked == [1, 2]


def test_what_another_process_measured_is_not_measured_again(tmp_path):
    here, there = (Measured(tmp_path / "measured.jsonl", SETTINGS) for _ in range(2))
    data_set = Scripted()
    assert here.get(data_set, {"x": 1}) == there.get(data_set, {"x": 1})
    assert data_set.asked == [1]


def test_a_comparison_records_a_search_once_its_sources_are_measured(tmp_path, monkeypatch):
    data_sets = {}

    def data_set(kind, name, data, scratch):
        data_sets.setdefault(name, Scripted()).name = name
        return data_sets[name]

    kind = Kind("scripted", ("a", "b"), SETTINGS)
    kind.__dict__["searched"] = Scripted.space
    monkeypatch.setitem(KINDS, "scripted", kind)
    monkeypatch.setattr(run, "_data_set", data_set)
    monkeypatch.setattr(run.search, "__defaults__", (3,))
    curve = run.Comparison("scripted", tmp_path, tmp_path).run(Job("scripted", "portfolio", "a", 1))
    assert len(data_sets["b"].asked) == 3
    assert len(curve) == 3
    assert (
        records.read(tmp_path, ["portfolio"])[Job("scripted", "portfolio", "a", 1)]["values"]
        == curve
    )


@pytest.mark.host
def test_a_worker_ends_when_what_began_it_was_killed(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(
        "import os, time\n"
        "from concurrent.futures import ProcessPoolExecutor\n"
        "from multiprocessing import get_context\n"
        "from experiments.warm_start.run import _end_with_parent\n"
        "if __name__ == '__main__':\n"
        "    pool = ProcessPoolExecutor(1, get_context('spawn'), _end_with_parent)\n"
        "    print(pool.submit(os.getpid).result(), flush=True)\n"
        "    pool.submit(time.sleep, 600).result()\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(run.__file__).parents[2])}
    command = [sys.executable, str(script)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as parent:
        worker = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    _, alive = psutil.wait_procs([worker], timeout=60)
    assert alive == []


def test_measurements_and_searches_of_other_settings_are_refused(tmp_path):
    file = tmp_path / "measured.jsonl"
    Measured(file, SETTINGS).get(Scripted(), {"x": 1})
    with pytest.raises(SystemExit, match=r"measured\.jsonl holds a row .*'epochs': 3"):
        Measured(file, {"epochs": 3})
    folder = tmp_path / "text"
    search = {"table": "text", "arm": "warm", "task": "subjectivity", "seed": 0, "trials": 1}
    records.append(folder, {**search, "values": [0.5], "settings": {"epochs": 3}})
    arguments = ["--results", str(tmp_path), "--output", str(tmp_path)]
    for call in (
        lambda: report.main(arguments),
        lambda: run.main(["--kind", "text", "--data", str(tmp_path), *arguments[:2]]),
    ):
        with pytest.raises(SystemExit, match=r"expected .*'trials': 15"):
            call()


def test_another_config_of_the_same_key_is_no_result_of_this_one(tmp_path):
    file, data_set = tmp_path / "measured.jsonl", Scripted()
    Measured(file, SETTINGS).get(data_set, {"x": 1})
    data_set.space = SearchSpace.from_nni({"x": {"_type": "choice", "_value": [5, 6]}})
    with pytest.raises(ValueError, match="by the key of"):
        Measured(file, SETTINGS).get(data_set, {"x": 6})


def test_regrets_by_hand():
    measured = [0.2, 0.4, 0.6, 0.8, 1.0]
    found = report.regrets([None, 0.4, 0.6, 0.5, 0.8, 1.0], measured)
    assert found == pytest.approx([2.0, 1.0, 0.5, 0.0, 0.0])


def test_bars_compare_searches_of_the_same_task_and_seed():
    def curve(*values):
        return np.array(values)

    curves = {
        Job("text", "warm", "a", 0): curve(1, 0.5, 0.3, 0.1, 0.1),
        Job("text", "warm", "b", 0): curve(1, 0.5, 0.1, 0.1, 0.1),
        Job("text", "warm", "b", 1): curve(1, 0.5, 0.3, 0.1, 0.1),
        Job("text", "cold", "b", 1): curve(2, 1, 0.8, 0.6, 0.4),
        Job("text", "cold", "a", 0): curve(2, 1, 0.8, 0.6, 0.4),
        Job("text", "cold", "b", 0): curve(2, 1, 0.8, 0.6, 0.2),
        Job("text", "portfolio", "a", 0): curve(1, 0.5, 0.3, 0.1, 0.1),
    }
    cold, portfolio = report.bars("text", curves)
    assert cold.holds
    assert cold.numbers == "-0.100 ± 0.000 (n = 2)"
    assert portfolio.holds is False
    assert portfolio.numbers.startswith("+0.200")
    assert [verdict.holds for verdict in report.bars("text", {})] == [None, None]

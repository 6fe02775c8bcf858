"""Limits and objectives on tables: scalarised peers, and bars by hand."""

from dataclasses import replace

import numpy as np
import pytest

from experiments.constraints import report, run
from experiments.constraints.problem import Problem
from experiments.transfer_benchmark import records
from experiments.transfer_benchmark.tables import Table
from meta_nni.space import SearchSpace

SPACE = SearchSpace.from_nni({"x": {"_type": "choice", "_value": list(range(12))}})
VALUES = np.linspace(0.0, 1.0, 12)
COSTS = np.exp(np.linspace(0.0, 2.0, 12))


@pytest.fixture
def problem():
    """The better the dearer: every config is on the front."""
    configs = [{"x": i} for i in range(12)]
    values = {"own": VALUES, "other": VALUES[::-1]}
    x = np.arange(12.0)[:, None]
    table = Table("toy", SPACE, configs, x, values, values, lambda config, taken=(): config["x"])
    return Problem("toy", "own", table, "cost", {"own": COSTS, "other": COSTS})


def test_a_weighted_problem_has_the_scaled_sum_for_its_value(problem):
    low_value, low_cost = np.quantile(VALUES, 0.1), np.quantile(-np.log(COSTS), 0.1)
    value = (VALUES - low_value) / (1.0 - low_value)
    cost = (-np.log(COSTS) - low_cost) / -low_cost
    weighted = problem.weighted(0.25)
    assert weighted.values == pytest.approx(0.25 * value + 0.75 * cost)
    assert weighted.costs is problem.costs
    assert problem.weighted(1.0).values.argmax() == 11
    assert problem.weighted(0.0).values.argmax() == 0


def test_the_share_is_that_of_random_configs_not_of_rows(problem):
    of_rows = replace(problem.table, row=lambda config, taken=(): max(0, config["x"] - 4))
    folded = replace(problem, table=of_rows)  # configs 0 to 4 are all row 0
    assert np.mean(folded.costs <= folded.limit) == pytest.approx(4 / 12)
    assert folded.share == pytest.approx(8 / 12, abs=0.02)
    assert report.scores(folded, range(12))["share"] == folded.share


def test_the_front_as_a_whole_covers_everything(problem):
    whole = report.scores(problem, range(12))
    assert whole["hypervolume"][-1] == pytest.approx(1.0)
    assert whole["regret"][-1] == 0.0
    assert report.scores(problem, [0] * 12)["hypervolume"][-1] < 0.5
    assert report.scores(problem, [0, 11, *[0] * 10])["first"] == pytest.approx(0.9)


@pytest.mark.parametrize("arm", run.ARMS)
def test_each_arm_tries_configs_of_the_table(problem, arm, monkeypatch):
    monkeypatch.setattr(run, "TRIALS", 6)
    rows = run._search(arm, problem, None, 0)
    assert len(set(rows)) == 6
    if arm == "counted":  # 4 of 12 keep the limit
        assert set(rows[:4]) == {0, 1, 2, 3}


def row(arm, seed, after, volume, task="own"):
    place = {"problem": "toy", "task": task, "start": "cold", "measured": "2026-11-26"}
    numbers = {"first": 1.0, "after": after, "regret": [0.0] * 3, "hypervolume": [0.0, 0.0, volume]}
    return {**place, "arm": arm, "seed": seed, "share": 0.25 if seed else 0.5, **numbers}


def test_bars_compare_searches_of_the_same_task_and_seed():
    rows = [
        *[row("learned", seed, after, 0.5) for seed, after in enumerate([0.95, 0.8])],
        *[row("counted", seed, 1.0, 0.5) for seed in range(2)],
        *[row("pareto", seed, 0.5, volume) for seed, volume in enumerate([0.8, 0.6])],
        *[row("equal weights", seed, 0.5, volume) for seed, volume in enumerate([0.7, 0.5])],
        *[row("random", seed, 0.5, volume) for seed, volume in enumerate([0.9, 0.72])],
    ]
    holds = {verdict.bar: verdict.holds for verdict in report.verdicts(rows)}
    assert list(holds.values()) == [True, False, True, False]
    text = report.report(rows, "python -m x")
    assert "`python -m x`, 2026-11-26, " in text
    assert "+0.100 ± 0.000" in text
    assert text.count("**no**") == 2
    assert "Of random configs keep it:\ntoy 0.25 to 0.50.\n" in text


def test_the_error_is_over_tasks_not_over_seeds():
    gains = {"own": [0.1, 0.3], "other": [0.0, 0.0]}
    rows = [
        row(arm, seed, 0.5, 0.5 + (gain if arm == "pareto" else 0.0), task)
        for task, each in gains.items()
        for seed, gain in enumerate(each)
        for arm in ("pareto", "random")
    ]
    (found,) = report.verdicts(rows)
    assert found.numbers == "+0.100 ± 0.100 (n = 2)"


def test_a_killed_run_goes_on_and_other_settings_are_refused(tmp_path, monkeypatch):
    jobs = [{**row("random", seed, 0.5, 0.9), "settings": run.SETTINGS} for seed in range(2)]
    monkeypatch.setattr(
        run, "_missing", lambda _, seed, done: [] if run._job(jobs[seed]) in done else [jobs[seed]]
    )
    arguments = ["--tables", "none", "--output", str(tmp_path), "--seeds"]
    run.main([*arguments, "1"])
    with (tmp_path / "rows.jsonl").open("a") as lines:
        lines.write('{"problem": "toy", "ta')  # a kill
    run.main([*arguments, "2"])
    run.main([*arguments, "2"])
    found = records.read_rows(tmp_path / "rows.jsonl", run._job)
    assert [job[-1] for job, _ in found] == [0, 1]
    monkeypatch.setattr(run, "SETTINGS", {"trials": 50, "share": 0.3})
    with pytest.raises(SystemExit, match=r"rows\.jsonl holds a row with the settings .*50"):
        run.main([*arguments, "2"])


def test_the_committed_rows_are_of_the_settings():
    found = records.read_rows(run.HERE / "rows.jsonl", run._job)
    records.refuse_others(run.HERE, (each for _, each in found), run.SETTINGS)
    assert len({job for job, _ in found}) == len(found) == 336

"""Search on real data: the same seconds for all arms, no target among its sources, fair bars."""

import argparse
import json

import numpy as np
import pytest

from experiments.nas_strategies import data, data_arms, data_report
from experiments.transfer_benchmark import records
from experiments.transfer_benchmark.records import Job
from meta_nni.models.cells.canonical import merge_isomorphic
from meta_nni.oneshot import Found, OneShotSearch
from meta_nni.space import SearchSpace
from meta_nni.task import Task
from meta_nni.trial import History, Result, Run, Suggestion, Trial

SETTINGS = {"seconds": 100.0, "samples": 8, "cells": 4, "child_epochs": 1, "retrain_epochs": 2}
SPACE = merge_isomorphic(
    SearchSpace.from_nni(
        {
            f"edge_{a}_{b}": {"_type": "choice", "_value": ["none", "nor_conv_1x1"]}
            for a, b in ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
        }
    )
)


class Clock:
    """Stands in for the processor's time, which passes when something says so."""

    now = 1000.0

    def __call__(self):
        return self.now

    def passes(self, seconds):
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(data_arms.time, "process_time", clock)
    return clock


def setting(evaluator=None):
    trials = tuple(
        Trial(str(n), n, Suggestion(config, "random")).with_result(Result(0.1 * n, seconds=1.0))
        for n, config in enumerate(SPACE.sample(np.random.default_rng(n)) for n in range(4))
    )
    source = History(Run("s", Task("other", "maximize"), SPACE), trials)
    return data_arms.Setting(
        {"npz": "a"}, Task("t", "maximize"), SPACE, evaluator, [source], 100.0, 8, 0
    )


class Child:
    """Trains nothing; the last child is given what is left."""

    def __init__(self, clock):
        self.clock, self.max_seconds, self.limits = clock, None, []

    def __call__(self, config):
        self.limits.append(self.max_seconds)
        self.clock.passes(min(30.0, self.max_seconds))
        return Result(float(len(self.limits) == 2), seconds=30.0)


@pytest.mark.parametrize("arm", ["random", "portfolio", "evolution_warm"])
def test_children_are_trained_until_the_seconds_are_spent(arm, clock):
    child = Child(clock)
    found = data_arms.find(arm, setting(child))
    assert child.limits == [100.0, 70.0, 40.0, 10.0]
    assert (found.num_children, found.seconds) == (4, 100.0)


class Supernet:
    """A one-shot search that compiles for 5 seconds, trains 4 an epoch and derives for 3."""

    stops_after = None

    def __init__(self, space, data, epochs, samples, seed):
        self.epochs, self.clock, self.done = epochs, Supernet.time, 0
        self.initial = None
        Supernet.made.append(self)

    def run(self, report):
        self.clock.passes(5.0)
        for number in range(self.stops_after or self.epochs):
            self.clock.passes(4.0)
            self.done = number + 1
            report(number + 1, self.epochs, 0.5)
        self.clock.passes(3.0)
        stopped = "two skips" if self.stops_after else None
        return Found({"edge_0_1": "none"}, (), (), 0.0, stopped, "darts", "r")


@pytest.fixture
def supernet(clock, monkeypatch):
    monkeypatch.setattr(Supernet, "time", clock, raising=False)
    monkeypatch.setattr(Supernet, "made", [], raising=False)

    def learned_start(*args, **kwargs):
        clock.passes(20.0)
        return {"edge_0_1": {"none": 1.0}}

    monkeypatch.setattr(data_arms, "learned_start", learned_start)
    return Supernet


@pytest.mark.parametrize(("warm", "learning"), [(False, 0.0), (True, 20.0)])
def test_a_one_shot_search_ends_as_planned_within_the_seconds(warm, learning, clock, supernet):
    begun = clock()
    found = data_arms._one_shot(setting(), supernet, warm)
    trial, search = supernet.made
    assert search.done == search.epochs  # the learning rate fell to its end
    assert found.seconds == clock() - begun <= 100.0
    spent = learning + (5.0 + 4 * 4.0 + 3.0) + (5.0 + search.epochs * 4.0 + 3.0)
    assert found.seconds == spent > 100.0 - 4.0
    assert (search.initial is not None) == warm
    assert trial.initial is None


def test_why_a_search_ended_early_is_told(supernet, monkeypatch):
    monkeypatch.setattr(supernet, "stops_after", 3)
    found = data_arms._one_shot(setting(), supernet, False)
    assert found.stopped == "two skips"
    assert found.seconds < 50.0


class Late(Supernet):
    """Its first epoch after those on trial takes longer than all the seconds."""

    def run(self, report=None):
        if report is None:  # the second call
            assert self.max_seconds in OneShotSearch._ranges["max_seconds"]
            return Found({"edge_0_1": "derived"}, (), (), 0.0, None, "darts", "r")
        self.clock.passes(200.0 if len(self.made) > 1 else 0.0)
        return super().run(report)


def test_a_search_whose_time_is_up_derives_from_what_it_has(supernet):
    found = data_arms._one_shot(setting(), Late, False)
    assert found.config == {"edge_0_1": "derived"}
    assert found.seconds > 200.0


@pytest.fixture
def options(tmp_path):
    for name in data.DATA_SETS:
        rng = np.random.default_rng(0)
        x = rng.integers(0, 255, (20, 8, 8)).astype(np.uint8)
        np.savez(tmp_path / f"{name}.npz", x_train=x, y_train=np.arange(20) % 2)
    folder = tmp_path / "results"
    space = data._space()
    for name in data.DATA_SETS:
        for n in range(4):
            config = space.sample(np.random.default_rng(n))
            cell = {"config": config, "value": 0.1 * n, "seconds": 1.0, "trials": 1}
            job = Job("data", data.SOURCES, name, n)
            records.append(folder, {**job._asdict(), **cell, "settings": SETTINGS})
    return argparse.Namespace(data=tmp_path, results=folder, output=tmp_path, **SETTINGS)


def test_a_job_does_not_know_its_target_and_trains_what_it_found_anew(options, monkeypatch):
    seen = []

    def find(arm, setting):
        seen.append(setting)
        return data_arms.Outcome(setting.sources[0].trials[0].config, 3, 99.0, "two skips")

    class Evaluator:
        def __init__(self, space, data, **arguments):
            self.arguments = arguments

        def test(self, config):
            assert config == seen[0].sources[0].trials[0].config
            seen.append(self.arguments)
            return {"accuracy": 0.75}

    monkeypatch.setattr(data, "find", find)
    monkeypatch.setattr(data, "KerasEvaluator", Evaluator)
    record = data.run_job(Job("data", "random", "cifar10_sub", 5), options)
    assert {s.run.task.name for s in seen[0].sources} == set(data.DATA_SETS) - {"cifar10_sub"}
    assert seen[0].data["npz"].endswith("cifar10_sub.npz")
    assert seen[0].evaluator.arguments["epochs"] == 1
    assert (seen[1]["epochs"], seen[1]["patience"], seen[1]["seed"]) == (2, 2, 5)
    assert record["test_accuracy"] == 0.75
    assert record["settings"] == SETTINGS
    assert record["stopped"] == "two skips"
    json.dumps(record)


def test_results_of_other_settings_are_refused(options):
    command = ["--data", str(options.data), "--seeds", "0", "--output", str(options.output)]
    command += ["--results", str(options.results), "--seconds", "100", "--cells", "4"]
    command += ["--child-epochs", "1", "--retrain-epochs", "2"]
    assert data.main([*command, "--samples", "8"]) == 0  # nothing is left to be run
    with pytest.raises(SystemExit, match=r"'samples': 8.*expected.*'samples': 2000"):
        data.main([*command, "--samples", "2000"])


def results(num_seeds=2, **accuracies):
    return {
        Job("data", arm, task, seed): {
            "trials": 5 + seed,
            "search_seconds": 80.0 + 20.0 * seed,
            "stopped": "two skips" if seed else None,
            "test_accuracy": accuracy + 0.02 * seed,
            "settings": {"seconds": 1},
            "machine": "m",
            "date": "2026-01-01",
            "versions": {"numpy": "2"},
        }
        for arm, both in accuracies.items()
        for task, accuracy in zip(("a", "b"), both, strict=True)
        for seed in range(num_seeds)
    }


def bars(found):
    verdicts = data_report.check(found)
    return {v.where: v for v in verdicts if v.bar.startswith("warm at least as good as cold")}


def test_the_bar_is_on_the_mean_over_data_sets():
    found = bars(results(darts_cold=(0.5, 0.9), darts_warm=(0.8, 0.7), enas_cold=(0.5, 0.5)))
    holds = {where: verdict.holds for where, verdict in found.items()}
    assert holds == {"darts": True, "enas": None, "evolution": None, "meta": None}
    assert found["darts"].numbers == "+5.00 ± 0.00 points (n = 4)"
    found = bars(results(darts_cold=(0.5, 0.9), darts_warm=(0.6, 0.7)))
    assert found["darts"].holds is False


def test_nothing_is_judged_before_every_data_set_has_the_same_seeds():
    both = {"darts_cold": (0.5, 0.9), "darts_warm": (0.8, 0.7)}
    assert bars(results(1, **both))["darts"].holds is None
    found = results(3, **both)
    del found[Job("data", "darts_warm", "b", 2)]
    assert bars(found)["darts"].holds is None


def test_the_report_has_every_arm():
    text = data_report.markdown(results(darts_cold=(0.5, 0.9), random=(0.25, 0.75)))
    row = "| `random` | 26.00 ± 1.00 | 76.00 ± 1.00 | 51.00 ± 0.71 | 6 | 90 | 2 | 4 |"
    assert row in text


def test_the_table_of_all_cells_has_isomorphic_ones_once():
    cells = data_arms._table(SPACE)
    assert len({SPACE.key(config) for config in cells.configs}) == len(cells.configs) < 64
    assert [cells.row(config) for config in cells.configs] == list(range(len(cells.configs)))
    assert cells.x.shape[0] == len(cells.configs)

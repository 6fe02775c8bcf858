from dataclasses import replace

import numpy as np
import pytest
from synthetic import CONFIGS, SPACE, Problem

from meta_nni.controllers import MetaController
from meta_nni.controllers.metric_model import MetricModel
from meta_nni.task import Task
from meta_nni.trial import History, Result, Run, Suggestion, Trial

WIDTHS = {SPACE.key(c): 10.0 * c["depth"] * (1 + c["width"]) for c in CONFIGS}
LIMIT = float(np.quantile(list(WIDTHS.values()), 0.3))


def cost(config):
    return WIDTHS[SPACE.key(config)]


def search(extra, num_trials=20, controller=None, name="parameters"):
    problem = Problem(100)
    run = Run("run", Task("task"), SPACE, extra=extra)
    controller = controller or MetaController()
    controller.learn(run, (), np.random.default_rng(0))
    history = History(run)
    while (number := len(history.trials)) < num_trials:
        rng = np.random.default_rng([0, number])
        (suggestion,) = controller.propose(history, 1, rng)
        result = Result(problem(suggestion.config), metrics={name: cost(suggestion.config)})
        trial = Trial(str(number), number, suggestion).with_result(result)
        history = History(run, (*history.trials, trial))
    return history


def configs(history):
    return [trial.config for trial in history.trials]


@pytest.mark.parametrize("empty", [{"limits": {}}, {"limits": None, "objectives": None}])
def test_without_limits_nothing_changes(empty):
    assert configs(search(empty, 8)) == configs(search({}, 8))


def test_a_learned_limit_is_kept_after_some_trials():
    history = search({"limits": {"latency_ms": LIMIT}}, name="latency_ms")
    kept = [cost(config) <= LIMIT for config in configs(history)]
    assert np.mean(kept[10:]) >= 0.9
    assert cost(history.best.config) <= LIMIT


def test_a_counted_limit_is_kept_from_the_first_trial_on():
    asked = []

    def count(config):
        asked.append(SPACE.key(config))
        return cost(config)

    history = search({"limits": {"parameters": LIMIT}}, 8, MetaController(count=count))
    assert all(cost(config) <= LIMIT for config in configs(history))
    assert len(asked) == len(set(asked))


def test_a_wrong_count_is_found_out_by_the_first_trial(caplog):
    def count(config):
        return cost(config) + 10 * LIMIT  # of other rows than the trials': all break the limit

    history = search({"limits": {"parameters": LIMIT}}, 20, MetaController(count=count))
    assert np.mean([cost(config) <= LIMIT for config in configs(history)[10:]]) >= 0.9
    (told,) = caplog.messages
    assert "measured" in told
    assert "is learned from the trials instead" in told


def test_where_nothing_is_feasible_the_likeliest_is_proposed():
    history = search({"limits": {"latency_ms": 0.1}}, 12, name="latency_ms")
    assert history.best is None
    late = np.mean([cost(config) for config in configs(history)[8:]])
    assert late < np.mean(list(WIDTHS.values()))


def test_several_objectives_find_more_of_the_front_than_one():
    extra = {"objectives": ["value", {"latency_ms": "minimize"}]}
    both, one = search(extra, 15, name="latency_ms"), search({}, 15, name="latency_ms")
    cheapest = [min(cost(config) for config in configs(each)) for each in (both, one)]
    assert cheapest[0] <= cheapest[1]
    assert configs(both) != configs(one)


@pytest.mark.parametrize("told", [False, True])
def test_costs_below_0_are_told_apart(told):
    problem, run = Problem(100), Run("run", Task("task"), SPACE)
    few = CONFIGS[::8]
    results = [Result(problem(config), metrics={"signed": cost(config) - 100}) for config in few]
    trials = [
        Trial(str(number), number, Suggestion(config, "random")).with_result(result)
        for number, (config, result) in enumerate(zip(few, results, strict=True))
    ]
    seen = History(run, tuple(trials))
    sources = [replace(seen, run=replace(run, run_id="earlier"))] if told else []
    model = MetricModel(run, sources, "signed", -1.0, np.random.default_rng(0))
    known = model.at(History(run, seen.trials[:4]) if told else seen)
    assert known.model.scale(-5.0) > known.model.scale(-1.0) > known.model.scale(2.0)
    assert len(np.unique(known.observed.evidence.z)) > 1


def test_a_batch_of_several_objectives_differs():
    run = Run("run", Task("task"), SPACE, extra={"objectives": ["value", "latency_ms"]})
    controller = MetaController()
    controller.learn(run, (), np.random.default_rng(0))
    history = search({"objectives": ["value", "latency_ms"]}, 6, name="latency_ms")
    found = controller.propose(history, 4, np.random.default_rng(3))
    assert len({SPACE.key(each.config) for each in found}) == 4


@pytest.mark.parametrize("extra", [{"limits": {"parameters": LIMIT}}, {"limits": {"own": 5}}])
def test_a_resumed_run_proposes_what_an_uninterrupted_one_would(extra):
    controller = MetaController(count=cost)
    whole = search(extra, 6, controller)
    fresh = MetaController(count=cost)
    fresh.learn(whole.run, (), np.random.default_rng(0))
    cut = History(whole.run, whole.trials[:5])
    (found,) = fresh.propose(cut, 1, np.random.default_rng([0, 5]))
    assert found.config == whole.trials[5].config

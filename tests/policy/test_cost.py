import dataclasses

import numpy as np
import pytest
from synthetic import CONFIGS, SPACE, Problem

from meta_nni.policy.cost import CostModel, last_timed, log_seconds
from meta_nni.policy.kernel import vectors
from meta_nni.policy.source import Source
from meta_nni.trial import Result, Suggestion, Trial

X = vectors(SPACE, CONFIGS)
NOTHING = (X[:0], np.zeros(0))


def law(config):
    """Seconds multiply: by 2 for each width, by 3 for a convolution, by the root of depth."""
    return (
        2.0 ** config["width"] * (3.0 if config["op"] == "conv" else 1.0) * config["depth"] ** 0.5
    )


def timed(factor, seed, count=40):
    history = Problem(seed).history(count, seed)
    noise = np.random.default_rng(seed).normal(0, 0.1, count)
    trials = [
        dataclasses.replace(
            trial, result=Result(trial.value, seconds=factor * law(trial.config) * np.exp(e))
        )
        for trial, e in zip(history.trials, noise, strict=True)
    ]
    return Source.from_history(
        dataclasses.replace(history, trials=tuple(trials)), SPACE, np.random.default_rng(0)
    )


def off(predicted, factor):
    """Mean absolute error of log seconds."""
    expected = np.log([factor * law(config) for config in CONFIGS])
    return float(np.mean(np.abs(np.log(predicted) - expected)))


def test_seconds_follow_the_law_of_the_sources():
    model = CostModel([timed(10.0, 0), timed(10.0, 1)], np.array([0.5, 0.5]))
    predicted = model.after(*NOTHING)(X)
    assert predicted.shape == (256,)
    assert off(predicted, 10.0) < 0.15


def test_effects_are_those_of_ridge_regression_within_runs():
    sources, weights = [timed(1.0, 0), timed(100.0, 1, count=25)], np.array([0.8, 0.2])
    x = [source.x.reshape(len(source.x), -1) for source in sources]
    y = [np.array([log_seconds(trial) for trial in source.trials]) for source in sources]
    apart = np.concatenate([a - a.mean(0) for a in x])
    gram = apart.T @ apart + 0.3 * np.eye(apart.shape[1])
    beta = np.linalg.solve(gram, apart.T @ np.concatenate([b - b.mean() for b in y]))
    levels = [b.mean() - a.mean(0) @ beta for a, b in zip(x, y, strict=True)]
    expected = np.exp(weights @ levels + X.reshape(len(X), -1) @ beta)
    assert CostModel(sources, weights).after(*NOTHING)(X) == pytest.approx(expected)


def test_the_level_before_any_trial_is_the_weighted_mean_of_the_sources():
    sources = [timed(1.0, 0), timed(100.0, 1)]
    for weights, level in (([0.5, 0.5], 10.0), ([1.0, 0.0], 1.0), ([0.0, 1.0], 100.0)):
        predicted = CostModel(sources, np.array(weights)).after(*NOTHING)(X)
        assert off(predicted, level) < 0.2


def test_a_slower_machine_moves_the_level_only():
    model = CostModel([timed(1.0, 0), timed(100.0, 1)], np.array([0.5, 0.5]))
    own = [3, 77, 200]
    logs = np.log([700.0 * law(CONFIGS[i]) for i in own])
    assert off(model.after(X[own], logs)(X), 700.0) < 0.2


def test_without_sources_the_runs_own_trials_teach_the_law():
    model = CostModel([], np.zeros(0))
    assert model.after(*NOTHING) is None
    own = np.random.default_rng(0).choice(256, 40, replace=False)
    logs = np.log([5.0 * law(CONFIGS[i]) for i in own])
    assert off(model.after(X[own], logs)(X), 5.0) < 0.2
    assert model.after(X[[9]], np.log([4.0]))(X) == pytest.approx(np.full(256, 4.0))


def test_of_very_many_trials_the_last_count():
    trials = [
        Trial(str(n), n, Suggestion({}, "random"), "completed", Result(0.5, seconds=n % 3))
        for n in range(1200)
    ]
    timed, logs = last_timed(trials)
    assert [trial.number for trial in timed] == [n for n in range(1200) if n % 3][-512:]
    assert logs == pytest.approx(np.log([trial.result.seconds for trial in timed]))
    assert [trial.number for trial in last_timed(trials[:9])[0]] == [1, 2, 4, 5, 7, 8]


def test_sources_that_were_not_timed_do_not_count():
    untimed = Source.from_history(Problem(3).history(8), SPACE, np.random.default_rng(0))
    bare = dataclasses.replace(
        untimed,
        trials=tuple(dataclasses.replace(t, result=Result(t.value)) for t in untimed.trials),
    )
    assert CostModel([bare], np.array([1.0])).after(*NOTHING) is None
    both = CostModel([bare, timed(10.0, 0)], np.array([0.9, 0.1])).after(*NOTHING)(X)
    assert off(both, 10.0) < 0.2


@pytest.mark.parametrize(
    ("result", "state", "log"),
    [
        (Result(0.5, seconds=np.e), "completed", 1.0),
        (Result(0.5), "completed", None),
        (Result(0.5, seconds=0.0), "completed", None),
        (Result(0.5, seconds=-1.0), "completed", None),
        (Result(0.5, seconds=float("nan")), "completed", None),
        (Result(0.5, seconds=float("inf")), "completed", None),
        (Result.failed("out of memory", 3.0), "failed", None),
        (None, "running", None),
    ],
)
def test_only_whole_trainings_are_timed(result, state, log):
    trial = Trial("1", 0, Suggestion({}, "random"), state, result)
    assert log_seconds(trial) == (None if log is None else pytest.approx(log))

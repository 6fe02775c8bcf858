from dataclasses import replace

import numpy as np
import pytest
from sample_spaces import choice
from synthetic import CONFIGS, SPACE, Problem

from meta_nni.policy.ensemble import Ensemble
from meta_nni.policy.kernel import Kernel, vectors
from meta_nni.policy.source import Source
from meta_nni.space import SearchSpace
from meta_nni.task import Task
from meta_nni.testing import history_of
from meta_nni.trial import Run

KERNEL = Kernel(np.array([0.4, 0.1, 0.8, 0.3]), noise=0.07)


def narrow_history():
    """A run in a space with two of the four parameters."""
    narrow = SearchSpace.from_nni({"op": choice("conv", "sep"), "depth": choice(1, 2, 4, 8)})
    outcomes = [(config, float(config["depth"])) for config in narrow.configs()]
    return history_of(Run("narrow", Task("narrow"), narrow), outcomes)


def sources():
    histories = [Problem(0).history(20), narrow_history(), Problem(1).history(7)]
    return [Source.from_history(h, SPACE, np.random.default_rng(0)) for h in histories]


def test_predictions_are_the_posterior_means_of_each_source():
    x = vectors(SPACE, CONFIGS[::30])
    found = Ensemble(KERNEL, sources(), borrowing=False).predict(x)
    assert found.shape == (len(x), 3)
    for column, source in enumerate(sources()):
        relevance = np.where(source.mask, KERNEL.relevance, 0.0)

        def k(a, b, relevance=relevance):
            apart = ((a[:, None] - b[None]) ** 2).sum(-1)
            return np.exp(-(apart * relevance).sum(-1))

        own = k(source.x, source.x) + 0.07 * np.eye(len(source.y))
        expected = k(x, source.x) @ np.linalg.inv(own) @ source.y
        assert found[:, column] == pytest.approx(expected)
        assert expected.std() > 0.1


def test_parameters_that_a_source_lacks_do_not_change_what_it_says():
    ensemble = Ensemble(KERNEL, sources()[1:2])
    alike = [c for c in CONFIGS if c["op"] == "sep" and c["depth"] == 4]
    said = ensemble.predict(vectors(SPACE, alike))
    assert len(alike) == 16
    assert said == pytest.approx(np.full((16, 1), said[0, 0]))


def test_without_sources_or_candidates_it_says_nothing():
    x = vectors(SPACE, CONFIGS[:5])
    assert Ensemble(KERNEL, []).predict(x).shape == (5, 0)
    assert Ensemble(KERNEL, sources()).predict(x[:0]).shape == (0, 3)


WEIGHTS = np.array([0.7, 0.1, -0.4])


def without(row, source):
    keep = [i for i in range(len(source.y)) if i != row]
    trials = tuple(source.trials[i] for i in keep)
    return replace(source, trials=trials, x=source.x[keep], y=source.y[keep])


@pytest.mark.parametrize("column", range(3))
def test_influence_is_the_change_when_a_trial_is_left_out(column, together):
    x = vectors(SPACE, CONFIGS[17:18])
    given = sources()
    found = Ensemble(KERNEL, given).influence(x, WEIGHTS)[column]
    assert found.shape == (len(given[column].y),)
    whole = Ensemble(KERNEL, given).predict(x)[0] @ WEIGHTS
    for row in range(len(given[column].y)):
        left = [*given[:column], without(row, given[column]), *given[column + 1 :]]
        assert found[row] == pytest.approx(whole - Ensemble(KERNEL, left).predict(x)[0] @ WEIGHTS)
    assert np.ptp(found) > 0.001


def test_shares_say_whose_trials_a_prediction_is_made_of(together):
    x = vectors(SPACE, CONFIGS[17:18])
    ensemble = Ensemble(KERNEL, sources())
    shares, predicted = ensemble.shares(x, WEIGHTS), ensemble.predict(x)[0]
    assert shares.sum() == pytest.approx(predicted @ WEIGHTS)
    assert (shares == pytest.approx(predicted * WEIGHTS)) == (together == 0.0)


@pytest.fixture(params=[0.0, 0.6], ids=["each alone", "together"])
def together(request, monkeypatch):
    """The correlation of the tasks."""
    monkeypatch.setattr("meta_nni.policy.ensemble._CORRELATIONS", (request.param,))
    return request.param


def test_sources_of_few_trials_are_one_process_over_configs_and_tasks(monkeypatch):
    monkeypatch.setattr("meta_nni.policy.ensemble._CORRELATIONS", (0.6,))
    given = [sources()[0], sources()[2]]
    x = vectors(SPACE, CONFIGS[::30])
    task = np.repeat([0, 1], [20, 7])
    rows, y = np.concatenate([s.x for s in given]), np.concatenate([s.y for s in given])
    between = np.where(task[:, None] == task, 1.0, 0.6)
    solved = np.linalg.inv(between * KERNEL(rows, rows) + 0.07 * np.eye(27)) @ y
    expected = [KERNEL(x, rows) * np.where(task == t, 1.0, 0.6) @ solved for t in (0, 1)]
    found = Ensemble(KERNEL, given).predict(x)
    assert found == pytest.approx(np.transpose(expected))
    alone = Ensemble(KERNEL, given, borrowing=False).predict(x)
    assert np.abs(found - alone).max() > 0.1


@pytest.mark.parametrize(("problems", "correlated"), [((0, 0), True), ((0, None), False)])
def test_the_correlation_is_high_where_tasks_agree(problems, correlated):
    """Two searches of one problem, or of one and of its negation."""
    one, other = [
        Source.from_history(Problem(0).history(20, seed), SPACE, np.random.default_rng(seed))
        for seed in (0, 1)
    ]
    if problems[1] is None:
        other = replace(other, y=-other.y)
    x = vectors(SPACE, CONFIGS[::7])
    columns = Ensemble(KERNEL, [one, other]).predict(x)
    alone = Ensemble(KERNEL, [one, other], borrowing=False).predict(x)
    assert np.allclose(columns, alone) == (not correlated)


def test_sources_of_many_trials_stand_alone():
    given = [
        Source.from_history(Problem(0).history(70, seed), SPACE, np.random.default_rng(seed))
        for seed in (0, 1)
    ]
    x = vectors(SPACE, CONFIGS[::30])
    alone = Ensemble(KERNEL, given, borrowing=False).predict(x)
    assert (Ensemble(KERNEL, given).predict(x) == alone).all()

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
    found = Ensemble(KERNEL, sources()).predict(x)
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


@pytest.mark.parametrize("column", range(3))
def test_influence_is_the_change_when_a_trial_is_left_out(column):
    x = vectors(SPACE, CONFIGS[17:18])
    found = Ensemble(KERNEL, sources()).influence(x, column)
    source = sources()[column]
    assert found.shape == (len(source.y),)
    whole = Ensemble(KERNEL, sources()).predict(x)[0, column]
    for row in range(len(source.y)):
        keep = [i for i in range(len(source.y)) if i != row]
        trials = tuple(source.trials[i] for i in keep)
        left = replace(source, trials=trials, x=source.x[keep], y=source.y[keep])
        assert found[row] == pytest.approx(whole - Ensemble(KERNEL, [left]).predict(x)[0, 0])
    assert np.ptp(found) > 0.01

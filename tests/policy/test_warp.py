import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtri

from meta_nni.policy.warp import Warp, normal_scores

values = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20).map(np.array)


def test_normal_scores_are_quantiles_of_ranks_and_equals_share_one():
    scores = normal_scores(np.array([0.3, -np.inf, 0.9, 0.3, -np.inf]))
    assert scores == pytest.approx(ndtri(np.array([0.6, 0.2, 0.9, 0.6, 0.2])))
    assert scores[0] == scores[3]
    assert normal_scores(np.array([7.0])) == pytest.approx([0.0])
    assert normal_scores(np.full(4, 2.0)) == pytest.approx(np.zeros(4))


@settings(max_examples=50, deadline=None)
@given(values, st.floats(0.1, 10), st.floats(-5, 5))
def test_normal_scores_depend_on_order_alone(raw, scale, shift):
    turned = np.arctan(raw / 1e5)
    for other in (turned, -normal_scores(-raw)):
        assert np.isfinite(normal_scores(other)).all()
    order = np.argsort(raw, kind="stable")
    assert (np.diff(normal_scores(raw)[order]) >= 0).all()
    assert normal_scores(-raw) == pytest.approx(-normal_scores(raw))


@settings(max_examples=50, deadline=None)
@given(values)
def test_a_fitted_warp_is_monotone_and_inverts_itself(raw):
    warp = Warp.fit(raw)
    assert warp.scale > 0
    assert np.isfinite([warp.location, warp.scale, warp.low, warp.high]).all()
    grid = np.sort(np.concatenate([raw, np.linspace(warp.low, warp.high, 30)]))
    warped = warp.forward(grid)
    assert np.isfinite(warped).all()
    assert (np.diff(warped) >= 0).all()
    near, size = warped > -50, np.abs(grid).max() + warp.scale
    assert warp.inverse(warped[near]) == pytest.approx(grid[near], rel=1e-6, abs=1e-6 * size)
    assert (np.diff(warp.inverse(warped)) >= 0).all()


def test_the_centre_is_linear_and_the_lower_tail_logarithmic():
    warp = Warp(0.5, 0.1)
    assert warp.forward(np.array([0.5, 0.6, 0.45, 0.4])) == pytest.approx([0.0, 1.0, -0.5, -1.0])
    tail = warp.forward(np.array([[0.4 - 0.1, -99.5]]))
    assert tail == pytest.approx(np.array([[-1 - np.log(2), -1 - np.log(1000)]]))
    slope = np.diff(warp.forward(np.array([0.4 - 1e-7, 0.4, 0.4 + 1e-7]))) / 1e-7
    assert slope == pytest.approx([10.0, 10.0], rel=1e-3)  # no kink where the tail begins


@pytest.mark.parametrize("diverged", [-1e10, -1e300, 1e10])
@pytest.mark.parametrize("number", [6, 10, 31])
def test_a_diverged_training_does_not_rule_the_scale(number, diverged):
    usual = np.linspace(-0.4, -0.2, number)
    warp = Warp.fit(np.append(usual, diverged))
    assert 0.03 < warp.scale < 0.2
    assert np.ptp(warp.forward(usual)) > 1.0


def test_a_diverged_training_among_equal_ones_does_not_rule_the_scale_either():
    warp = Warp.fit(np.array([0.1] * 8 + [0.4, 0.9, -1e12]))
    assert np.ptp(warp.forward(np.array([0.1, 0.9]))) > 0.5


def test_chance_level_values_that_hardly_differ_do_not_rule_the_scale():
    chance = 0.1 + 1e-9 * np.arange(6)
    warp = Warp.fit(np.append(chance, [0.5, 0.6, 0.7, 0.8]))
    assert warp.scale > 0.01


def test_good_values_among_many_at_chance_level_have_the_say():
    warp = Warp.fit(np.array([0.101] * 5 + [0.108, 0.143, 0.436, 0.791, 0.965]))
    assert 0.2 < warp.scale < 0.6
    assert warp.forward(np.array([0.965])) < 4


@pytest.mark.parametrize(
    ("raw", "scale"), [([0.7] * 5, 0.7), ([0.0] * 3, 1.0), ([0.1, 0.1, 0.1, 0.9], 0.8), ([3], 3.0)]
)
def test_the_scale_of_values_without_spread_is_positive(raw, scale):
    assert Warp.fit(np.array(raw, float)).scale == pytest.approx(scale)


@pytest.mark.parametrize("raw", [[0.1], [0.1, 0.1], [0.1, 0.3]])
def test_few_values_leave_room_for_others(raw):
    warp = Warp.fit(np.array(raw))
    assert warp.deviation(0.0, 1.645) >= 0.09
    assert warp.inverse(np.array([1e3])) >= 0.19


def test_predictions_stay_near_the_range_of_what_was_seen():
    raw = np.array([0.6, 0.7, 0.8, 0.9])
    warp = Warp.fit(raw)
    low, high = warp.inverse(np.array([-1e3, 1e3]))
    assert 0.3 < low < 0.6
    assert 0.9 < high < 1.2


def test_a_prior_rules_until_four_values_are_known_and_its_range_counts_on():
    prior = Warp(0.5, 0.2, low=0.1, high=0.8)
    assert Warp.fit(np.array([]), prior) == prior
    few = Warp.fit(np.array([0.9, 0.95, 0.97]), prior)
    assert (few.location, few.scale, few.low) == (0.5, 0.2, 0.1)
    assert few.high > 0.97
    many = Warp.fit(np.array([0.9, 0.95, 0.97, 0.98]), prior)
    assert many.location == pytest.approx(0.96)
    assert many.scale < 0.1
    assert many.low == 0.1
    assert Warp.fit(np.array([])) == Warp(0.0, 1.0)

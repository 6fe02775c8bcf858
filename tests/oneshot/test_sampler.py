"""The controller of ENAS: what it draws, and REINFORCE against its analytic value."""

import numpy as np
import pytest

START = [np.array([0.2, 0.3, 0.5]), np.array([0.9, 0.1])]


def make_sampler(start=START, **settings):
    from meta_nni.oneshot.sampler import Sampler

    return Sampler(start, **settings)


def test_draws_follow_the_start():
    sampler = make_sampler()
    codes = sampler.draw(4000, np.random.default_rng(0))
    for column, shares in zip(codes.T, START, strict=True):
        np.testing.assert_allclose(np.bincount(column) / 4000, shares, atol=0.03)
    assert sampler.most_likely().tolist() == [2, 0]


def test_log_probabilities_of_the_start_are_exact():
    codes = np.array([[0, 1], [2, 0]])
    expected = np.log([0.2 * 0.1, 0.5 * 0.9])
    np.testing.assert_allclose(make_sampler().log_prob(codes), expected, rtol=1e-5)


def test_reinforce_on_a_bandit_has_its_analytic_gradient():
    """d/db of -(A log p_k + c H) is -A (1_k - p) + c p (log p + H), at W = 0."""
    import tensorflow as tf

    p, bonus, advantage, arm = START[0], 0.1, 0.7, 1
    sampler = make_sampler([p], entropy=bonus)
    (slope,) = (
        slope
        for slope in sampler.gradients(tf.constant([[arm]]), tf.constant([advantage]))
        if slope.shape == (1, 3)
    )
    entropy = -(p * np.log(p)).sum()
    expected = -advantage * (np.eye(3)[arm] - p) + bonus * p * (np.log(p) + entropy)
    np.testing.assert_allclose(slope[0], expected, rtol=1e-4)


def test_the_expected_gradient_is_that_of_the_expected_reward():
    """Weighted by their probability, REINFORCE's gradients of all arms sum to the exact one."""
    import tensorflow as tf

    p, rewards = START[0], np.array([1.0, 0.0, 3.0])
    sampler = make_sampler([p], entropy=0.0)
    total = np.zeros(3)
    for arm in range(3):
        slopes = sampler.gradients(tf.constant([[arm]]), tf.constant([rewards[arm]], tf.float32))
        (slope,) = (slope for slope in slopes if slope.shape == (1, 3))
        total += p[arm] * np.asarray(slope)[0]
    np.testing.assert_allclose(-total, p * (rewards - p @ rewards), rtol=1e-4)


def test_the_baseline_is_the_moving_average_of_rewards():
    sampler = make_sampler(decay=0.9)
    codes = np.array([[0, 0], [1, 1]])
    sampler.update(codes, np.array([1.0, 3.0]))
    assert sampler.baseline == pytest.approx(2.0)
    sampler.update(codes, np.array([12.0, 12.0]))
    assert sampler.baseline == pytest.approx(3.0)


def test_it_learns_which_pair_of_options_pays():
    """The reward is for the second option given the first: an independent policy misses it."""
    sampler, rng = (
        make_sampler([np.ones(3) / 3, np.ones(3) / 3], rate=0.03),
        np.random.default_rng(0),
    )
    for _ in range(120):
        codes = sampler.draw(8, rng)
        sampler.update(codes, (codes[:, 0] == codes[:, 1]).astype(float))
    codes = sampler.draw(400, rng)
    assert (codes[:, 0] == codes[:, 1]).mean() > 0.9


def test_entropy_keeps_the_policy_open():
    shares = {}
    for bonus in (0.0, 2.0):
        sampler, rng = (
            make_sampler([np.ones(2) / 2], rate=0.1, entropy=bonus),
            np.random.default_rng(0),
        )
        for _ in range(60):
            codes = sampler.draw(8, rng)
            sampler.update(codes, (codes[:, 0] == 1).astype(float))
        shares[bonus] = np.exp(sampler.log_prob(np.array([[1]])))[0]
    assert shares[0.0] > 0.95 > 0.8 > shares[2.0] > 0.5

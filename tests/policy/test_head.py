import numpy as np
import pytest

from meta_nni.policy.head import Head, fit_head

RNG = np.random.default_rng(0)
E = 5


def gp(kernel_tt, kernel_nt, kernel_nn, y, noise):
    """Posterior mean and standard deviation of a Gaussian process, noise included."""
    inverse = np.linalg.inv(kernel_tt + noise * np.eye(len(y)))
    variance = np.diag(kernel_nn - kernel_nt @ inverse @ kernel_nt.T) + noise
    return kernel_nt @ inverse @ y, np.sqrt(variance)


def test_adaptation_is_a_gaussian_process_with_a_linear_kernel():
    support, new = RNG.standard_normal((12, E)), RNG.standard_normal((7, E))
    y = RNG.standard_normal(12)
    head = Head(RNG.standard_normal(E), precision=2.5, noise=0.3)
    mean, std = head.predict(new, support, y)
    residual, deviation = gp(
        support @ support.T / 2.5, new @ support.T / 2.5, new @ new.T / 2.5,
        y - support @ head.mean, 0.3,
    )  # fmt: skip
    assert np.allclose(mean, new @ head.mean + residual)
    assert np.allclose(std, deviation)


def test_without_trials_the_prior_decides():
    head = Head(RNG.standard_normal(E), precision=4.0, noise=0.1)
    new = RNG.standard_normal((3, E))
    mean, std = head.predict(new, np.zeros((0, E)), np.zeros(0))
    assert np.allclose(mean, new @ head.mean)
    assert np.allclose(std**2, (new**2).sum(1) / 4.0 + 0.1)


def test_the_mean_is_the_posterior_of_a_gaussian_process_over_all_tasks():
    tasks = [(RNG.standard_normal((n, E)), RNG.standard_normal(n)) for n in (6, 9, 4)]
    shared, own, noise = 0.8, 0.5, 0.2
    head = fit_head(tasks, (shared, own, noise))
    x = np.concatenate([features for features, _ in tasks])
    y = np.concatenate([scores for _, scores in tasks])
    group = np.repeat([0, 1, 2], (6, 9, 4))
    new = RNG.standard_normal((5, E))
    mean, _ = gp(
        x @ x.T * (shared + own * (group[:, None] == group)),
        shared * new @ x.T,
        (shared + own) * new @ new.T,
        y,
        noise,
    )
    assert np.allclose(new @ head.mean, mean)
    assert head.noise == noise


def test_the_precision_is_that_of_a_new_tasks_weights():
    # Many tasks that agree pin down what they share; a new task's own part stays.
    w = RNG.standard_normal(E)
    features = [RNG.standard_normal((50, E)) for _ in range(200)]
    tasks = [(x, x @ w + 0.1 * RNG.standard_normal(50)) for x in features]
    head = fit_head(tasks, (1.0, 0.25, 0.01))
    assert head.mean == pytest.approx(w, abs=0.05)
    assert 1.0 / head.precision == pytest.approx(0.25, rel=0.02)
    few = fit_head(tasks[:1], (1.0, 0.25, 0.01))
    assert 1.0 / few.precision > 0.4

import numpy as np
import pytest
from sample_spaces import DEEP
from scipy.optimize import check_grad
from scipy.stats import multivariate_normal

from meta_nni.policy.coregionalization import (
    _negative_log_likelihood,
    _weighted_squares,
    fit_together,
)
from meta_nni.policy.kernel import Kernel, vectors
from meta_nni.policy.warp import normal_scores
from meta_nni.space import SearchSpace

SPACE = SearchSpace.from_nni(DEEP)
TASK = np.repeat([0, 1, 2], 4)
SAME = TASK[:, None] == TASK


def drawn(space, count, seed=0):
    rng = np.random.default_rng(seed)
    return [space.sample(rng) for _ in range(count)]


@pytest.mark.parametrize("seed", range(3))
def test_the_gradient_of_the_likelihood_agrees_with_finite_differences(seed):
    rng = np.random.default_rng(seed)
    x, y = vectors(SPACE, drawn(SPACE, 12, seed)), rng.normal(size=12)
    theta = rng.normal(-1, 1, len(SPACE.parameters) + 2)
    gradient = _negative_log_likelihood(theta, x, y, SAME)[1]
    error = check_grad(
        lambda t: _negative_log_likelihood(t, x, y, SAME)[0],
        lambda t: _negative_log_likelihood(t, x, y, SAME)[1],
        theta,
    )
    assert np.abs(gradient[[-1, -2]]).min() > 1e-3
    assert error < 1e-4 * np.linalg.norm(gradient)


def test_the_likelihood_is_the_density_of_all_tasks_together():
    x, y = vectors(SPACE, drawn(SPACE, 12)), np.linspace(-1, 1, 12)
    theta = np.append(np.full(len(SPACE.parameters) + 1, -1.5), 0.7)
    g = 1 / (1 + np.exp(-0.7))
    cov = np.where(SAME, 1, g) * Kernel(np.exp(theta[:-2]))(x, x) + np.exp(-1.5) * np.eye(12)
    expected = -multivariate_normal.logpdf(y, cov=cov) - 6 * np.log(2 * np.pi)
    assert _negative_log_likelihood(theta, x, y, SAME)[0] == pytest.approx(expected)


def test_weighted_squares_are_the_sum_over_pairs():
    rng = np.random.default_rng(0)
    x, weights = rng.normal(size=(5, 3, 2)), rng.normal(size=(5, 5))
    weights = weights + weights.T
    squares = ((x[:, None] - x[None]) ** 2).sum(-1)
    expected = np.einsum("ij,ijp->p", weights, squares)
    assert _weighted_squares(x, weights) == pytest.approx(expected)


def sparse_tasks(count, trials):
    """Tasks of four numbers, of which "much" matters to all alike."""
    names = ("much", "a", "b", "c")
    space = SearchSpace.from_nni({n: {"_type": "uniform", "_value": [0, 1]} for n in names})
    tasks = []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        configs = drawn(space, trials, seed)
        raw = np.array([np.sin(6 * c["much"]) for c in configs]) + 0.3 * rng.normal(size=trials)
        tasks.append((vectors(space, configs), normal_scores(raw)))
    return Kernel.default(np.concatenate([x for x, _ in tasks])), tasks


def test_of_tasks_with_few_trials_the_parameter_that_matters_to_all_is_found():
    start, tasks = sparse_tasks(10, 5)
    found = fit_together(start, tasks)
    ratio = found.relevance / start.relevance
    assert ratio[0] > 1.5
    assert ratio[0] > 2 * ratio[1:].max()
    assert 0.01 <= found.noise <= 1.5


def test_of_many_trials_some_of_each_task_are_read():
    start, tasks = sparse_tasks(6, 250)
    chosen = np.linspace(0, 249, 100).astype(int)
    some = [(x[chosen], y[chosen]) for x, y in tasks]
    assert np.array_equal(
        fit_together(start, tasks, 2).relevance, fit_together(start, some, 2).relevance
    )

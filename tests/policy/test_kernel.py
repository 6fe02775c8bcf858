import numpy as np
import pytest
from sample_spaces import ALL_TYPES, DEEP, choice
from scipy.optimize import check_grad

from meta_nni.policy.kernel import (
    Kernel,
    _negative_log_likelihood,
    _squares,
    fit_relevance,
    vectors,
)
from meta_nni.policy.warp import normal_scores
from meta_nni.space import SearchSpace

SPACE = SearchSpace.from_nni(ALL_TYPES)


def sample(space, count, seed=0):
    rng = np.random.default_rng(seed)
    return [space.sample(rng) for _ in range(count)]


def test_vectors_scale_the_encoding():
    space = SearchSpace.from_nni(
        {
            "op": choice({"_name": "conv", "kernel": choice(1, 3)}, {"_name": "pool"}),
            "rate": {"_type": "uniform", "_value": [0, 1]},
        }
    )
    configs = [
        {"op": {"_name": "conv", "kernel": 3}, "rate": 0.25},
        {"op": {"_name": "pool"}, "rate": 1},
    ]
    x = vectors(space, configs)
    assert x.dtype == np.float64
    assert x.shape == (2, 3, 4)
    half = 0.7071 / 2
    expected = [[0.7, 0, 0.7071, 0], [0.7, 1.5, 0, half], [0.7, 0.5, 0, 0]]
    assert x[0] == pytest.approx(np.array(expected))
    assert x[1, 1].tolist() == [0, 0, 0, 0]
    assert vectors(space, []).shape == (0, 3, 4)


def test_two_random_values_of_any_type_are_about_equally_far_apart():
    spec = {
        **ALL_TYPES,
        "two": choice("a", "b"),
        "ten": choice(*"abcdefghij"),
        "ordered": choice(1, 2, 4, 8),
    }
    x = vectors(SearchSpace.from_nni(spec), sample(SearchSpace.from_nni(spec), 300))
    expected = 2.0 * x.var(axis=0).sum(axis=1)
    assert expected.max() < 2.0 * expected.min()


def test_vectors_of_another_spaces_configs_keep_what_is_shared():
    other = SearchSpace.from_nni({"choice": choice("a", "z"), "x": choice(1)})
    x = vectors(SPACE, [{"choice": "a", "x": 1}, {"choice": "z", "x": 1}], other)
    assert np.flatnonzero(x.any(axis=(0, 2))).tolist() == [0]
    assert not x[1].any()


def test_the_kernel_is_the_formula():
    rng = np.random.default_rng(0)
    a, b = rng.random((4, 3, 5)), rng.random((6, 3, 5))
    relevance = np.array([0.5, 0.0, 2.0])
    kernel = Kernel(relevance)
    expected = np.exp(
        -np.array(
            [
                [sum(r * ((u[p] - v[p]) ** 2).sum() for p, r in enumerate(relevance)) for v in b]
                for u in a
            ]
        )
    )
    assert kernel(a, b) == pytest.approx(expected)
    assert np.diag(kernel(a, a)) == pytest.approx(np.ones(4))
    assert np.linalg.eigvalsh(kernel(a, a)).min() > -1e-12
    assert kernel(a[:0], b).shape == (0, 6)


def test_a_masked_kernel_ignores_parameters():
    rng = np.random.default_rng(0)
    a, b = rng.random((4, 3, 5)), rng.random((6, 3, 5))
    masked = Kernel(np.ones(3), noise=0.2).masked(np.array([True, False, True]))
    b[:, 1] += 9.0
    assert masked(a, b) == pytest.approx(Kernel(np.array([1.0, 0.0, 1.0]))(a, b))
    assert masked.noise == 0.2


def test_the_default_kernel_puts_random_configs_at_an_exponent_of_one():
    x = vectors(SPACE, sample(SPACE, 200))
    kernel = Kernel.default(x)
    assert np.ptp(kernel.relevance) == 0.0
    assert -np.log(kernel(x[:100], x[100:])).mean() == pytest.approx(1.0, rel=0.1)
    only = SearchSpace.from_nni({"a": choice(1)})
    assert np.isfinite(Kernel.default(vectors(only, [{"a": 1}])).relevance).all()


@pytest.mark.parametrize("seed", range(3))
def test_the_gradient_of_the_likelihood_agrees_with_finite_differences(seed):
    rng = np.random.default_rng(seed)
    space = SearchSpace.from_nni(DEEP)
    x = vectors(space, sample(space, 12, seed))
    squares, y = _squares(x), normal_scores(rng.random(12))
    theta = rng.normal(-1, 1, len(space.parameters) + 1)
    gradient = _negative_log_likelihood(theta, squares, y)[1]
    error = check_grad(
        lambda t: _negative_log_likelihood(t, squares, y)[0],
        lambda t: _negative_log_likelihood(t, squares, y)[1],
        theta,
    )
    assert np.linalg.norm(gradient) > 0.1
    assert error < 1e-4 * np.linalg.norm(gradient)


def test_the_likelihood_is_the_density_of_a_normal():
    from scipy.stats import multivariate_normal

    space = SearchSpace.from_nni(DEEP)
    x, y = vectors(space, sample(space, 8)), np.linspace(-1, 1, 8)
    theta = np.full(len(space.parameters) + 1, -1.5)
    cov = Kernel(np.exp(theta[:-1]))(x, x) + np.exp(theta[-1]) * np.eye(8)
    expected = -multivariate_normal.logpdf(y, cov=cov) - 4 * np.log(2 * np.pi)
    assert _negative_log_likelihood(theta, _squares(x), y)[0] == pytest.approx(expected)


def test_the_task_loss_finds_the_parameters_that_matter():
    space = SearchSpace.from_nni(
        {
            name: {"_type": "uniform", "_value": [0, 1]}
            for name in ("much", "little", "none", "idle")
        }
    )
    tasks = []
    for seed in range(4):
        configs = sample(space, 30, seed)
        raw = [np.sin(6 * c["much"] + seed) + 0.3 * c["little"] for c in configs]
        tasks.append((vectors(space, configs), normal_scores(np.array(raw))))
    start = Kernel.default(np.concatenate([x for x, _ in tasks]))
    found = fit_relevance(start, tasks)
    much, little, none, idle = found.relevance
    assert much > 3 * little > 0
    assert little > max(none, idle)
    assert 0.01 <= found.noise <= 0.5

    def loss(kernel):
        theta = np.log(np.append(kernel.relevance, kernel.noise))
        return sum(_negative_log_likelihood(theta, _squares(x), y)[0] for x, y in tasks)

    assert loss(found) < loss(start) - 10


def test_without_tasks_the_kernel_stays():
    kernel = Kernel(np.ones(3))
    assert fit_relevance(kernel, []) is kernel

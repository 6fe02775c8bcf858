import numpy as np
import pytest
from synthetic import CONFIGS, SPACE

from meta_nni.policy.additive import AdditiveKernel
from meta_nni.policy.kernel import vectors

X = vectors(SPACE, CONFIGS[::9])


def test_it_is_the_mean_of_one_kernel_per_parameter():
    kernel = AdditiveKernel(np.array([0.5, 0.0, 2.0, 0.1]), noise=0.05)
    apart = ((X[:4, None] - X[None, 4:9]) ** 2).sum(-1)  # (4, 5, P)
    expected = np.mean([np.exp(-kernel.relevance[p] * apart[..., p]) for p in (0, 2, 3)], axis=0)
    assert kernel(X[:4], X[4:9]) == pytest.approx(expected)
    assert np.diag(kernel(X, X)) == pytest.approx(np.ones(len(X)))
    assert np.linalg.eigvalsh(kernel(X, X)).min() > -1e-9


def test_a_parameter_that_never_varies_has_no_part():
    kernel = AdditiveKernel.default(np.where(np.arange(4)[:, None] == 1, 0.0, X))
    assert (kernel.relevance > 0).tolist() == [True, False, True, True]
    nothing = AdditiveKernel(np.zeros(4))
    assert (nothing(X[:2], X[:3]) == 1.0).all()

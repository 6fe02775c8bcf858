import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from meta_nni.policy import posterior as module
from meta_nni.policy.kernel import Kernel
from meta_nni.policy.posterior import Evidence, Posterior, Prediction, expected_improvement

KERNEL = Kernel(np.array([0.7, 1.5]), noise=0.1)
W0 = np.array([0.6, 0.3, 0.1])


def arrays(count, seed=0):
    """`vectors` (T, 2, 2) and features (T, 3)."""
    rng = np.random.default_rng(seed)
    return rng.random((count, 2, 2)), rng.standard_normal((count, 3))


def hypotheses(warm):
    """(s, rho, v, is warm, prior) of every hypothesis, as the module's text states them."""
    share = module._COLD_PROBABILITY if warm else 1.0
    pairs = list(itertools.product(module._RESIDUALS, module._WEIGHT_VARIANCES))
    shapes = [(1.0, 0.0, False, share)]
    shapes += [(rho, v, True, (1 - share) / len(pairs)) for rho, v in pairs if warm]
    for rho, v, is_warm, prior in shapes:
        for s, scale_prior in zip(module._SCALES, module._SCALE_PRIOR, strict=True):
            yield s, rho, v, is_warm, prior * scale_prior


def joint(hypothesis, x, features):
    """Mean and covariance of z without noise at all rows, from the model's definition."""
    s, rho, v, warm, _ = hypothesis
    cov = (2 * s) ** 2 + s**2 * rho * KERNEL(x, x)
    if not warm:
        return np.zeros(len(x)), cov
    return s * features @ W0, cov + s**2 * features @ (v * np.diag(W0)) @ features.T


def brute_force(z, x, features, new_x, new_features):
    """Means and stds (H, N) and posterior probabilities (H,) by conditioning, and weights."""
    t = len(z)
    rows, columns = np.concatenate([x, new_x]), np.concatenate([features, new_features])
    means, stds, logs = [], [], []
    for hypothesis in hypotheses(warm=True):
        mean, cov = joint(hypothesis, rows, columns)
        noisy = cov[:t, :t] + hypothesis[0] ** 2 * KERNEL.noise * np.eye(t)
        gain = cov[t:, :t] @ np.linalg.inv(noisy)
        means.append(mean[t:] + gain @ (z - mean[:t]))
        stds.append(np.sqrt(np.diag(cov[t:, t:] - gain @ cov[:t, t:])))
        logs.append(np.log(hypothesis[4]) + multivariate_normal.logpdf(z, mean[:t], noisy))
    logs = np.array(logs)
    probabilities = np.exp(logs - logs.max())
    return np.array(means), np.array(stds), probabilities / probabilities.sum()


@pytest.fixture
def everything_kept(monkeypatch):
    monkeypatch.setattr(module, "_NEGLIGIBLE", 0.0)


@pytest.mark.parametrize("seed", range(3))
def test_predictions_are_those_of_the_joint_normal(seed, everything_kept):
    (x, features), (new_x, new_features) = arrays(7, seed), arrays(5, seed + 10)
    z = features @ W0 + 0.5 * np.random.default_rng(seed).standard_normal(7)
    found = Posterior((KERNEL,), W0, Evidence(x, features, z)).predict(new_x, new_features)
    means, stds, probabilities = brute_force(z, x, features, new_x, new_features)

    assert found.means == pytest.approx(means, rel=1e-6)
    assert found.stds == pytest.approx(stds, rel=1e-6)
    assert found.probabilities == pytest.approx(probabilities)
    noise = np.array([s**2 * KERNEL.noise for s, *_ in hypotheses(warm=True)])
    assert found.noises**2 == pytest.approx(noise)
    assert found.mean == pytest.approx(probabilities @ means)
    second = probabilities @ (stds**2 + noise[:, None] + means**2)
    assert found.std == pytest.approx(np.sqrt(second - (probabilities @ means) ** 2))


def test_leaving_out_what_is_negligible_hardly_changes_predictions(monkeypatch):
    (x, features), (new_x, new_features) = arrays(9), arrays(5, 1)
    evidence = Evidence(x, features, features @ W0)
    few = Posterior((KERNEL,), W0, evidence).predict(new_x, new_features)
    monkeypatch.setattr(module, "_NEGLIGIBLE", 0.0)
    all_of_them = Posterior((KERNEL,), W0, evidence).predict(new_x, new_features)
    assert len(few.probabilities) < len(all_of_them.probabilities)
    assert few.probabilities.sum() == pytest.approx(1.0)
    assert few.mean == pytest.approx(all_of_them.mean, abs=0.1)
    assert few.std == pytest.approx(all_of_them.std, rel=0.2)


def test_probabilities_follow_the_evidence_and_sum_to_one():
    x, features = arrays(12)
    z = features @ W0
    posterior = Posterior((KERNEL,), W0, Evidence(x, features, z))
    *_, probabilities = brute_force(z, x, features, x[:1], features[:1])
    cold = np.array([not hypothesis[3] for hypothesis in hypotheses(warm=True)])
    assert posterior.cold_probability == pytest.approx(probabilities[cold].sum())
    assert posterior.predict(x, features).probabilities.sum() == pytest.approx(1.0)


def test_before_any_result_the_sources_speak_and_the_prior_is_what_it_was():
    x, features = arrays(5)
    nothing = Evidence(x[:0], features[:0], np.zeros(0))
    posterior = Posterior((KERNEL,), W0, nothing)
    assert posterior.cold_probability == pytest.approx(0.15)
    prediction = posterior.predict(x, features)
    assert np.argsort(prediction.mean).tolist() == np.argsort(features @ W0).tolist()
    assert posterior.predict(x, features, cold=True).mean == pytest.approx(np.zeros(5))


def test_without_sources_it_is_a_gaussian_process():
    x, _ = arrays(6)
    none = np.zeros((6, 0))
    posterior = Posterior((KERNEL,), np.zeros(0), Evidence(x, none, np.linspace(-1, 1, 6)))
    assert posterior.cold_probability == pytest.approx(1.0)
    assert posterior.effects(x[:1])[0].shape == (0,)
    mean = posterior.predict(x, none).mean
    assert (np.diff(mean) > 0).all()
    empty = Posterior((KERNEL,), np.zeros(0), Evidence(x[:0], none[:0], np.zeros(0)))
    assert empty.predict(x, none).mean == pytest.approx(np.zeros(6))
    assert (empty.predict(x, none).std > 1.0).all()


@pytest.mark.parametrize(("sign", "is_cold"), [(1.0, False), (0.0, True)])
def test_sources_that_tell_nothing_lose_their_weight(sign, is_cold):
    x, features = arrays(40)
    own = np.sin(5 * x[:, 0, 0]) + x[:, 1, 1]
    z = sign * features @ W0 + (1 - sign) * own
    posterior = Posterior((KERNEL,), W0, Evidence(x, features, z))
    assert (posterior.cold_probability > 0.6) == is_cold
    assert (posterior.cold_probability < 0.05) == (not is_cold)


def test_negated_sources_speak_against_what_they_predict():
    x, features = arrays(30)
    posterior = Posterior((KERNEL,), W0, Evidence(x, features, -features @ W0))
    new_x, new = arrays(20, 1)
    weights = [posterior.effects(new_x[[i]])[0] for i in range(20)]
    assert (np.array(weights)[:, :2] < 0).all()
    mean = posterior.predict(new_x, new).mean
    assert np.corrcoef(mean, -new @ W0)[0, 1] > 0.9


@pytest.mark.parametrize("seed", range(2))
def test_effects_and_the_mean_of_the_run_sum_to_the_prediction(seed, everything_kept):
    (x, features), (new_x, new_features) = arrays(9, seed), arrays(6, seed + 5)
    z = features @ W0 + 0.3 * np.random.default_rng(seed).standard_normal(9)
    posterior = Posterior((KERNEL,), W0, Evidence(x, features, z))
    parts = [posterior.effects(new_x[[i]]) for i in range(6)]
    explained = np.array(
        [weights @ f for (weights, _), f in zip(parts, new_features, strict=True)]
    ) + np.array([own.sum() for _, own in parts])
    rest = posterior.predict(new_x, new_features).mean - explained
    assert rest == pytest.approx(np.full(6, rest[0]))  # mu, the same everywhere
    assert np.ptp(explained) > 0.1


@pytest.mark.parametrize("count", [0, 12])
def test_the_first_look_ranks_as_the_mean_does(count):
    x, features = arrays(20)
    evidence = Evidence(x[:count], features[:count], features[:count] @ W0)
    posterior = Posterior((KERNEL,), W0, evidence)
    apart = posterior.predict(x, features).mean - posterior.screen(x, features)
    assert apart == pytest.approx(np.full(20, apart[0]))
    assert np.ptp(posterior.screen(x, features)) > 0.5


@pytest.mark.parametrize("w0", [W0, np.zeros(0)])
def test_uncertainty_shrinks_near_what_was_observed(w0):
    x, features = arrays(8)
    features = features[:, : len(w0)]
    z = np.sin(3 * x[:, 0, 0]) + x[:, 1, 1]
    before = Posterior((KERNEL,), w0, Evidence(x[:6], features[:6], z[:6]))
    predicted = before.predict(x[6:], features[6:])
    # What was predicted is measured: nothing else changes but how sure it is there.
    joined = Evidence(x, features, np.append(z[:6], predicted.mean))
    after = Posterior((KERNEL,), w0, joined).predict(x[6:], features[6:])
    assert (after.std < predicted.std).all()
    far = before.predict(np.full((1, 2, 2), 9.0), features[:1])
    assert far.std[0] > before.predict(x[:6], features[:6]).std.max()


def test_of_very_many_trials_the_best_and_the_last_count(monkeypatch):
    x, features = arrays(30)
    z = np.random.default_rng(0).standard_normal(30)
    best = set(np.argsort(-z)[:10].tolist())
    keep = sorted({*best, *[i for i in range(30) if i not in best][-10:]})
    expected = Posterior((KERNEL,), W0, Evidence(x[keep], features[keep], z[keep]))
    whole = Posterior((KERNEL,), W0, Evidence(x, features, z)).predict(x, features)
    monkeypatch.setattr(module, "_MAX_TRIALS", 20)
    found = Posterior((KERNEL,), W0, Evidence(x, features, z)).predict(x, features)
    assert found.mean == pytest.approx(expected.predict(x, features).mean)
    assert found.mean != pytest.approx(whole.mean)


mixtures = st.lists(
    st.tuples(st.floats(-2, 2), st.floats(0.05, 2), st.floats(0.1, 1)), min_size=1, max_size=3
)


@settings(max_examples=20, deadline=None)
@given(mixtures, st.floats(-1, 2))
def test_expected_improvement_is_the_mean_of_improvements(parts, best):
    means, stds, weights = (np.array(part)[:, None] for part in zip(*parts, strict=True))
    weights = weights[:, 0] / weights.sum()
    rng = np.random.default_rng(0)
    which = rng.choice(len(weights), 10_000, p=weights)
    drawn = means[which, 0] + stds[which, 0] * rng.standard_normal(10_000)
    gains = np.maximum(drawn - best, 0.0)
    found = expected_improvement(Prediction(means, stds, weights, 0.1 * stds[:, 0]), best)
    assert found.shape == (1,)
    assert found[0] == pytest.approx(gains.mean(), abs=5 * gains.std() / 100 + 1e-3)
    assert found[0] >= 0

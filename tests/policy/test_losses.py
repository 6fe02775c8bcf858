import numpy as np
import pytest
from networks import encoded, make_network
from sample_spaces import SHAPES, choice
from scipy.stats import multivariate_normal

from meta_nni.policy.episodes import allowed_options
from meta_nni.policy.generator import log_prob as numpy_log_prob
from meta_nni.policy.head import MIN_NOISE, fit_head
from meta_nni.space import SearchSpace
from meta_nni.task import Task

pytestmark = pytest.mark.host  # loads TensorFlow


@pytest.fixture(autouse=True, scope="module")
def _loaded():
    """Loads TensorFlow when a test of this file runs, not when it is collected."""
    global tf, losses
    import tensorflow as tf

    from meta_nni.policy import losses


RNG = np.random.default_rng(0)
GROUPS = np.repeat([0, 1, 2], (6, 5, 4))
PHI = 0.5 * RNG.standard_normal((15, 4))
SCORES = RNG.standard_normal(15)
SCALES = np.log([1.2, 0.5, 0.2])
ONES = np.ones(15)
KNOWN = np.where(np.arange(15) < 2, 1.0, (GROUPS > 0).astype(float))
"""Two of the first task's six trials are support."""


def covariance(phi=PHI, groups=GROUPS, scales=SCALES):
    signal, noise = losses.covariance(tf.constant(phi), tf.constant(groups), tf.constant(scales))
    return signal, noise


def dense():
    """The same by hand, in numpy, with the noise."""
    shared, own, noise = np.exp(SCALES)
    same = GROUPS[:, None] == GROUPS
    return PHI @ PHI.T * (shared + own * same) + (noise + MIN_NOISE) * np.eye(15)


def test_the_task_loss_is_the_marginal_likelihood():
    signal, noise = covariance()
    loss = losses.task_loss(signal, noise, SCORES, ONES).numpy()
    expected = -multivariate_normal(np.zeros(15), dense()).logpdf(SCORES)
    assert loss == pytest.approx(expected / 15 - 0.5 * np.log(2 * np.pi))


def test_padding_does_not_count():
    present = (np.arange(15) < 11).astype(float)
    padded = losses.task_loss(*covariance(), np.where(present, SCORES, 99.0), present).numpy()
    signal, noise = covariance(PHI[:11], GROUPS[:11])
    assert padded == pytest.approx(losses.task_loss(signal, noise, SCORES[:11], ONES[:11]).numpy())


def test_the_meta_loss_is_the_predictive_density_of_the_queries():
    known, query = np.flatnonzero(KNOWN), np.flatnonzero(1 - KNOWN)
    full = dense()
    gain = full[np.ix_(query, known)] @ np.linalg.inv(full[np.ix_(known, known)])
    mean = gain @ SCORES[known]
    variance = np.diag(full)[query] - (gain * full[np.ix_(query, known)]).sum(1)
    expected = np.mean(0.5 * np.log(variance) + 0.5 * (SCORES[query] - mean) ** 2 / variance)
    found = losses.meta_loss(*covariance(), SCORES, KNOWN, ONES - KNOWN).numpy()
    assert found == pytest.approx(expected)


def test_without_support_it_is_the_zero_shot_prediction_of_the_head():
    known = (GROUPS > 0).astype(float)
    shared, own, noise = np.exp(SCALES)
    tasks = [(PHI[g == GROUPS], SCORES[g == GROUPS]) for g in (1, 2)]
    head = fit_head(tasks, (shared, own, noise + MIN_NOISE))
    # With the loss's own variances, only the mean is left to compare: at the head's mean
    # its derivative by the queries' scores is zero.
    scores = tf.Variable(np.where(GROUPS == 0, PHI @ head.mean, SCORES))
    with tf.GradientTape() as tape:
        loss = losses.meta_loss(*covariance(), scores, known, ONES - known)
    slope = tape.gradient(loss, scores).numpy()[GROUPS == 0]
    assert np.allclose(slope, 0.0, atol=1e-9)


@pytest.mark.parametrize("name", ["phi", "scales"])
def test_gradients_of_the_meta_loss_are_those_of_finite_differences(name):
    def loss(value):
        given = {"phi": tf.constant(PHI), "scales": tf.constant(SCALES), name: value}
        signal, noise = losses.covariance(given["phi"], tf.constant(GROUPS), given["scales"])
        return losses.meta_loss(signal, noise, SCORES, KNOWN, ONES - KNOWN)

    start = {"phi": PHI, "scales": SCALES}[name]
    variable = tf.Variable(start)
    with tf.GradientTape() as tape:
        value = loss(variable)
    gradient = tape.gradient(value, variable).numpy()
    step = 1e-5
    for index in np.ndindex(start.shape):
        moved = np.zeros(start.shape)
        moved[index] = step
        difference = loss(tf.constant(start + moved)) - loss(tf.constant(start - moved))
        assert gradient[index] == pytest.approx(difference.numpy() / (2 * step), abs=1e-7)
    assert np.abs(gradient).max() > 0.01


def episode(space, configs, shares=None, origin=None, network=None):
    rows = np.stack([space.encode(config, origin) for config in configs])
    count = len(configs)
    fields = dict.fromkeys(("scores", "present", "known"), np.ones(count, np.float32))
    shares = np.full(count, 1 / count) if shares is None else np.array(shares)
    return losses.Episode(
        **fields,
        rows=rows.transpose(1, 0, 2),
        codes=network.decisions.codes(rows).T,
        tasks=np.zeros((count, 72), np.float32),
        groups=np.zeros(count, np.int64),
        shares=shares.astype(np.float32),
        allowed=allowed_options(network.decisions),
    )


def states(network, given):
    return losses.hidden(tf, network.weights, tf.constant(given.rows), tf.constant(given.tasks))[0]


def test_log_probabilities_are_those_of_the_generator():
    space = SearchSpace.from_nni(SHAPES)
    network, configs = make_network(space, logits=2.0), list(space.configs())[::7]
    given = episode(space, configs, network=network)
    found, entropy = losses.log_prob(network.weights, states(network, given), given)
    expected = numpy_log_prob(network, encoded(space, configs), Task("t"))
    assert np.allclose(found.numpy(), expected, atol=1e-5)
    assert (entropy.numpy() > 0).all()


def test_the_generator_loss_weighs_configs_and_ignores_what_is_not_shared():
    space = SearchSpace.from_nni({"op": choice("a", "b"), "own": choice(1, 2, 3, 4)})
    foreign = SearchSpace.from_nni({"op": choice("a", "b")})
    network = make_network(space, logits=2.0)
    given = episode(space, [{"op": "a"}, {"op": "b"}], [0.9, 0.1], foreign, network)
    loss = losses.generator_loss(network.weights, states(network, given), given).numpy()
    # Only the first decision counts: its distribution, from the task alone.
    logits = network.logits(states(network, given).numpy()[0], 0)[0, :2].astype(float)
    log_p = logits - np.log(np.exp(logits).sum())
    assert loss == pytest.approx(-(0.9 * log_p[0] + 0.1 * log_p[1]), abs=1e-5)


def test_the_policy_gradient_of_a_bandit_is_the_analytic_one():
    # One decision with logits l: grad -(A log p_k + c H) = -A (e_k - p) + c p (log p + H).
    space = SearchSpace.from_nni({"arm": choice("a", "b", "c")})
    network = make_network(space, logits=2.0)
    given = episode(space, [{"arm": "b"}], network=network)
    logits = network.logits(states(network, given).numpy()[0], 0)[0].astype(float)
    p = np.exp(logits) / np.exp(logits).sum()
    entropy = -(p * np.log(p)).sum()
    for advantage, bonus in ((1.0, 0.0), (-2.0, 0.0), (0.5, 0.3)):
        slopes = losses.policy_gradients(
            dict(network.weights), given, np.float32([advantage]), np.float32(bonus)
        )
        expected = -advantage * (np.eye(3)[1] - p) + bonus * p * (np.log(p) + entropy)
        assert np.allclose(slopes["logit_bias"].numpy().ravel(), expected, atol=1e-5)
        assert slopes["scales"] is None

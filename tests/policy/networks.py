"""Networks for tests: untrained ones, but with logits that prefer some options."""

import numpy as np

from meta_nni.policy.decisions import Decisions
from meta_nni.policy.network import Network


def make_network(space, seed=0, logits=1.0):
    """A network whose weights are all random; `logits` scales how unequal options are."""
    network = Network.initial(Decisions(space), seed)
    rng = np.random.default_rng([seed, 1])
    weights = dict(network.weights)
    for name in ("logit", "logit_bias", "task_value", "gate"):
        weights[name] = (logits * 0.5 * rng.standard_normal(weights[name].shape)).astype(np.float32)
    return Network(network.decisions, weights)


def encoded(space, configs):
    """Float32 (N, P, F)."""
    return np.stack([space.encode(config) for config in configs])

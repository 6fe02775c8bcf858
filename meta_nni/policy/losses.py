"""What the network is trained for, in TensorFlow: task loss, meta loss, generator loss.

An episode holds N trials of a few tasks. With features phi of `network.hidden` and the
model of `head`, the normal scores of all of them are jointly Gaussian,

    cov(y_i, y_j) = phi_i' phi_j (shared + [same task] own) + [i = j] noise,

since the weights are integrated out exactly. Axes of arrays: N trials, P parameters,
F features of a parameter, A task embedding, E features, K options.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import tensorflow as tf

from meta_nni.policy.head import MIN_NOISE
from meta_nni.policy.network import hidden

__all__ = [
    "Episode",
    "covariance",
    "generator_loss",
    "gradients",
    "log_prob",
    "meta_loss",
    "policy_gradients",
    "task_loss",
]


class Episode(NamedTuple):
    """The trials of a step, as arrays (float32 but for `codes` and `groups`).

    Attributes:
        rows: Encoded configs, (P, N, F).
        codes: Options taken, -1 where inactive, int64 (P, N).
        tasks: Embedding of each trial's task, (N, A).
        groups: Number of each trial's task, int64 (N,).
        scores: Normal scores within the task, (N,).
        present: 1 for a trial, 0 for padding, (N,).
        known: 1 where the trial is support, 0 where it is a query or padding, (N,).
        shares: Of each trial in the generator loss; sum to 1 in each task, (N,).
        allowed: 0 for an option that a parameter has, -1e9 for the others, (P, 1, K).
    """

    rows: Any
    codes: Any
    tasks: Any
    groups: Any
    scores: Any
    present: Any
    known: Any
    shares: Any
    allowed: Any


def covariance(phi: Any, groups: Any, scales: Any) -> tuple[Any, Any]:
    """Returns the covariance of the scores without noise, (N, N), and the noise.

    Args:
        phi: Features, (N, E).
        groups: Number of each trial's task, (N,).
        scales: Log variances shared, own and noise, (3,).
    """
    shared, own, noise = tf.unstack(tf.exp(scales))
    same = tf.cast(groups[:, None] == groups[None], phi.dtype)
    return tf.matmul(phi, phi, transpose_b=True) * (shared + own * same), noise + MIN_NOISE


def task_loss(signal: Any, noise: Any, scores: Any, present: Any) -> Any:
    """How unlikely all tasks' own trials are, per trial.

    The negative log marginal likelihood `1/2 y' C^-1 y + 1/2 log|C|` without its constant,
    divided by the number of trials: what Perrone et al. 2018, section 3 minimise over the
    network and the variances, in the dual form of Rasmussen & Williams 2006, eq. 2.30.

    Args:
        signal: Covariance without noise, (N, N).
        noise: Its variance.
        scores: Normal scores, (N,).
        present: 1 for a trial, 0 for padding, (N,).
    """
    root = tf.linalg.cholesky(_restricted(signal, noise, present))
    white = tf.linalg.triangular_solve(root, (scores * present)[:, None])
    log_root = tf.reduce_sum(tf.math.log(tf.linalg.diag_part(root)))
    return (0.5 * tf.reduce_sum(white**2) + log_root) / tf.reduce_sum(present)


def meta_loss(signal: Any, noise: Any, scores: Any, known: Any, query: Any) -> Any:
    """How badly the adapted head predicts queries: the negative log predictive density.

    Mean over the queries of `1/2 log s^2 + (y - m)^2 / (2 s^2)` with m and s^2 the exact
    posterior predictive given the support (Rasmussen & Williams 2006, eq. 2.22 to 2.24 and
    2.34): the trials of the episode's other tasks, which give the head's prior mean, and
    those of the query's own task. Without any of its own it is the zero-shot prediction.

    Args:
        signal: Covariance without noise, (N, N).
        noise: Its variance.
        scores: Normal scores, (N,).
        known: 1 for support, (N,).
        query: 1 for a query, (N,).
    """
    root = tf.linalg.cholesky(_restricted(signal, noise, known))
    white = tf.linalg.triangular_solve(root, (scores * known)[:, None])
    cross = tf.linalg.triangular_solve(root, signal * known[:, None])
    mean = tf.reduce_sum(cross * white, 0)
    variance = tf.linalg.diag_part(signal) + noise - tf.reduce_sum(cross**2, 0)
    loss = 0.5 * (tf.math.log(variance) + (scores - mean) ** 2 / variance)
    return tf.reduce_sum(loss * query) / tf.reduce_sum(query)


def _restricted(signal: Any, noise: Any, kept: Any) -> Any:
    """The noisy covariance of the kept trials; the others become independent, variance 1."""
    return signal * kept[:, None] * kept + tf.linalg.diag(kept * noise + 1.0 - kept)


def generator_loss(weights: Mapping[str, Any], before: Any, episode: Episode) -> Any:
    """Reward-weighted cross-entropy: how unlikely the good configs of each task are.

    `-sum_i w_i log p(x_i | task_i)`, per decision and task. With `w = softmax(score / tau)`
    within a task it is the M-step of reward-weighted regression (Peters & Schaal 2007).
    Inactive decisions do not count.

    Args:
        weights: Of the network.
        before: States before each decision, (P, N, E).
        episode: Its codes, shares and allowed options count.
    """
    log_p, _ = log_prob(weights, before, episode)
    decisions = tf.reduce_sum(tf.cast(episode.codes >= 0, log_p.dtype), 0)
    per_decision = log_p / tf.maximum(decisions, 1.0)
    return -tf.reduce_sum(per_decision * episode.shares) / tf.reduce_sum(episode.shares)


def log_prob(weights: Mapping[str, Any], before: Any, episode: Episode) -> tuple[Any, Any]:
    """Log probability of each config, and the entropy of its decisions, (N,) each."""
    logits = before @ weights["logit"] + weights["logit_bias"] + episode.allowed
    log_p = tf.nn.log_softmax(logits)
    codes = episode.codes
    taken = tf.reduce_sum(log_p * tf.one_hot(codes, log_p.shape[-1], dtype=log_p.dtype), -1)
    # What is not allowed has probability 0 and must add 0 to the entropy, not 0 * -1e9.
    spread = -tf.reduce_sum(tf.exp(log_p) * tf.maximum(log_p, -50.0), -1)
    return tf.reduce_sum(taken, 0), tf.reduce_sum(spread * tf.cast(codes >= 0, spread.dtype), 0)


@tf.function(reduce_retracing=False)  # type: ignore[untyped-decorator]
def gradients(weights: Mapping[str, Any], episode: Episode) -> tuple[Any, Mapping[str, Any]]:
    """Returns the sum of the losses of an episode, and its gradients by weight.

    Args:
        weights: Of the network, float32 by name.
        episode: The trials.
    """
    with tf.GradientTape() as tape:
        tape.watch(weights)
        before, phi = hidden(tf, weights, episode.rows, episode.tasks)
        signal, noise = covariance(phi, episode.groups, weights["scales"])
        query = episode.present - episode.known
        loss = (
            task_loss(signal, noise, episode.scores, episode.present)
            + meta_loss(signal, noise, episode.scores, episode.known, query)
            + generator_loss(weights, before, episode)
        )
    return loss, tape.gradient(loss, weights)


@tf.function(reduce_retracing=False)  # type: ignore[untyped-decorator]
def policy_gradients(
    weights: Mapping[str, Any], episode: Episode, advantages: Any, bonus: Any
) -> Mapping[str, Any]:
    """Gradients of `-mean_i (A_i log p(x_i) + bonus H_i)`, by weight: REINFORCE.

    Williams 1992, section 4, the baseline already taken off the rewards, with the entropy
    H of the decisions as a bonus (Williams & Peng 1991).

    Args:
        weights: Of the network, float32 by name; those that do not generate get None.
        episode: Its rows, codes, tasks and allowed options count.
        advantages: Reward minus baseline of each config, (N,).
        bonus: Weight of the entropy.
    """
    with tf.GradientTape() as tape:
        tape.watch(weights)
        before, _ = hidden(tf, weights, episode.rows, episode.tasks)
        log_p, entropy = log_prob(weights, before, episode)
        loss = -tf.reduce_mean(advantages * log_p + bonus * entropy)
    found: Mapping[str, Any] = tape.gradient(loss, weights)
    return found

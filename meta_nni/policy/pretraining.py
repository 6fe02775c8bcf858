"""Training the network across tasks, between runs: the slow one of two speeds of learning.

Each step draws an episode and follows the gradient of task, meta and generator loss
(`losses`) with Adam; the head is then fitted to all trials exactly (`head.fit_head`). How
many steps there are depends on the data alone, so the same experience and seed give the
same weights however busy the machine is.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence

import numpy as np

from meta_nni.policy.adam import Adam
from meta_nni.policy.episodes import Lesson, draw_episode
from meta_nni.policy.losses import Episode, gradients
from meta_nni.policy.network import Network

__all__ = ["Progress", "num_steps", "train_network"]

Progress = Callable[[int, int, float], None]
"""Called with the steps done, all steps, and the running mean of the loss."""

_RATE = 0.01  # of Adam, at its highest
_WARM_UP = 20  # steps over which it rises to that
_MIN_STEPS, _MAX_STEPS, _TRIALS_PER_STEP = 50, 200, 8
_MEMORY = 0.95  # of the running mean of the loss
_NUM_LINES = 10  # of a training in the log
_BAR = 20  # characters

_log = logging.getLogger(__name__)


def num_steps(lessons: Sequence[Lesson]) -> int:
    """50 steps and one for each 8 trials, 200 at most."""
    num_trials = sum(len(lesson.scores) for lesson in lessons)
    return min(_MIN_STEPS + num_trials // _TRIALS_PER_STEP, _MAX_STEPS)


def train_network(
    network: Network,
    lessons: Sequence[Lesson],
    *,
    seed: int,
    steps: int,
    max_seconds: float | None = None,
    progress: Progress | None = None,
) -> tuple[Network, int]:
    """Trains a network.

    Args:
        network: Where to start.
        lessons: Earlier runs, at least one.
        seed: Of the episodes.
        steps: How many there are.
        max_seconds: An emergency stop, checked between steps, of which the first does not
            count, since it compiles; when it strikes, a warning
            is logged and the weights depend on the machine.
        progress: Called after each step; log lines with a bar if None.

    Returns:
        The trained network, and the number of steps done.
    """
    rng, report = np.random.default_rng(seed), progress or _Bar()
    weights, adam = dict(network.weights), Adam()
    started, mean = time.monotonic(), math.nan
    for step in range(steps):
        if max_seconds is not None and time.monotonic() - started > max_seconds:
            _log.warning(
                "training stopped after %d of %d steps, since they took %.0f s",
                step,
                steps,
                max_seconds,
            )
            return Network(network.decisions, weights), step
        episode = Episode(**draw_episode(lessons, network.decisions, rng))
        loss, slopes = gradients(weights, episode)
        slopes = {name: np.asarray(slope) for name, slope in slopes.items()}
        moved, adam = adam.step(weights, slopes, _rate(step, steps))
        weights = dict(moved)
        mean = float(loss) if step == 0 else _MEMORY * mean + (1 - _MEMORY) * float(loss)
        if step == 0:  # which compiles
            started = time.monotonic()
        report(step + 1, steps, mean)
    return Network(network.decisions, weights), steps


def _rate(step: int, steps: int) -> float:
    """Rises linearly, then falls as a cosine (Loshchilov & Hutter 2017, eq. 5)."""
    rise = min(1.0, (step + 1) / _WARM_UP)
    return _RATE * rise * 0.5 * (1.0 + math.cos(math.pi * step / steps))


class _Bar:
    """Logs a bar a few times in a training."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def __call__(self, step: int, steps: int, loss: float) -> None:
        if step % max(steps // _NUM_LINES, 1) and step < steps:
            return
        full = _BAR * step // steps
        left = (time.monotonic() - self._started) / step * (steps - step)
        bar = "#" * full + "-" * (_BAR - full)
        _log.info("training [%s] %d of %d, loss %.3f, %.0f s left", bar, step, steps, loss, left)

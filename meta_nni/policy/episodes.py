"""Earlier runs as arrays, and the episodes that training draws from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from meta_nni.policy.decisions import Decisions
from meta_nni.policy.warp import normal_scores
from meta_nni.task import Task
from meta_nni.trial import History, Trial

__all__ = ["MIN_TRIALS", "Lesson", "allowed_options", "draw_episode"]

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.float32]

MIN_TRIALS = 3
"""A run with fewer ended trials, or without a completed one, teaches nothing."""

_NUM_TASKS = 3  # tasks of an episode
_NUM_TRIALS = 144  # trials of an episode, all tasks together
_ZERO_SHOT = 0.4  # share of episodes whose query task has no support of its own
_UNKNOWN_TASK = 0.25  # share of tasks whose metafeatures are hidden
_TEMPERATURE = 0.3  # tau of the generator loss, in normal scores


@dataclass(frozen=True)
class Lesson:
    """What one earlier run teaches about the new space.

    Attributes:
        task: The run's task.
        rows: Encoded configs of its T ended trials, float32 (T, P, F). What its space does
            not share with the new one is inactive.
        codes: The options taken, -1 where inactive, int64 (T, P).
        scores: Normal scores, higher is better, failures lowest, float64 (T,).
    """

    task: Task
    rows: Rows
    codes: npt.NDArray[np.int64]
    scores: Floats

    @classmethod
    def from_history(cls, history: History, decisions: Decisions) -> Lesson | None:
        """Returns the lesson, or None where the run says nothing about the space."""
        space, origin = decisions.space, history.run.space
        ended = [trial for trial in history.trials if trial.state in ("completed", "failed")]
        if len(ended) < MIN_TRIALS or not history.completed:
            return None
        rows = np.stack([space.encode(trial.config, origin) for trial in ended])
        if not rows.any():
            return None
        task = history.run.task
        scores = normal_scores(np.array([_turned(trial, task.sign) for trial in ended]))
        return cls(task, rows, decisions.codes(rows), scores)


def _turned(trial: Trial, sign: float) -> float:
    return -np.inf if trial.value is None else sign * trial.value


def allowed_options(decisions: Decisions) -> Rows:
    """What `losses.Episode.allowed` wants, float32 (P, 1, K)."""
    return np.where(decisions.allowed, 0.0, -1e9).astype(np.float32)[:, None]


def draw_episode(
    lessons: Sequence[Lesson], decisions: Decisions, rng: np.random.Generator
) -> Mapping[str, npt.NDArray[np.generic]]:
    """Draws tasks, their trials, and which of these are support.

    The first task drawn is the query task: 0 to T - 1 of its trials are support, the rest
    are queries. All trials of the other tasks are support. Shapes depend only on the
    lessons, so that TensorFlow traces a training once.

    Returns:
        The fields of `losses.Episode`.
    """
    num_tasks = min(_NUM_TASKS, len(lessons))
    width = min(_NUM_TRIALS // num_tasks, max(len(lesson.scores) for lesson in lessons))
    chosen = [lessons[i] for i in rng.choice(len(lessons), num_tasks, replace=False)]
    parts = [_draw_task(lesson, width, rng) for lesson in chosen]
    fields = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    position = np.arange(num_tasks * width)
    num_trials = int(parts[0]["present"].sum())
    num_support = 0 if rng.random() < _ZERO_SHOT else int(rng.integers(num_trials))
    query = (position >= num_support) & (position < width)
    return {
        **fields,
        "rows": np.ascontiguousarray(fields["rows"].transpose(1, 0, 2)),
        "codes": np.ascontiguousarray(fields["codes"].T),
        "groups": position // width,
        "known": np.where(query, 0.0, fields["present"]).astype(np.float32),
        "allowed": allowed_options(decisions),
    }


def _draw_task(
    lesson: Lesson, width: int, rng: np.random.Generator
) -> dict[str, npt.NDArray[np.generic]]:
    """`width` trials of a task in random order, padded at the end."""
    num_trials = len(lesson.scores)
    drawn = rng.permutation(num_trials)[:width]
    index = np.concatenate([drawn, np.zeros(width - len(drawn), np.int64)])
    present = (np.arange(width) < len(drawn)).astype(np.float32)
    scores = lesson.scores[index] * present
    shares = np.exp(scores / _TEMPERATURE) * present
    embedding = lesson.task.embedding() * (rng.random() >= _UNKNOWN_TASK)
    return {
        "rows": lesson.rows[index],
        "codes": lesson.codes[index],
        "tasks": np.tile(embedding, (width, 1)).astype(np.float32),
        "scores": scores.astype(np.float32),
        "present": present,
        "shares": (shares / shares.sum()).astype(np.float32),
    }

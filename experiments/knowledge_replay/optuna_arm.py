"""Optuna's Gaussian process in a pool, with each source's best config enqueued.

Optuna knows no pools and its Gaussian process no conditions. So it is told a flat space
with the parameters of all branches, and the untried row nearest to its proposal answers.
What it is told then is that row's own config with its value, not the proposed one's.
"""

from __future__ import annotations

import warnings

import numpy as np
import optuna

from experiments.knowledge_replay.flat import Flat
from experiments.knowledge_replay.problem import Problem
from experiments.transfer_benchmark.peers_optuna import OptunaArm
from experiments.transfer_benchmark.tables import Table
from meta_nni.trial import Config, History, Suggestion, Trial

__all__ = ["search_optuna"]


class _PoolArm(OptunaArm):
    """Takes the value of another config than the proposed one."""

    def tell(self, config: Config, value: float) -> None:
        self._study.tell(self._trial, state=optuna.trial.TrialState.FAIL)  # never measured
        self._study.add_trial(
            optuna.trial.create_trial(params=config, distributions=self._distributions, value=value)
        )


def search_optuna(problem: Problem, seed: int, num_trials: int) -> list[int]:
    """Runs the GP sampler with its defaults, told that a config's value does not vary.

    A failure is told as the worst value so far, and not at all before there is one.
    """
    space = problem.pool.run.space
    flat = Flat(space)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.GPSampler(seed=seed, deterministic_objective=True)
    table = Table("pool", flat.space, [], problem.x, {}, {}, lambda config: 0)
    arm = _PoolArm(table, [_flattened(source, flat) for source in problem.alike], sampler)
    rows: list[int] = []
    values: list[float] = []
    for _ in range(min(num_trials, len(problem.configs))):
        proposed = space.encode(flat.unflatten(arm.ask())).ravel()
        distances = ((problem.x - proposed) ** 2).sum(axis=1)
        distances[rows] = np.inf
        rows.append(int(np.argmin(distances)))
        value = problem.result(rows[-1]).value
        if value is not None:
            values.append(problem.pool.run.task.sign * value)
        if values:
            own = flat.flatten(problem.configs[rows[-1]], space)
            arm.tell(own, min(values) if value is None else values[-1])
    return rows


def _flattened(source: History, flat: Flat) -> History:
    """The completed trials of a source with flat configs."""
    trials = []
    for trial in source.completed:
        config = flat.flatten(trial.config, source.run.space)
        own = Trial(trial.trial_id, trial.number, Suggestion(config, "random"))
        assert trial.result is not None
        trials.append(own.with_result(trial.result))
    return History(source.run, tuple(trials))

"""Syne Tune's arms: a bounding box around the sources' best with REA, and CQR, cold.

Both are told errors (the negated value) to minimise: 0.16's searchers do not all heed the
other direction.
"""

from __future__ import annotations

import contextlib
import datetime
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from syne_tune.backend.trial_status import Trial
from syne_tune.config_space import choice, lograndint, loguniform, randint, uniform
from syne_tune.optimizer.baselines import CQR, REA
from syne_tune.optimizer.schedulers.transfer_learning.bounding_box import BoundingBox
from syne_tune.optimizer.schedulers.transfer_learning.transfer_learning_task_evaluation import (
    TransferLearningTaskEvaluations,
)

from experiments.transfer_benchmark.peer_space import Domain, domains, to_config
from experiments.transfer_benchmark.tables import Table
from meta_nni.trial import Config, History

__all__ = ["SyneTuneArm", "bounding_box_rea", "cqr"]

_METRIC = "error"


class SyneTuneArm:
    """A scheduler, called as Syne Tune's tuner calls it."""

    prediction: tuple[float, float] | None = None

    def __init__(self, table: Table, scheduler: Any) -> None:
        self._space, self._scheduler, self._id = table.space, scheduler, 0

    def ask(self) -> Config:
        """Takes the scheduler's next suggestion."""
        suggestion = self._scheduler.suggest()
        self._trial = Trial(self._id, suggestion.config, datetime.datetime.now())
        self._scheduler.on_trial_add(self._trial)
        return to_config(self._space, suggestion.config)

    def tell(self, config: Config, value: float) -> None:
        """Reports the error as the one result and as the last."""
        result = {_METRIC: -value}
        self._scheduler.on_trial_result(self._trial, result)
        self._scheduler.on_trial_complete(self._trial, result)
        self._id += 1


def bounding_box_rea(table: Table, sources: Sequence[History], seed: int) -> SyneTuneArm:
    """Regularized evolution inside the box around each source's best config.

    A population of 10 of which 5 compete: the default of 100 would be random search for
    the first 100 trials.
    """
    np.random.seed(seed)  # noqa: NPY002  its random configs come from the global generator
    space = _config_space(table)
    evaluations = {source.run.run_id: _evaluations(source, space) for source in sources}

    def rea(box: dict[str, Any], metric: str, do_minimize: bool, random_seed: int) -> REA:
        return REA(box, metric, do_minimize, random_seed, population_size=10, sample_size=5)

    with contextlib.redirect_stdout(io.StringIO()):
        scheduler = BoundingBox(rea, space, _METRIC, evaluations, True, 1, seed)
    return SyneTuneArm(table, scheduler)


def cqr(table: Table, sources: Sequence[History], seed: int) -> SyneTuneArm:
    """Conformal quantile regression with its defaults."""
    np.random.seed(seed)  # noqa: NPY002  it samples from the global generator
    return SyneTuneArm(table, CQR(_config_space(table), _METRIC, True, seed))


def _config_space(table: Table) -> dict[str, Any]:
    return {name: _domain(domain) for name, domain in domains(table.space).items()}


def _domain(domain: Domain) -> Any:
    if domain.kind == "choice":
        return choice(list(domain.options))
    if domain.kind == "int":
        return (lograndint if domain.log else randint)(int(domain.low), int(domain.high))
    return (loguniform if domain.log else uniform)(domain.low, domain.high)


def _evaluations(source: History, space: dict[str, Any]) -> TransferLearningTaskEvaluations:
    errors = np.array([-(trial.value or 0.0) for trial in source.completed])
    return TransferLearningTaskEvaluations(
        configuration_space=space,
        hyperparameters=pd.DataFrame([trial.config for trial in source.completed]),
        objectives_names=[_METRIC],
        objectives_evaluations=errors[:, None, None, None],
    )

"""Optuna's TPE and Gaussian process as arms, cold or with the sources' best enqueued."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from experiments.transfer_benchmark.peer_space import (
    Domain,
    best_of_sources,
    domains,
    to_config,
)
from experiments.transfer_benchmark.tables import Table
from meta_nni.trial import Config, History

__all__ = ["OptunaArm", "gp", "tpe"]


class OptunaArm:
    """A study, asked and told. With sources, each one's best config is enqueued first."""

    prediction: tuple[float, float] | None = None

    def __init__(
        self, table: Table, sources: Sequence[History], sampler: optuna.samplers.BaseSampler
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._space = table.space
        self._distributions = {
            name: _distribution(domain) for name, domain in domains(table.space).items()
        }
        self._study = optuna.create_study(direction="maximize", sampler=sampler)
        for config in best_of_sources(list(sources)):
            self._study.enqueue_trial(config)

    def ask(self) -> Config:
        """Asks for a trial."""
        self._trial = self._study.ask(self._distributions)
        return to_config(self._space, self._trial.params)

    def tell(self, config: Config, value: float) -> None:
        """Tells its value."""
        self._study.tell(self._trial, value)


def tpe(table: Table, sources: Sequence[History], seed: int) -> OptunaArm:
    """TPE with its defaults: 10 random trials come first, enqueued ones among them."""
    return OptunaArm(table, sources, optuna.samplers.TPESampler(seed=seed))


def gp(table: Table, sources: Sequence[History], seed: int) -> OptunaArm:
    """The GP sampler with its defaults, but told that a config's value does not vary."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.GPSampler(seed=seed, deterministic_objective=True)
    return OptunaArm(table, sources, sampler)


def _distribution(domain: Domain) -> BaseDistribution:
    if domain.kind == "choice":
        return CategoricalDistribution(domain.options)
    if domain.kind == "int":
        return IntDistribution(int(domain.low), int(domain.high), log=domain.log)
    return FloatDistribution(domain.low, domain.high, log=domain.log)

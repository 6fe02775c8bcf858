"""OpenBox's transfer learning as an arm: ranking-weighted Gaussian process ensemble."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from ConfigSpace import (
    CategoricalHyperparameter,
    ConfigurationSpace,
    UniformFloatHyperparameter,
    UniformIntegerHyperparameter,
)
from openbox import Advisor, Observation
from openbox import History as OpenBoxHistory

from experiments.transfer_benchmark.peer_space import Domain, domains, to_config
from experiments.transfer_benchmark.tables import Table
from meta_nni.trial import Config, History

__all__ = ["OpenBoxArm", "rgpe"]


class OpenBoxArm:
    """An advisor, told errors (the negated value): OpenBox minimises."""

    prediction: tuple[float, float] | None = None

    def __init__(self, table: Table, advisor: Any) -> None:
        self._space, self._advisor = table.space, advisor

    def ask(self) -> Config:
        """Takes the advisor's next suggestion."""
        self._configuration = self._advisor.get_suggestion()
        return to_config(self._space, dict(self._configuration))

    def tell(self, config: Config, value: float) -> None:
        """Reports the error."""
        observation = Observation(config=self._configuration, objectives=[-value])
        self._advisor.update_observation(observation)


def rgpe(table: Table, sources: Sequence[History], seed: int) -> OpenBoxArm:
    """RGPE (Feurer et al. 2018) on Gaussian processes with OpenBox's other defaults."""
    np.random.seed(seed)  # noqa: NPY002  its ranking samples come from the global generator
    space = ConfigurationSpace(seed=seed)
    space.add_hyperparameters([_parameter(*item) for item in domains(table.space).items()])
    advisor = Advisor(
        space,
        transfer_learning_history=[_history(source, space) for source in sources],
        surrogate_type="tlbo_rgpe_gp",
        acq_optimizer_type="local_random",
        output_dir=None,
        random_state=seed,
        logger_kwargs={"level": logging.ERROR},
    )
    return OpenBoxArm(table, advisor)


def _parameter(name: str, domain: Domain) -> Any:
    if domain.kind == "choice":
        return CategoricalHyperparameter(name, list(domain.options))
    if domain.kind == "int":
        return UniformIntegerHyperparameter(name, int(domain.low), int(domain.high), log=domain.log)
    return UniformFloatHyperparameter(name, domain.low, domain.high, log=domain.log)


def _history(source: History, space: ConfigurationSpace) -> OpenBoxHistory:
    history = OpenBoxHistory(task_id=source.run.run_id, config_space=space)
    for trial in source.completed:
        configuration = _configuration(space, trial.config)
        history.update_observation(Observation(configuration, [-(trial.value or 0.0)]))
    return history


def _configuration(space: ConfigurationSpace, config: Config) -> Any:
    values = {
        name: int(config[name]) if isinstance(parameter, UniformIntegerHyperparameter) else value
        for (name, value), parameter in zip(config.items(), map(space.get, config), strict=True)
    }
    from ConfigSpace import Configuration

    return Configuration(space, values=values)

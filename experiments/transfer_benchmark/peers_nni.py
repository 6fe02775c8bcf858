"""NNI's own tuners, TPE and Evolution, as arms: both start cold."""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
from nni.algorithms.hpo.evolution_tuner import EvolutionTuner
from nni.algorithms.hpo.tpe_tuner import TpeTuner

from experiments.transfer_benchmark.tables import Table
from meta_nni.trial import Config, History

__all__ = ["NNIArm", "evolution", "tpe"]


class NNIArm:
    """A tuner of NNI, called as NNI's dispatcher calls it."""

    prediction: tuple[float, float] | None = None

    def __init__(self, tuner: Any) -> None:
        logging.getLogger("nni").setLevel(logging.ERROR)
        self._tuner, self._id = tuner, 0

    def ask(self) -> Config:
        """Generates the parameters of the next id."""
        return dict(self._tuner.generate_parameters(self._id))

    def tell(self, config: Config, value: float) -> None:
        """Reports the result, then the end of the trial."""
        self._tuner.receive_trial_result(self._id, config, value)
        self._tuner.trial_end(self._id, True)
        self._id += 1


def tpe(table: Table, sources: Sequence[History], seed: int) -> NNIArm:
    """TPE with its defaults: 20 random trials come first."""
    tuner = TpeTuner(optimize_mode="maximize", seed=seed)
    tuner.update_search_space(table.space.to_nni())
    return NNIArm(tuner)


def evolution(table: Table, sources: Sequence[History], seed: int) -> NNIArm:
    """Evolution with its defaults: a population of 32, so 32 random trials come first.

    It has no seed; its population is drawn again from a seeded generator.
    """
    random.seed(seed)
    tuner = EvolutionTuner(optimize_mode="maximize")
    tuner.update_search_space(table.space.to_nni())
    tuner.random_state, tuner.population = np.random.RandomState(seed), []
    for _ in range(tuner.population_size):
        tuner._random_generate_individual()
    return NNIArm(tuner)

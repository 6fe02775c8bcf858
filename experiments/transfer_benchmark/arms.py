"""The arms: everything that proposes configs in the benchmark, by name.

An arm is made from a table, the sources and a seed, then asked and told in turn. Ours
and the references are here; the peers' modules are imported only when one of their arms
is made, since their packages live in another environment.
"""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from experiments.transfer_benchmark.designs import NeuralDesign, RankingDesign
from experiments.transfer_benchmark.mean_rank import MeanRankPortfolio
from experiments.transfer_benchmark.problem import Variant
from experiments.transfer_benchmark.prototype import Prototype
from experiments.transfer_benchmark.tables import Table
from meta_nni.controllers import Controller, MetaController, make
from meta_nni.task import Task
from meta_nni.trial import Config, History, Result, Run, Suggestion, Trial

__all__ = ["ARMS", "Arm", "ControllerArm", "Exhausted", "Factory", "Spec"]


class Exhausted(Exception):
    """An arm has nothing left to propose."""


class Arm(Protocol):
    """Proposes configs, one at a time.

    Attributes:
        prediction: Mean and standard deviation predicted for the config last proposed,
            in the units of the task's values; None where the arm says nothing.
    """

    prediction: tuple[float, float] | None

    def ask(self) -> Config:
        """Proposes a config; repeats count as trials.

        Raises:
            Exhausted: if there is none left.
        """
        ...

    def tell(self, config: Config, value: float) -> None:
        """Reports the value, higher is better, of the config last proposed."""
        ...


Factory = Callable[[Table, Sequence[History], int], Arm]


@dataclass(frozen=True)
class Spec:
    """What an arm is.

    Attributes:
        factory: Makes it from (table, sources, seed).
        kind: Ours, a reference, or a peer that users have today.
        sources: What it is given, see `problem.VARIANTS`.
        environment: Where its packages are: this package's, or the peers'.
        packages: Whose versions are recorded with its results.
    """

    factory: Factory
    kind: Literal["ours", "reference", "peer"]
    sources: Variant = "good"
    environment: Literal["main", "peers"] = "main"
    packages: tuple[str, ...] = ("numpy", "scipy")


class ControllerArm:
    """A controller of this package, called exactly as `meta_nni.search.Search` calls it."""

    def __init__(
        self,
        table: Table,
        sources: Sequence[History],
        seed: int,
        name: str,
        network: bool = True,
        pool: bool = False,
    ) -> None:
        self._seed = seed
        # A network of its own for each search: none has seen the target task.
        with tempfile.TemporaryDirectory() as folder:
            checkpoint = Path(folder) / "network.npz" if network else None
            only = table.configs if pool else None
            self._controller: Controller = (
                MetaController(checkpoint, only=only) if name == "meta" else make(name)
            )
            self._learn(table, sources)

    def _learn(self, table: Table, sources: Sequence[History]) -> None:
        self._run = Run("target", Task("target"), table.space, metric="value")
        self._trials: list[Trial] = []
        self.prediction: tuple[float, float] | None = None
        self._controller.learn(self._run, sources, np.random.default_rng(self._seed))

    def ask(self) -> Config:
        """Proposes the controller's next config."""
        number = len(self._trials)
        rng = np.random.default_rng([self._seed, number])
        history = History(self._run, tuple(self._trials))
        suggestions = self._controller.propose(history, 1, rng)
        if not suggestions:
            raise Exhausted
        (self._suggestion,) = suggestions
        mean, std = self._suggestion.mean, self._suggestion.std
        self.prediction = None if mean is None or std is None else (mean, std)
        return self._suggestion.config

    def tell(self, config: Config, value: float) -> None:
        """Adds the trial to the history."""
        number = len(self._trials)
        suggestion = Suggestion(
            config, self._suggestion.source, self._suggestion.mean, self._suggestion.std
        )
        trial = Trial(str(number), number, suggestion)
        self._trials.append(trial.with_result(Result(value)))


def _ours(name: str, sources: Variant = "good", **options: bool) -> Spec:
    return Spec(partial(ControllerArm, name=name, **options), "ours", sources)


def _reference(name: str) -> Spec:
    return Spec(partial(ControllerArm, name=name), "reference")


def _peer(module: str, maker: str, sources: Variant = "none", **options: Any) -> Spec:
    environment: Literal["main", "peers"] = "main" if module == "nni" else "peers"

    def factory(table: Table, histories: Sequence[History], seed: int) -> Arm:
        peers = importlib.import_module(f"experiments.transfer_benchmark.peers_{module}")
        arm: Arm = getattr(peers, maker)(table, histories, seed, **options)
        return arm

    packages = {
        "nni": ("nni", "numpy"),
        "optuna": ("optuna", "torch", "numpy", "scipy"),
        "syne_tune": ("syne-tune", "scikit-learn", "numpy"),
        "openbox": ("openbox", "scikit-learn", "numpy"),
    }
    return Spec(factory, "peer", sources, environment, packages[module])


ARMS: dict[str, Spec] = {
    "meta": _ours("meta"),
    "meta_cold": _ours("meta", "none"),
    "meta_negated": _ours("meta", "negated"),
    "meta_permuted": _ours("meta", "permuted"),
    "meta_one_negated": _ours("meta", "one_negated"),
    "meta_unrelated": _ours("meta", "unrelated"),
    "meta_pool": _ours("meta", pool=True),
    "design_gp": _ours("meta", pool=True, network=False),
    "design_neural": Spec(NeuralDesign, "ours"),
    "design_ranking": Spec(RankingDesign, "ours"),
    "random": _reference("random"),
    "evolution": _reference("evolution"),
    "portfolio": _reference("portfolio"),
    "portfolio_mean_rank": Spec(MeanRankPortfolio, "reference"),
    "prototype": Spec(Prototype, "reference"),
    "prototype_cold": Spec(Prototype, "reference", "none"),
    "nni_tpe": _peer("nni", "tpe"),
    "nni_evolution": _peer("nni", "evolution"),
    "optuna_tpe": _peer("optuna", "tpe"),
    "optuna_tpe_warm": _peer("optuna", "tpe", "good"),
    "optuna_gp": _peer("optuna", "gp"),
    "optuna_gp_warm": _peer("optuna", "gp", "good"),
    "syne_tune_box_rea": _peer("syne_tune", "bounding_box_rea", "good"),
    "syne_tune_cqr": _peer("syne_tune", "cqr"),
    "openbox_rgpe": _peer("openbox", "rgpe", "good"),
}
"""Every arm by its name."""

"""The arms: each searches a pool and says which rows it tried, in order.

An arm knows the pool's configs, and a row's result once it has tried the row.
"""

from __future__ import annotations

import importlib
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from experiments.knowledge_replay.problem import Problem
from experiments.transfer_benchmark.mean_rank import MeanRankPortfolio
from experiments.transfer_benchmark.tables import Table
from meta_nni.controllers import MetaController
from meta_nni.policy.training import train
from meta_nni.trial import Config, History, Result, Trial

__all__ = ["ARMS", "Arm", "Search"]

Search = Callable[[Problem, int, int], list[int]]
"""(problem, seed, trials) -> rows of the pool tried, in order, each once."""

_networks = tempfile.TemporaryDirectory(prefix="knowledge-replay-")


@dataclass(frozen=True)
class Arm:
    """What an arm is.

    Attributes:
        search: Runs it.
        packages: Whose versions are recorded with its results.
        environment: Where these are: this package's, or the peers'.
    """

    search: Search
    packages: tuple[str, ...] = ("numpy", "scipy")
    environment: Literal["main", "peers"] = "main"


def search_meta(problem: Problem, seed: int, num_trials: int) -> list[int]:
    """This package's controller, called as `meta_nni.search.Search` calls it."""
    controller = MetaController(_network(problem), only=problem.configs)
    run = replace(problem.pool.run, run_id="replay")
    controller.learn(run, problem.sources, np.random.default_rng(seed))
    rows: list[int] = []
    trials: list[Trial] = []
    for number in range(num_trials):
        rng = np.random.default_rng([seed, number])
        suggestions = controller.propose(History(run, tuple(trials)), 1, rng)
        if not suggestions:
            break
        rows.append(problem.rows[run.space.key(suggestions[0].config)])
        trial = Trial(str(number), number, suggestions[0])
        trials.append(trial.with_result(problem.result(rows[-1])))
    return rows


def _network(problem: Problem) -> Path:
    """A checkpoint trained on the problem's sources alone; all seeds share it.

    It learns from those that a search would let it learn from (`policy.training.train`), but
    without a limit of seconds, so that it does not depend on how busy the machine is.
    """
    from meta_nni.policy.neural import NeuralPolicy

    path, run = Path(_networks.name) / f"{problem.name.replace('/', '_')}.npz", problem.pool.run
    if not path.exists():
        policy = train(
            run,
            problem.sources,
            np.random.default_rng(0),
            lambda histories: NeuralPolicy.train(run.space, histories, seed=0),
        )
        if policy.network is not None:
            policy.network.save(path)
    return path


def search_portfolio(problem: Problem, seed: int, num_trials: int) -> list[int]:
    """The pool by mean rank over Gaussian processes, one fitted to each source of the kind."""
    space = problem.pool.run.space
    configs, encoded = list(problem.configs), list(problem.x)
    sources = []
    for source in problem.alike:
        sources.append(_failures_as_worst(source))
        configs += [trial.config for trial in sources[-1].trials]
        encoded += [space.encode(c, source.run.space).ravel() for c in configs[len(encoded) :]]
    places = {_text(config): row for row, config in reversed(list(enumerate(configs)))}

    def place(config: Config) -> int:
        return places[_text(config)]

    x = np.array(encoded, np.float64)
    portfolio = MeanRankPortfolio(Table("pool", space, configs, x, {}, {}, place), sources, seed)
    ranked = [place(portfolio.ask()) for _ in configs]
    return list(dict.fromkeys(row for row in ranked if row < len(problem.configs)))[:num_trials]


def _failures_as_worst(source: History) -> History:
    """The source with a value for each failure: its worst one."""
    worst = source.ranked[-1].value
    failed = (trial.with_result(Result(worst)) for trial in source.failed)
    return replace(source, trials=(*source.completed, *failed))


def _text(config: Config) -> str:
    return json.dumps(config, sort_keys=True)


def search_random(problem: Problem, seed: int, num_trials: int) -> list[int]:
    """Draws without replacement."""
    rows = np.random.default_rng(seed).permutation(len(problem.configs))
    return [int(row) for row in rows[:num_trials]]


def _search_optuna(problem: Problem, seed: int, num_trials: int) -> list[int]:
    """See `optuna_arm`, whose packages live in the peers' environment."""
    module = importlib.import_module("experiments.knowledge_replay.optuna_arm")
    rows: list[int] = module.search_optuna(problem, seed, num_trials)
    return rows


ARMS: dict[str, Arm] = {
    "meta": Arm(search_meta, ("numpy", "scipy", "tensorflow")),
    "portfolio_mean_rank": Arm(search_portfolio),
    "optuna_gp_warm": Arm(_search_optuna, ("optuna", "torch", "numpy", "scipy"), "peers"),
    "random": Arm(search_random),
}
"""Every arm by its name."""

"""The strategies on real data: each finds a cell within the same seconds of the processor.

Children of the controllers are trained shortly from scratch, those of DARTS and ENAS share
weights. What is found is trained anew by the caller, for all alike.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.nas_strategies.arms import PORTFOLIO
from experiments.transfer_benchmark.mean_rank import MeanRankPortfolio
from experiments.transfer_benchmark.tables import Table
from meta_nni.adapters.oneshot import learned_start
from meta_nni.controllers import Controller, EvolutionController, MetaController, RandomController
from meta_nni.models import KerasEvaluator
from meta_nni.oneshot import DartsSearch, EnasSearch, OneShotSearch
from meta_nni.space import SearchSpace
from meta_nni.task import Task
from meta_nni.trial import Config, History, Result, Run, Suggestion, Trial

__all__ = ["DATA_ARMS", "Outcome", "Setting", "find"]

_LEAST_EPOCHS = 4  # of a one-shot search, two of them before DARTS moves its alphas


@dataclass(frozen=True)
class Setting:
    """What all arms have in common.

    Attributes:
        data: Where the data is.
        task: The task, with metafeatures.
        space: The cell space, isomorphic cells merged.
        evaluator: Trains a child shortly.
        sources: Histories of the other data sets.
        seconds: Of the processor, for the search.
        samples: Most training rows.
        seed: Of the search.
    """

    data: dict[str, str]
    task: Task
    space: SearchSpace
    evaluator: KerasEvaluator
    sources: Sequence[History]
    seconds: float
    samples: int
    seed: int


class Outcome(NamedTuple):
    """What a search found.

    Attributes:
        config: The cell.
        num_children: How many cells were measured.
        seconds: Of the processor.
        stopped: Why a one-shot search ended early, or None.
    """

    config: Config
    num_children: int
    seconds: float
    stopped: str | None = None


def find(arm: str, setting: Setting) -> Outcome:
    """Searches with an arm."""
    return DATA_ARMS[arm](setting)


def _children(setting: Setting, make: Callable[[Path], Controller], warm: bool) -> Outcome:
    """Searches by a controller, called as `Search` calls it."""
    start = time.process_time()
    run = Run("target", setting.task, setting.space)
    with tempfile.TemporaryDirectory() as folder:
        controller = make(Path(folder) / "network.npz")
        sources = setting.sources if warm else ()
        controller.learn(run, sources, np.random.default_rng(setting.seed))

    def propose(history: History) -> Config:
        rng = np.random.default_rng([setting.seed, len(history.trials)])
        return controller.propose(history, 1, rng)[0].config

    return _measured(setting, run, propose, start)


def _portfolio(setting: Setting) -> Outcome:
    """Trains the cells of best mean rank over the sources, one after the other."""
    start = time.process_time()
    ranked = MeanRankPortfolio(_table(setting.space), setting.sources, setting.seed)
    run = Run("target", setting.task, setting.space)
    return _measured(setting, run, lambda history: ranked.ask(), start)


def _measured(
    setting: Setting, run: Run, propose: Callable[[History], Config], start: float
) -> Outcome:
    """Trains children until the seconds are spent; the last one gets what is left."""
    history = History(run)
    while (left := setting.seconds - (time.process_time() - start)) > 0:
        number = len(history.trials)
        config = propose(history)
        setting.evaluator.max_seconds = max(left, 1.0)
        result: Result = setting.evaluator(config)
        trial = Trial(str(number), number, Suggestion(config, "child")).with_result(result)
        history = History(run, (*history.trials, trial))
    best = history.best
    assert best is not None, "no child was trained in time; give more --seconds"
    return Outcome(best.config, len(history.trials), time.process_time() - start)


def _table(space: SearchSpace) -> Table:
    """All cells of the space as the rows of a table, without values."""
    configs = list({space.key(config): config for config in space.configs()}.values())
    row = {space.key(config): i for i, config in enumerate(configs)}
    x = np.array([space.encode(config)[:, 2:].ravel() for config in configs], float)
    return Table("cells", space, configs, x, {}, {}, lambda config: row[space.key(config)])


class _TimeIsUp(Exception):
    pass


def _one_shot(setting: Setting, make: type[OneShotSearch], warm: bool) -> Outcome:
    """Searches with shared weights, for as many epochs as the seconds allow.

    Everything counts, as for the other arms: learning from the sources, loading, and the few
    epochs on trial that tell how many there is time for.
    """
    start = time.process_time()
    initial = None
    if warm:
        initial = learned_start(setting.space, setting.task, setting.sources, seed=setting.seed)
    epochs = _affordable(setting, make, start)
    with tempfile.TemporaryDirectory() as folder:
        search: Any = _search(setting, make, epochs)
        search.initial, search.checkpoint = initial, Path(folder) / "search.npz"

        def report(epoch: int, epochs: int, accuracy: float) -> None:
            if time.process_time() - start > setting.seconds:
                raise _TimeIsUp

        try:
            found = search.run(report)
        except _TimeIsUp:
            search.max_seconds = 1e-9  # of what the checkpoint has, the config is derived
            found = search.run()
    spent = time.process_time() - start
    return Outcome(found.config, len(found.children), spent, found.stopped)


def _affordable(setting: Setting, make: type[OneShotSearch], start: float) -> int:
    """Epochs that fit, by a few on trial: the learning rate is to fall to its end in time."""
    marks = [time.process_time()]
    trial = _search(setting, make, _LEAST_EPOCHS)
    trial.run(lambda *progress: marks.append(time.process_time()))
    now, epoch = time.process_time(), marks[-1] - marks[-2]
    around = now - marks[0] - _LEAST_EPOCHS * epoch  # compiling before, deriving after
    left = setting.seconds - (now - start) - max(around, 0.0)
    return max(_LEAST_EPOCHS, int(left / epoch))


def _search(setting: Setting, make: type[OneShotSearch], epochs: int) -> OneShotSearch:
    return make(
        "nasbench201", setting.data, epochs=epochs, samples=setting.samples, seed=setting.seed
    )


def _evolution(file: Path, warm: bool) -> Controller:
    # A search has a few dozen children at most: with 20 it would be random until its end.
    return EvolutionController(population_size=8, sample_size=3, warm=warm)


def _pairs() -> Iterator[tuple[str, Callable[[Setting], Outcome]]]:
    for ending, warm in (("cold", False), ("warm", True)):
        yield f"darts_{ending}", partial(_one_shot, make=DartsSearch, warm=warm)
        yield f"enas_{ending}", partial(_one_shot, make=EnasSearch, warm=warm)
        evolve = partial(_evolution, warm=warm)
        yield f"evolution_{ending}", partial(_children, make=evolve, warm=warm)
        yield f"meta_{ending}", partial(_children, make=MetaController, warm=warm)


DATA_ARMS: dict[str, Callable[[Setting], Outcome]] = {
    "random": partial(_children, make=lambda file: RandomController(), warm=False),
    PORTFOLIO: _portfolio,
    **dict(_pairs()),
}
"""Every arm by its name; those that end in "warm", and the portfolio, know the sources."""

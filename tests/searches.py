"""What the tests of a search share."""

import numpy as np
from sample_spaces import SHAPES, choice

from meta_nni.controllers import RandomController
from meta_nni.search import Search
from meta_nni.space import SearchSpace
from meta_nni.task import Task
from meta_nni.testing import history_of
from meta_nni.trial import Run

SPACE = SearchSpace.from_nni(SHAPES)
TEN = SearchSpace.from_nni({"a": choice(*range(10))})


def new_run(run_id="run", space=SPACE, **fields):
    return Run(run_id, Task("digits", **fields), space)


class Recorder(RandomController):
    """Proposes at random; keeps what it was given."""

    def __init__(self):
        self.learned, self.histories, self.drawn = [], [], []

    def learn(self, run, sources, rng):
        self.learned.append((run, list(sources), rng.integers(2**31)))

    def propose(self, history, count, rng):
        self.histories.append(history)
        self.drawn.append(rng.integers(2**31))
        return super().propose(history, count, rng)


def open_search(store, run=None, controller=None, seed=7, knowledge="none"):
    run = run or new_run()
    return Search.open(store, run, controller or RandomController(), seed=seed, knowledge=knowledge)


def measure(config):
    return float(SPACE.encode(config)[:, 1:].sum())


def rows(store, run_id="run"):
    """(trial id, state, value) of each trial in the store."""
    return [(t.trial_id, t.state, t.value) for t in store.history(run_id).trials]


def earlier(store, run_id="earlier", space=SPACE, values=(0.5, 0.6, None)):
    run = Run(run_id, Task("fashion"), space)
    configs = [space.sample(np.random.default_rng(i)) for i in range(len(values))]
    history = history_of(run, zip(configs, values, strict=True))
    store.add_run(run)
    store.add_trials(run_id, history.trials)
    return history

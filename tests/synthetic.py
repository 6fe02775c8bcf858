"""A family of tasks on a space of 256 configs, some alike and some not, all known exactly."""

import numpy as np
from sample_spaces import choice

from meta_nni.space import SearchSpace
from meta_nni.task import Task
from meta_nni.testing import history_of
from meta_nni.trial import Run

SPACE = SearchSpace.from_nni(
    {
        "op": choice("conv", "sep", "pool", "skip"),
        "act": choice("relu", "tanh", "elu", "none"),
        "width": {"_type": "randint", "_value": [0, 4]},
        "depth": choice(1, 2, 4, 8),
    }
)
CONFIGS = list(SPACE.configs())
_POSITIONS = [
    [list(parameter.values()).index(config[parameter.name]) for parameter in SPACE.parameters]
    for config in CONFIGS
]
_INDEX = {SPACE.key(config): i for i, config in enumerate(CONFIGS)}


class Problem:
    """A task whose values are known: effects of each option, many of them the family's.

    Attributes:
        values: The value of each of `CONFIGS`, shape (256,), about 0.8 +- 0.05.
    """

    def __init__(self, seed, own=0.3, family=0, scale=0.05, offset=0.8):
        shared, private = np.random.default_rng([family]), np.random.default_rng([family, seed])
        effects = shared.standard_normal((4, 4)) + own * private.standard_normal((4, 4))
        raw = np.array([effects[np.arange(4), position].sum() for position in _POSITIONS])
        raw += 0.3 * private.standard_normal(len(CONFIGS))
        self.values = offset + scale * (raw - raw.mean()) / raw.std()
        self.name = f"task {family}.{seed}"

    def __call__(self, config):
        return float(self.values[_INDEX[SPACE.key(config)]])

    def run(self, objective="maximize", **metafeatures):
        return Run(f"run of {self.name}", Task(self.name, objective, metafeatures), SPACE)

    def history(self, count=40, seed=0, sign=1.0, **metafeatures):
        """An earlier run on the task: `count` random configs, their values times `sign`."""
        chosen = np.random.default_rng([seed, 1]).choice(len(CONFIGS), count, replace=False)
        outcomes = [(CONFIGS[i], sign * float(self.values[i])) for i in chosen]
        return history_of(self.run(**metafeatures), outcomes)

    def regret(self, history, after):
        """Share of all configs that are better than the best of the first `after` trials."""
        best = max(t.value for t in history.trials[:after] if t.value is not None)
        return float(np.mean(self.values > best + 1e-12))

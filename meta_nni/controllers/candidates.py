"""The configs among which the meta-learned controller chooses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from meta_nni.controllers.fresh import draw_fresh
from meta_nni.policy.kernel import scaled
from meta_nni.policy.training import Policy
from meta_nni.space import SearchSpace
from meta_nni.trial import Config, History

__all__ = ["Candidates", "Pool"]

Floats = npt.NDArray[np.float64]

_MAX_GRID = 16384  # spaces up to this size are candidates as a whole
_NUM_RANDOM = 3000
_NUM_GENERATED = 300  # by the network
_NUM_ADOPTED = 5  # of the best trials of each source
_NUM_CLIMBERS = 30  # whose neighbours are added in each round of hill climbing
_NUM_ROUNDS = 4
_NUM_ELITE = 1500  # of all these, by what the sources predict; the rest is random
_NUM_BEST = 2  # of these trials of the run, the neighbours are added at each proposal
_NUM_FRESH = 25  # random configs drawn anew at each proposal


@dataclass(frozen=True)
class Pool:
    """Configs as arrays.

    Attributes:
        configs: N configs.
        keys: Their canonical keys.
        x: Their `vectors`, shape (N, P, F).
        features: The sources' predictions, shape (N, S).
    """

    configs: list[Config]
    keys: list[str]
    x: Floats
    features: Floats

    def __add__(self, other: Pool) -> Pool:
        return Pool(
            self.configs + other.configs,
            self.keys + other.keys,
            np.concatenate([self.x, other.x]),
            np.concatenate([self.features, other.features]),
        )

    def take(self, rows: Iterable[int]) -> Pool:
        """Returns the given rows, in that order."""
        index = np.fromiter(rows, int)
        configs, keys = [self.configs[i] for i in index], [self.keys[i] for i in index]
        return Pool(configs, keys, self.x[index], self.features[index])


class Candidates:
    """A fixed pool, encoded once, and what is added to it at each proposal.

    The pool of a small space is all of it. Of a larger one: random configs, the best
    trials of the sources, what the network generates, and what climbing from the best of
    these along the sources' predictions finds. Where only measured configs may be tried,
    these are the pool. For the start of a run whose sources are sparse, `measured` is safer.
    """

    def __init__(
        self,
        space: SearchSpace,
        policy: Policy,
        rng: np.random.Generator,
        only: Iterable[Config] | None = None,
    ) -> None:
        self._space, self._policy = space, policy
        if only is not None:
            self._whole, configs = True, list(only)
        else:
            self._whole = space.size is not None and space.size <= _MAX_GRID
            configs = list(space.configs()) if self._whole else self._drawn(rng)
        self._only = only is not None
        self._pool = self.encoded(configs, set())
        self._measured = self.encoded(self._found_good(rng), set())
        if not self._whole:
            self._climb(rng)

    def _found_good(self, rng: np.random.Generator) -> list[Config]:
        """The better half of each sparse source's trials, where the space is large."""
        if self._whole or not self._policy.is_sparse:
            return []
        found = []
        for source in self._policy.sources:
            good = source.history.ranked[: (len(source.history.completed) + 1) // 2]
            origin = source.history.run.space
            adopted = [self._space.adopt(trial.config, origin, rng) for trial in good]
            # One that had to be changed was not measured.
            found += [new for new, trial in zip(adopted, good, strict=True) if new == trial.config]
        return found

    def _drawn(self, rng: np.random.Generator) -> list[Config]:
        space = self._space
        drawn = [space.sample(rng) for _ in range(_NUM_RANDOM)]
        for source in self._policy.sources:
            good = source.history.ranked[:_NUM_ADOPTED]
            drawn += [space.adopt(trial.config, source.history.run.space, rng) for trial in good]
        if self._policy.network is not None:
            drawn += self._policy.network.sample(self._policy.task, _NUM_GENERATED, rng)
        return drawn

    def _climb(self, rng: np.random.Generator) -> None:
        """Adds the neighbours of the configs that the sources predict best, again and again."""
        if not self._policy.sources:
            return
        climbed: set[str] = set()
        known = set(self._pool.keys)
        for _ in range(_NUM_ROUNDS):
            ranked = np.argsort(-self._predicted(), kind="stable")
            top = [i for i in ranked[: 2 * _NUM_CLIMBERS] if self._pool.keys[i] not in climbed]
            top = top[:_NUM_CLIMBERS]
            climbed |= {self._pool.keys[i] for i in top}
            self._pool += self.near([self._pool.configs[i] for i in top], known, rng)
        ranked = np.argsort(-self._predicted(), kind="stable")
        rest = ranked[_NUM_ELITE:]
        kept = rng.permutation(rest)[: _NUM_RANDOM - _NUM_ELITE // 2]
        self._pool = self._pool.take([*ranked[:_NUM_ELITE], *kept])

    def _predicted(self) -> Floats:
        return np.asarray(self._pool.features @ self._policy.weights, float)

    def fresh(self, history: History, seen: set[str], rng: np.random.Generator) -> Pool | None:
        """Returns candidates that are not in `seen`, or None if there are none left.

        Args:
            history: The run; neighbours of its best trials become candidates.
            seen: Canonical keys of the configs to avoid; left as it is.
            rng: Source of randomness.
        """
        pool = self._pool.take(i for i, key in enumerate(self._pool.keys) if key not in seen)
        if not self._whole:
            taken = seen | set(self._pool.keys)
            best = [trial.config for trial in history.ranked[:_NUM_BEST]]
            drawn = [self._space.sample(rng) for _ in range(_NUM_FRESH)]
            pool += self.near(best, taken, rng) + self.encoded(drawn, taken)
        if pool.configs or self._only:
            return pool if pool.configs else None
        last = draw_fresh(self._space, set(seen), rng)
        return None if last is None else self.encoded([last], set())

    def measured(self, seen: set[str]) -> Pool | None:
        """Returns what was good elsewhere and is not in `seen`; None once half of it is seen.

        Of thousands of candidates the one that sparse sources predict best is seldom good: it
        is where their models err most (the optimizer's curse). What was measured to be good is
        a safer start, as long as there is a choice.
        """
        rows = [i for i, key in enumerate(self._measured.keys) if key not in seen]
        return self._measured.take(rows) if 2 * len(rows) > len(self._measured.keys) else None

    def near(self, configs: Iterable[Config], taken: set[str], rng: np.random.Generator) -> Pool:
        """Returns the neighbours of configs that are not in `taken`, and adds their keys."""
        if self._whole:
            return self.encoded([], taken)
        found = (near for config in configs for near in self._space.neighbours(config, rng))
        return self.encoded(found, taken)

    def encoded(self, configs: Iterable[Config], taken: set[str]) -> Pool:
        """Encodes the configs that are not in `taken`, and adds their keys."""
        new: list[Config] = []
        keys: list[str] = []
        rows = []
        for config in configs:
            row, key = self._space.encode_with_key(config)
            if key not in taken:
                taken.add(key)
                new.append(config)
                keys.append(key)
                rows.append(row)
        shape = (len(new), len(self._space.parameters), self._space.num_features)
        x = scaled(self._space, np.reshape(np.array(rows), shape))
        return Pool(new, keys, x, self._policy.features(x))

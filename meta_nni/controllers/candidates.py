"""The configs among which the meta-learned controller chooses."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from meta_nni.controllers.fresh import draw_fresh
from meta_nni.policy.kernel import vectors
from meta_nni.policy.training import Policy
from meta_nni.space import SearchSpace
from meta_nni.trial import Config, History

__all__ = ["Candidates"]

Floats = npt.NDArray[np.float64]

_MAX_GRID = 4096  # spaces up to this size are candidates as a whole
_NUM_RANDOM = 2000
_NUM_ADOPTED = 5  # of the best trials of each source
_NUM_ELITE = 20  # of these, by what the sources predict, the neighbours are added
_NUM_BEST = 3  # of these trials of the run, the neighbours are added at each proposal
_NUM_FRESH = 50  # random configs drawn anew at each proposal


class Candidates:
    """A fixed pool, encoded once, and what is added to it at each proposal.

    The pool of a small space is all of it. Of a larger one: random configs, the best
    trials of the sources, and the neighbours of those that the sources predict best.
    """

    def __init__(self, space: SearchSpace, policy: Policy, rng: np.random.Generator) -> None:
        self._space, self._policy = space, policy
        self._whole = space.size is not None and space.size <= _MAX_GRID
        self._configs = list(space.configs()) if self._whole else self._build(rng)
        self._keys = [space.key(config) for config in self._configs]
        self._x = vectors(space, self._configs)
        self._features = policy.features(self._x)

    def _build(self, rng: np.random.Generator) -> list[Config]:
        space, policy = self._space, self._policy
        pool = [space.sample(rng) for _ in range(_NUM_RANDOM)]
        for source in policy.sources:
            good = source.history.ranked[:_NUM_ADOPTED]
            pool += [space.adopt(trial.config, source.history.run.space, rng) for trial in good]
        if policy.sources:
            score = policy.features(vectors(space, pool)) @ policy.weights
            elite = np.argsort(-score, kind="stable")[:_NUM_ELITE]
            pool += [near for i in elite for near in space.neighbours(pool[i], rng)]
        unique = {space.key(config): config for config in pool}
        return list(unique.values())

    def fresh(
        self, history: History, seen: set[str], rng: np.random.Generator
    ) -> tuple[list[Config], Floats, Floats] | None:
        """Returns candidates that are not in `seen`, or None if the space is exhausted.

        Args:
            history: The run; neighbours of its best trials become candidates.
            seen: Canonical keys of the configs to avoid; left as it is.
            rng: Source of randomness.

        Returns:
            N configs, their `vectors` (N, P, F) and the sources' predictions (N, S).
        """
        keep = [i for i, key in enumerate(self._keys) if key not in seen]
        configs = [self._configs[i] for i in keep]
        x, features = self._x[keep], self._features[keep]
        if not self._whole:
            taken = seen | set(self._keys)
            added = [config for config in self._near(history, rng) if self._take(config, taken)]
            if added:
                new = vectors(self._space, added)
                configs += added
                x = np.concatenate([x, new])
                features = np.concatenate([features, self._policy.features(new)])
        if not configs:
            last = draw_fresh(self._space, set(seen), rng)
            if last is None:
                return None
            configs, x = [last], vectors(self._space, [last])
            features = self._policy.features(x)
        return configs, x, features

    def _take(self, config: Config, taken: set[str]) -> bool:
        key = self._space.key(config)
        fresh = key not in taken
        taken.add(key)
        return fresh

    def _near(self, history: History, rng: np.random.Generator) -> Iterator[Config]:
        for trial in history.ranked[:_NUM_BEST]:
            yield from self._space.neighbours(trial.config, rng)
        for _ in range(_NUM_FRESH):
            yield self._space.sample(rng)

"""Configs that a run has not tried: no proposal is ever a duplicate."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from meta_nni.space import SearchSpace
from meta_nni.trial import Config, History

__all__ = ["draw_fresh", "only_fresh", "tried_keys"]

_MAX_DRAWS = 1000  # draws without a fresh config before a space counts as exhausted
_MAX_GRID = 50_000  # spaces up to this size are enumerated to find what is left


def tried_keys(history: History) -> set[str]:
    """Returns the canonical keys of all configs of a run, whatever their state."""
    key = history.run.space.key
    return {key(trial.config) for trial in history.trials}


def only_fresh(space: SearchSpace, configs: Iterable[Config], seen: set[str]) -> Iterator[Config]:
    """Yields the configs whose key is not in `seen`, and adds each to it."""
    for config in configs:
        key = space.key(config)
        if key not in seen:
            seen.add(key)
            yield config


def draw_fresh(
    space: SearchSpace,
    seen: set[str],
    rng: np.random.Generator,
    draw: Callable[[], Config] | None = None,
) -> Config | None:
    """Draws a config that is not in `seen`, and adds it.

    Args:
        space: The space to draw from.
        seen: Canonical keys of the configs to avoid; grows by the one returned.
        rng: Source of randomness.
        draw: How to draw; uniformly from the space if None. After 1,000 draws without a
            fresh one, spaces of up to 50,000 configs are enumerated.

    Returns:
        The config, or None if the space is exhausted.
    """
    if space.size is not None and len(seen) >= space.size:
        return None
    for _ in range(_MAX_DRAWS):
        for config in only_fresh(space, [draw() if draw else space.sample(rng)], seen):
            return config
    if space.size is None or space.size > _MAX_GRID:
        return None
    left = [config for config in space.configs() if space.key(config) not in seen]
    if not left:  # fewer candidates than configs, see `SearchSpace.with_identity`
        return None
    config = left[rng.integers(len(left))]
    seen.add(space.key(config))
    return config

"""Which configs are measured: random ones, different for each task.

The draws lean to what is affordable and can learn in a few epochs, or half of the rows
would say nothing but "too large" or "at chance level". Every value keeps a chance.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from meta_nni.space import SearchSpace
from meta_nni.trial import Config

__all__ = ["PROBABILITIES", "draw", "rng_of", "stream"]

PROBABILITIES: dict[str, tuple[float, ...]] = {
    # vanilla, resnet, xception, efficient; the last three are at the limits of the budget
    "block_type": (0.86, 0.04, 0.03, 0.07),
    "efficient_net_block_1/version": (0.65, *[0.05] * 7),  # b0 .. b7
    "filters": (0.30, 0.27, 0.21, 0.12, 0.06, 0.04),  # 16 .. 512
    "kernel_size": (0.5, 0.3, 0.2),  # 3, 5, 7
    "learning_rate": (0.10, 0.27, 0.33, 0.16, 0.07, 0.07),  # 0.1 .. 1e-5
    "embedding_dim": (0.25, 0.25, 0.25, 0.15, 0.10),  # 32 .. 512
    "max_tokens": (0.4, 0.35, 0.25),  # 500, 5000, 20000
}
"""Probability of each option, by the end of the parameter's name; all others are uniform."""


def rng_of(name: str) -> np.random.Generator:
    """A generator seeded by a text, the same on every machine."""
    return np.random.default_rng(list(hashlib.sha256(name.encode()).digest()))


def draw(spec: dict[str, Any], rng: np.random.Generator) -> Config:
    """Draws one config of an NNI search space made of choices."""
    config: Config = {}
    for name, entry in spec.items():
        if name == "_name":
            config[name] = entry
            continue
        options = entry["_value"]
        option = options[rng.choice(len(options), p=_probabilities(name, len(options)))]
        config[name] = draw(option, rng) if isinstance(option, dict) else option
    return config


def stream(task: str, space: SearchSpace) -> Iterator[Config]:
    """Yields the configs of a task in order, without end and without repetition."""
    rng, spec, seen = rng_of(f"design of {task}"), space.to_nni(), set[str]()
    while True:
        config = draw(spec, rng)
        key = space.key(config)
        if key not in seen:
            seen.add(key)
            yield config


def _probabilities(name: str, count: int) -> list[float]:
    for end, probabilities in PROBABILITIES.items():
        leaf = name if "/" in end else name.rsplit("/", 1)[-1]
        if leaf.endswith(end) or (end == "filters" and leaf.startswith("filters_")):
            return list(probabilities)
    return [1 / count] * count

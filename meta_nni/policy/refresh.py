"""Keeping the network up to date: it learns again when there is more to learn from."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from meta_nni.checkpoint import CheckpointError
from meta_nni.policy.neural import NeuralPolicy
from meta_nni.space import SearchSpace
from meta_nni.trial import History

__all__ = ["MAX_SECONDS", "refresh"]

MAX_SECONDS = 15.0
"""What a training within a search may take; `meta-nni train` takes its time."""

_MIN_RUNS, _MIN_TRIALS = 2, 40  # with fewer, each source's own model says all there is

_log = logging.getLogger(__name__)


def refresh(
    path: Path,
    space: SearchSpace,
    histories: Sequence[History],
    seed: int,
) -> NeuralPolicy | None:
    """Returns the network of a checkpoint, trained further if there are results new to it.

    Args:
        path: The checkpoint; made, or replaced, when the network learned.
        space: The space to decide in.
        histories: What there is to learn from.
        seed: Of the training.

    Returns:
        The network; as it was, which may be None, where there is too little to learn from,
        the training was not done in time, or TensorFlow is missing.
    """
    counts = {h.run.run_id: len(h.completed) for h in histories if h.completed}
    known = _read(path, space)
    if known is not None and all(known.trained_on.get(i, 0) >= n for i, n in counts.items()):
        return known
    if len(counts) < _MIN_RUNS or sum(counts.values()) < _MIN_TRIALS:
        return known
    try:
        found = NeuralPolicy.train(
            space, histories, seed=seed, start=known, max_seconds=MAX_SECONDS
        )
    except ImportError as error:
        _log.warning("deciding without the network: %s", error)
        return known
    if not found.complete:  # its weights would depend on how busy the machine was
        _log.warning("deciding with what was learned before; run `meta-nni train`, which waits")
        return known
    try:
        found.save(path)
    except OSError as error:  # a search can do without; the next one learns again
        _log.warning("the network could not be kept: %s", error)
    return found


def _read(path: Path, space: SearchSpace) -> NeuralPolicy | None:
    if not path.exists():
        return None
    try:
        return NeuralPolicy.load(path, space)
    except CheckpointError as error:
        _log.warning("%s; it is trained anew", error)
        return None

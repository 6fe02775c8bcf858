"""Trains the networks that ship: one for each of AutoKeras's spaces, on all of the knowledge.

    python experiments/build_knowledge/checkpoints.py

To be run after `collect.py`: `meta_nni/knowledge/<fingerprint>.npz` are written anew. They are
what a user's first search would train before its first proposal, and no more: the same data,
as many steps, seed 0.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from recipes import RECIPES

import meta_nni
from meta_nni.knowledge import shipped_knowledge
from meta_nni.policy.neural import NeuralPolicy
from meta_nni.policy.training import train

ROOT = Path(__file__).parents[2]
SPACES = [f"autokeras_{kind}{end}" for kind in RECIPES for end in ("", "_regression")]


def main() -> None:
    """Writes the checkpoints, and removes those of other spaces."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "meta_nni/knowledge")
    out = parser.parse_args().out
    before = set(out.glob("*.npz"))
    for name in SPACES:
        spec = json.loads((ROOT / f"search_spaces/{name}.json").read_text(encoding="utf-8"))
        space = meta_nni.SearchSpace.from_nni(spec)
        network = _network(space, name.split("_")[1])
        path = out / f"{space.fingerprint[:16]}.npz"
        network.save(path)
        path.chmod(0o644)
        before.discard(path)
        print(f"{name}: {len(network.trained_on)} runs, {path.stat().st_size} bytes", flush=True)
    for path in before:
        path.unlink()


def _network(space: meta_nni.SearchSpace, kind: str) -> NeuralPolicy:
    """The network of a search in the space: it learns from the runs that `train` chooses."""
    run = meta_nni.Run("any", meta_nni.Task("any", "maximize", {f"kind_{kind}": 1.0}), space)
    policy = train(
        run,
        shipped_knowledge(),
        np.random.default_rng(0),
        lambda histories: NeuralPolicy.train(space, histories, seed=0),
    )
    assert policy.network is not None
    return policy.network


if __name__ == "__main__":
    main()

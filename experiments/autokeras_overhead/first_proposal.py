"""What would a shipped checkpoint save? Seconds of the first proposal with and without one.

    python -m experiments.autokeras_overhead.first_proposal

For each of AutoKeras's spaces: an empty store, the shipped knowledge, and a network that is
either to be trained first, or the one that ships, trained on the same knowledge. Each figure
is a process of its own, with TensorFlow loaded before, as AutoKeras has it, or not, as NNI's
tuner has it.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from meta_nni import ExperienceStore, Run, SearchSpace, Task
from meta_nni.controllers import make
from meta_nni.knowledge import shipped_checkpoint, shipped_knowledge
from meta_nni.search import Search
from meta_nni.store_checkpoints import checkpoint_path

__all__ = ["ask_first", "main"]

ROOT = Path(__file__).parents[2]
KINDS = ("image", "text", "tabular")


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints a row for each space, with and without TensorFlow, with and without a network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.one:
        kind, loaded, network = options.one
        path = Path(network) if network else None
        print(json.dumps(ask_first(kind, loaded == "True", path, options.seed)))
        return
    print("kind  TensorFlow loaded  trained network  processor s  clock s  load", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for kind in options.kinds:
            network = Path(folder) / f"{kind}.npz"
            network.write_bytes(shipped_checkpoint(_space(kind)) or b"")
            print(f"{kind}: the checkpoint has {network.stat().st_size} bytes", flush=True)
            for loaded, path in itertools.product((True, False), ("", str(network))):
                command = [sys.executable, "-m", "experiments.autokeras_overhead.first_proposal"]
                command += ["--seed", str(options.seed), "--one", kind, str(loaded), path]
                ended = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
                processor, clock = json.loads(ended.stdout)
                load = os.getloadavg()[0]
                print(
                    kind, loaded, bool(path), f"{processor:.2f} {clock:.2f} {load:.1f}", flush=True
                )


def ask_first(kind: str, loaded: bool, network: Path | None, seed: int) -> tuple[float, float]:
    """Asks a new run for its first config.

    Returns:
        Seconds of the processor, and on the clock.
    """
    if loaded:
        import tensorflow as tf

        tf.constant(1.0)  # its threads start with the first operation
    space = _space(kind)
    shipped_knowledge()  # read by every search
    with tempfile.TemporaryDirectory() as folder:
        store = ExperienceStore.open(Path(folder) / "store.db")
        checkpoint = checkpoint_path(store.name, space)
        if network is not None:
            checkpoint.parent.mkdir()
            checkpoint.write_bytes(network.read_bytes())
        run = Run("first", Task("new", "maximize", {f"kind_{kind}": 1.0, "n_train": 1000.0}), space)
        search = Search.open(store, run, make("meta", checkpoint), seed=seed)
        began = time.process_time(), time.perf_counter()
        search.ask(["0"])
        seconds = time.process_time() - began[0], time.perf_counter() - began[1]
        assert checkpoint.exists()
    return seconds


def _space(kind: str) -> SearchSpace:
    file = ROOT / f"search_spaces/autokeras_{kind}.json"
    return SearchSpace.from_nni(json.loads(file.read_text("utf-8")))


if __name__ == "__main__":
    main()

"""One search from Python: derive a cell, train it anew, measure it on the test split.

With a store the search starts from what the store's runs say about the data, and every
config that it scored is added, as is the retrained one.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

from meta_nni import ExperienceStore, Task, compute_metafeatures, load_data
from meta_nni.adapters.oneshot import learned_start, record
from meta_nni.cli.progress import ProgressBar
from meta_nni.models import KerasEvaluator
from meta_nni.oneshot import DartsSearch, EnasSearch, Found, OneShotSearch

METHODS = {"darts": DartsSearch, "enas": EnasSearch}


def main() -> None:
    """Prints one JSON object: what was found, in how many seconds, and its test accuracy."""
    args = parse()
    search = make_search(args)
    evaluator = KerasEvaluator(
        args.space,
        search.data,
        epochs=args.retrain_epochs,
        patience=args.retrain_epochs,
        samples=args.samples,
        seed=args.seed,
    )
    found = from_store(search, evaluator, args.store) if args.store else watch(search)
    test = evaluator.test(found.config)
    facts = {
        "method": args.method,
        "order": args.order,
        "config": found.config,
        "search_epochs": len(found.curve),
        "search_seconds": round(found.seconds, 1),
        "stopped": found.stopped,
        "children": len(found.children),
        "shared_weights_accuracy": found.curve[-1],
        "cpu_seconds": round(time.process_time(), 1),  # in all, with loading and retraining
        "test_accuracy": test["accuracy"],
    }
    print(json.dumps(facts))


def make_search(args: argparse.Namespace) -> OneShotSearch:
    """The search that the command line asks for."""
    return METHODS[args.method](
        args.space,
        {"npz": args.data},
        epochs=args.epochs,
        samples=args.samples,
        checkpoint=args.checkpoint,
        seed=args.seed,
        **({"order": args.order} if args.method == "darts" else {}),
    )


def parse() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("method", choices=METHODS)
    parser.add_argument("--data", type=Path, required=True, help="a .npz file with labelled images")
    parser.add_argument("--space", default="nasbench201")
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=20, help="of the search")
    parser.add_argument("--retrain-epochs", type=int, default=20)
    parser.add_argument("--order", type=int, default=1, help="of DARTS: 1 or 2")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--checkpoint", type=Path, help="to save and resume the search")
    parser.add_argument("--store", help="experience to start from and to add to")
    return parser.parse_args()


def watch(search: OneShotSearch) -> Found:
    """Runs a search with a progress bar, whose loss is the error of the derived config."""
    with ProgressBar(f"searching {search.space}", time.monotonic) as progress:
        return search.run(lambda epoch, epochs, accuracy: progress(epoch, epochs, 1 - accuracy))


def from_store(search: OneShotSearch, evaluator: KerasEvaluator, path: str) -> Found:
    """Runs a search that starts from a store, and adds what it saw and what came of it."""
    name = Path(search.data["npz"]).stem
    metafeatures = compute_metafeatures(load_data(search.data), np.random.default_rng(0))
    task, space = Task(name, "maximize", metafeatures), search.cell_space.space
    store = ExperienceStore.open(path)
    search.initial = learned_start(space, task, store.histories(), seed=search.seed)
    found = watch(search)
    run_id = f"{name}-{search.method}-{search.seed}"
    recipe = f"{search.space}-{evaluator.epochs}-epochs-v1"
    retrained = evaluator(found.config)
    record(
        store,
        run_id,
        task,
        search.space,
        found,
        seed=search.seed,
        retrained=retrained,
        recipe=recipe,
    )
    return found


if __name__ == "__main__":
    main()

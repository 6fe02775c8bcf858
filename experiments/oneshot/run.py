"""One search from Python: derive a cell, train it anew, measure it on the test split.

With a store the search starts from what the store's runs say about the data, and every
config that it scored is added, as is the retrained one.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import time
from pathlib import Path

from meta_nni import ExperienceStore
from meta_nni.adapters.oneshot import search_from_store
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
    found = watch(search, evaluator, args)
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


def watch(search: OneShotSearch, evaluator: KerasEvaluator, args: argparse.Namespace) -> Found:
    """Runs a search with a progress bar, whose loss is the error of the derived config."""
    with ProgressBar(f"searching {search.space}") as progress:

        def report(epoch: int, epochs: int, accuracy: float) -> None:
            progress(epoch, epochs, 1 - accuracy)

        if args.store is None:
            return search.run(report)
        task = args.data.stem
        settings = (args.space, args.method, args.order, args.samples, args.epochs)
        named = (task, *settings, args.retrain_epochs, args.seed)
        with contextlib.closing(ExperienceStore.open(args.store)) as store:
            return search_from_store(
                search,
                evaluator,
                store,
                run_id="-".join(map(str, named)),
                task=task,
                report=report,
            )[0]


if __name__ == "__main__":
    main()

"""Does the network that ships improve what is proposed? Replays with and without one.

    python -m experiments.autokeras_overhead.quality

The pools and sources of `experiments/knowledge_replay/`: each task is left out with its
relatives, and a network is trained on what is left exactly as
`experiments/build_knowledge/checkpoints.py` trains those that ship. Prints the normalised
regret (0 best of the pool, 1 median) after some trials, and the paired difference.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from experiments.knowledge_replay.problem import Problem, make_problems, why_skipped
from experiments.knowledge_replay.scores import BUDGETS, by_trials
from experiments.transfer_benchmark.scores import Estimate
from meta_nni.controllers import MetaController
from meta_nni.knowledge import shipped_knowledge
from meta_nni.policy import refresh
from meta_nni.trial import History, Trial

__all__ = ["main", "replayed"]

KINDS = ("image", "text", "tabular")
_REPORTED = 3  # of BUDGETS: 1, 3 and 5 trials


def main(arguments: Sequence[str] | None = None) -> None:
    """Replays every task twice and prints means over tasks, by kind of data."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    options = parser.parse_args(arguments)
    refresh.MAX_SECONDS = float("inf")  # must not depend on how busy the machine is
    problems = [p for p in make_problems(shipped_knowledge()) if why_skipped(p) is None]
    for kind in options.kinds:
        own = [problem for problem in problems if problem.kind == kind]
        found = np.array([[replayed(p, n, options.seed) for n in (True, False)] for p in own])
        for place, count in enumerate(BUDGETS[:_REPORTED]):
            network, none = found[:, 0, place], found[:, 1, place]
            means = [Estimate.of(list(each)) for each in (network, none, network - none)]
            names = ("with a network", "without", "difference")
            line = ", ".join(f"{name} {mean}" for name, mean in zip(names, means, strict=True))
            print(f"{kind}, {len(own)} tasks, trial {count}: {line}", flush=True)


def replayed(problem: Problem, has_network: bool, seed: int) -> npt.NDArray[np.float64]:
    """Regret of one search of a pool after each of `BUDGETS` trials."""
    run, trials, rows = replace(problem.pool.run, run_id="replay"), list[Trial](), list[int]()
    with tempfile.TemporaryDirectory() as folder:
        network = Path(folder) / "network.npz" if has_network else None
        controller = MetaController(network, only=problem.configs)
        controller.learn(run, problem.sources, np.random.default_rng(seed))
    for number in range(min(BUDGETS[_REPORTED - 1], len(problem.configs))):
        rng = np.random.default_rng([seed, number])
        (suggestion,) = controller.propose(History(run, tuple(trials)), 1, rng)
        rows.append(problem.rows[run.space.key(suggestion.config)])
        ended = Trial(str(number), number, suggestion).with_result(problem.result(rows[-1]))
        trials.append(ended)
    return by_trials(problem, rows)


if __name__ == "__main__":
    main()

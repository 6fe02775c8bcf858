"""Replays the shipped knowledge: every arm searches every left-out task's measured rows.

    python -m experiments.knowledge_replay.run --peers-python .peers/bin/python

It can be killed at any time and started again. Finished searches stand in
`results/<digest>/`, where the digest is that of the knowledge: when it has grown, all are run
anew. At the end it writes the report. Seeds come in turn.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from experiments.knowledge_replay import report
from experiments.knowledge_replay.arms import ARMS
from experiments.knowledge_replay.problem import Problem, digest, make_problems, why_skipped
from experiments.transfer_benchmark import records
from experiments.transfer_benchmark.records import Job
from meta_nni.knowledge import shipped_knowledge
from meta_nni.trial import History

__all__ = ["TRIALS", "main"]

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

TRIALS = 40
"""Of a search, or all rows of a smaller pool; more than are reported, since cheap trials
leave time for more."""
# Threads only wait for one another while other work uses the cores.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs what is missing, and writes the report."""
    options = _parse(arguments)
    knowledge = shipped_knowledge()
    folder = options.results / digest(knowledge)
    here = [arm for arm in options.arms if ARMS[arm].environment == options.environment]
    for record in _missing(knowledge, here, options.seeds, folder):
        records.append(folder, record)
    if options.environment == "peers":
        return
    peers = [arm for arm in options.arms if ARMS[arm].environment == "peers"]
    if peers and options.peers_python:
        _run_peers(peers, options)
    elif peers:
        print(f"left out, since --peers-python is not given: {', '.join(peers)}", flush=True)
    report.main(["--results", str(options.results), "--output", str(options.output)])


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS), metavar="ARM")
    parser.add_argument("--seeds", type=int, default=3, help="0 to this, exclusive (default 3)")
    parser.add_argument("--peers-python", type=Path, help="of the peers' environment")
    parser.add_argument("--results", type=Path, default=HERE / "results")
    parser.add_argument("--output", type=Path, default=HERE, help="folder of results.md")
    parser.add_argument(
        "--environment", choices=("main", "peers"), default="main", help=argparse.SUPPRESS
    )
    return parser.parse_args(arguments)


def _missing(
    knowledge: Sequence[History], arms: Sequence[str], num_seeds: int, folder: Path
) -> Iterator[dict[str, Any]]:
    """Runs what is not in `folder` yet; yields the records."""
    problems = [p for p in make_problems(knowledge) if why_skipped(p) is None]
    done = records.read(folder, arms)
    jobs = [
        (Job(problem.kind, arm, problem.name, seed), problem)
        for seed in range(num_seeds)
        for problem in problems
        for arm in arms
    ]
    jobs = [(job, problem) for job, problem in jobs if job not in done]
    print(
        f"{len(problems)} tasks, {len(done)} searches are done, {len(jobs)} to be run", flush=True
    )
    for number, (job, problem) in enumerate(jobs, start=1):
        record = _searched(job, problem)
        print(f"{number}/{len(jobs)} {job.task} {job.arm} {record['cpu_seconds']} s", flush=True)
        yield record


def _searched(job: Job, problem: Problem) -> dict[str, Any]:
    """Runs one search.

    Returns:
        The job; "rows" of the pool tried in order; "cpu_seconds" of the process; what ran,
        where and when.
    """
    arm, cpu = ARMS[job.arm], time.process_time()
    rows = arm.search(problem, job.seed, TRIALS)
    return {
        **job._asdict(),
        "trials": TRIALS,
        "rows": rows,
        "cpu_seconds": round(time.process_time() - cpu, 2),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
        "date": datetime.date.today().isoformat(),
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in arm.packages},
        },
    }


def _run_peers(arms: Sequence[str], options: argparse.Namespace) -> None:
    """Runs this script for the arms whose packages live in the peers' environment."""
    command = [str(options.peers_python), "-m", "experiments.knowledge_replay.run"]
    command += ["--environment", "peers", "--seeds", str(options.seeds)]
    command += ["--results", str(options.results.absolute()), "--arms", *arms]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, **ONE_THREAD, "PYTHONPATH": path}
    subprocess.run(command, env=environment, check=True)


if __name__ == "__main__":
    if not ONE_THREAD.items() <= os.environ.items():  # libraries read it when imported
        os.execve(sys.executable, [*sys.orig_argv], {**os.environ, **ONE_THREAD})
    main()

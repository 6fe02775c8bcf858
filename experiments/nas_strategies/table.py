"""Runs every strategy on the table of NAS-Bench-201 and reports.

    python -m experiments.nas_strategies.table --tables DIR

It can be killed at any time and started again: what is in `results/table/` is not run
again. Seeds come in turn, so that the comparison is complete for those before; `--report-only`
writes `results.md` and `regret.svg` from what there is.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import itertools
import os
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from experiments.nas_strategies import table_report
from experiments.nas_strategies.arms import ARMS
from experiments.transfer_benchmark import records, tables
from experiments.transfer_benchmark.mean_rank import MeanRankPortfolio
from experiments.transfer_benchmark.problem import make_sources
from experiments.transfer_benchmark.records import Job
from experiments.transfer_benchmark.tables import Table
from meta_nni.task import Task
from meta_nni.testing import play
from meta_nni.trial import History, Run

__all__ = ["main", "merged", "run_job"]

HERE = Path(__file__).parent
TABLE = "nasbench201"


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs what is missing, then writes the report."""
    options = _parse(arguments)
    table = merged(tables.load(TABLE, options.tables))
    if not options.report_only:
        jobs = [
            Job(TABLE, arm, task, seed)
            for seed, task, arm in itertools.product(
                range(options.seeds), table.values, options.arms
            )
        ]
        for number, job in enumerate(jobs, start=1):
            known = records.read(options.results, [job.arm]).get(job)
            if known is not None and known["trials"] >= options.trials:
                continue
            record = run_job(job, table, options.trials)
            records.append(options.results, record)
            print(
                f"{time.strftime('%H:%M:%S')} {number}/{len(jobs)} {job.arm} {job.task} "
                f"seed {job.seed}: {record['cpu_seconds']} s",
                flush=True,
            )
    found = records.read(options.results, list(ARMS))
    table_report.write(table, found, options.output)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tables", type=Path, required=True, help="folder of nasbench201.npz")
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS), metavar="ARM")
    parser.add_argument("--seeds", type=int, default=5, help="0 to this, exclusive")
    parser.add_argument("--trials", type=int, default=300, help="cells of each search")
    parser.add_argument("--report-only", action="store_true")
    parser.add_argument("--results", type=Path, default=HERE / "results" / "table")
    parser.add_argument("--output", type=Path, default=HERE)
    return parser.parse_args(arguments)


def merged(table: Table) -> Table:
    """The table with isomorphic cells as one candidate, so that no arm measures one twice."""
    return replace(table, space=table.space.with_identity(lambda config: str(table.row(config))))


def run_job(job: Job, table: Table, num_trials: int) -> dict[str, Any]:
    """Runs one arm on one task from one seed.

    Args:
        job: The task is left out of the sources.
        table: From `merged`.
        num_trials: Cells that the search may measure.

    Returns:
        The record: the job, "trials", "rows" of the table in the order in which they were
        measured, "cpu_seconds", and what ran where and when.
    """
    start = time.process_time()
    with threadpool_limits(1):  # threads of linear algebra would only wait for each other
        rows = _search(job, table, num_trials)
    return {
        **job._asdict(),
        "trials": num_trials,
        "rows": rows,
        "cpu_seconds": round(time.process_time() - start, 1),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
        "date": datetime.date.today().isoformat(),
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in ("meta-nni", "numpy", "scipy")},
        },
    }


def _search(job: Job, table: Table, num_trials: int) -> list[int]:
    arm = ARMS[job.arm]
    sources: list[History] = []
    if arm.warm:
        sources = make_sources(lambda name: table, job.table, job.task, job.seed)
    if arm.make is None:
        portfolio = MeanRankPortfolio(table, sources, job.seed)
        return [table.row(portfolio.ask()) for _ in range(min(num_trials, len(table.configs)))]
    values = table.values[job.task]
    run = Run("target", Task("target"), table.space, metric="value")
    # A file of its own for each search: no network has seen the target task.
    with tempfile.TemporaryDirectory() as folder:
        history = play(
            arm.make(Path(folder) / "network.npz"),
            run,
            lambda config: float(values[table.row(config)]),
            num_trials,
            sources=sources,
            seed=job.seed,
        )
    return [table.row(trial.config) for trial in history.trials]


if __name__ == "__main__":
    sys.exit(main())

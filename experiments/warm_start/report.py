"""What experience was worth: regret of each arm after some trials, and the bars.

python -m experiments.warm_start.report
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from experiments.transfer_benchmark import records
from experiments.transfer_benchmark.records import Job
from experiments.transfer_benchmark.scores import over_tasks
from experiments.verdicts import Verdict, table, verdict_table
from experiments.warm_start.measured import Measured
from experiments.warm_start.tasks import KINDS, of_search

__all__ = ["AFTER", "ARMS", "bars", "main", "regrets"]

ARMS = ("warm", "cold", "portfolio")
AFTER = (1, 3, 5, 10, 15)
HERE = Path(__file__).parent
_NO_WORSE = "warm after 5 no worse than the portfolio after 10, within one standard error"
Floats = npt.NDArray[np.float64]


def main(arguments: Sequence[str] | None = None) -> None:
    """Writes results.md of all kinds that have results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=HERE / "results")
    parser.add_argument("--output", type=Path, default=HERE)
    options = parser.parse_args(arguments)
    lines = [
        "# Results",
        "",
        "Written by `report.py`. Regret of the best of the first trials, 0 the best and 1 the",
        "median of all that was ever measured on the data set, ± its standard error over data",
        "sets, each the mean of its seeds. Values are those of validation rows.",
        "",
    ]
    for kind in KINDS:
        folder = options.results / kind
        found = records.read(folder, ARMS)
        records.refuse_others(folder, found.values(), of_search(kind))
        if found:
            measured = Measured(folder / "measured.jsonl", KINDS[kind].settings)
            lines += _of_kind(kind, found, measured)
    (options.output / "results.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _of_kind(
    kind: str, found: Mapping[Job, Mapping[str, Any]], measured: Measured
) -> Iterator[str]:
    scales = {name: measured.values(name) for name in KINDS[kind].data_sets}
    curves = {job: regrets(row["values"], scales[job.task]) for job, row in found.items()}
    yield from (f"## {kind}", "")
    rows = []
    for arm in ARMS:
        chosen = [(job.task, curve) for job, curve in curves.items() if job.arm == arm]
        after = [over_tasks((task, curve[i]) for task, curve in chosen) for i in range(len(AFTER))]
        if chosen:
            rows.append([f"`{arm}`", str(len(chosen)), *map(str, after)])
    yield from table(["arm", "searches", *map(str, AFTER)], rows)
    yield ""
    yield from verdict_table(list(bars(kind, curves)))
    yield ""


def regrets(values: Sequence[float | None], measured: Sequence[float]) -> Floats:
    """Regret after `AFTER` trials; a search whose trials all failed so far has the worst one.

    Args:
        values: Of a search's trials, in order, higher is better; None for a failure.
        measured: All that was measured on the data set.
    """
    best, median, worst = max(measured), float(np.median(measured)), min(measured)
    reached = np.maximum.accumulate([worst if v is None else v for v in values])
    span = (best - median) or 1.0
    return np.array([(best - reached[min(k, len(reached)) - 1]) / span for k in AFTER])


def bars(kind: str, curves: Mapping[Job, Floats]) -> Iterator[Verdict]:
    """Judges the two bars by the searches that both arms have; n counts data sets."""
    for bar, other, early, late, slack in (
        ("warm after 5 at least as good as cold after 15", "cold", 5, 15, False),
        (_NO_WORSE, "portfolio", 5, 10, True),
    ):
        difference = over_tasks(
            (job.task, curve[AFTER.index(early)] - curves[partner][AFTER.index(late)])
            for job, curve in curves.items()
            if job.arm == "warm" and (partner := job._replace(arm=other)) in curves
        )
        if difference is None:
            yield Verdict(bar, kind, None, "not measured")
            continue
        mean, error, n = difference
        holds = mean <= (error if slack and n > 1 else 0.0)
        yield Verdict(bar, kind, holds, f"{mean:+.3f} ± {error:.3f} (n = {n})")


if __name__ == "__main__":
    main()

"""What a search on a table is worth, and the report with its bars."""

from __future__ import annotations

import math
import os
import platform
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from experiments.constraints.problem import Problem
from experiments.transfer_benchmark.scores import over_tasks
from experiments.verdicts import Verdict, table, verdict_table

__all__ = ["Row", "report", "scores", "verdicts"]

Floats = npt.NDArray[np.float64]
Row = dict[str, Any]

TENTH = 10
_COUNTS = (10, 20, 30)
_SHARE = 0.9  # of trials after the tenth that are to keep a limit
_PEERS = ("equal weights", "random weights", "random")


def scores(problem: Problem, rows: Sequence[int]) -> Row:
    """Judges a search by the table's rows that it tried, in their order."""
    kept = problem.costs <= problem.limit
    best, middle = problem.values[kept].max(), np.median(problem.values[kept])
    tried = list(rows)
    found = np.where(kept[tried], problem.values[tried], middle)
    return {
        "share": problem.share,
        "first": float(kept[tried[:TENTH]].mean()),
        "after": float(kept[tried[TENTH:]].mean()),
        "regret": [float((best - found[:k].max()) / (best - middle)) for k in _COUNTS],
        "hypervolume": [_hypervolume(problem, tried[:k]) for k in _COUNTS],
    }


def _hypervolume(problem: Problem, rows: list[int]) -> float:
    """Of value and log cost, see `Problem.axes`; that of the whole table is 1."""
    scaled = np.clip(problem.axes(problem.task), 0.0, 1.0)
    return _area(scaled[rows]) / _area(scaled)


def _area(points: Floats) -> float:
    area = top = 0.0
    for x, y in points[np.argsort(-points[:, 0])]:
        area, top = area + x * max(y - top, 0.0), max(top, y)
    return float(area)


def verdicts(rows: Sequence[Row]) -> list[Verdict]:
    """Judges the bars: limits are kept, and the front is covered as well as by peers."""
    groups = _groups(rows)
    found = []
    for (problem, start, arm), each in sorted(groups.items()):
        where = f"{problem}, {start}"
        if arm in ("counted", "learned"):
            share = float(np.mean([row["after"] for row in each]))
            bar = f"{arm} limit: {_SHARE:.0%} of trials after the tenth keep it"
            found.append(Verdict(bar, where, share >= _SHARE, f"{share:.2f}"))
        if arm == "pareto":
            for peer in _PEERS:
                if others := groups.get((problem, start, peer)):
                    found.append(_against(where, peer, each, others))
    return found


def _against(where: str, peer: str, rows: Sequence[Row], others: Sequence[Row]) -> Verdict:
    """The hypervolume after all trials against a peer's on the same task and seed."""
    theirs = {(row["task"], row["seed"]): row["hypervolume"][-1] for row in others}
    gain = over_tasks(
        (r["task"], r["hypervolume"][-1] - theirs[r["task"], r["seed"]]) for r in rows
    )
    assert gain is not None
    error = 0.0 if math.isnan(gain.error) else gain.error
    bar = f"pareto covers as much after 30 trials as {peer}, within a standard error"
    numbers = f"{gain.mean:+.3f} ± {error:.3f} (n = {gain.n})"
    return Verdict(bar, where, gain.mean >= -error, numbers)


def _groups(rows: Sequence[Row]) -> dict[tuple[str, str, str], list[Row]]:
    groups: defaultdict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for row in rows:
        groups[row["problem"], row["start"], row["arm"]].append(row)
    return groups


def report(rows: Sequence[Row], command: str) -> str:
    """Returns the report.

    Args:
        rows: Of all searches.
        command: What measured them.
    """
    dates = sorted({str(row["measured"]) for row in rows})
    lines = [
        "# Limits and objectives on tables",
        "",
        f"`{command}`, {' to '.join(dict.fromkeys([dates[0], dates[-1]]))}, {os.cpu_count()} "
        f"{platform.machine()} cores beside other work, {len(rows)} searches.",
        "",
        "## Bars",
        "",
        "± is the standard error over the n tasks, each the mean of its seeds.",
        "",
        *verdict_table(verdicts(rows)),
        "",
        "## Figures",
        "",
        "The limit is the 30% quantile of the table's rows. Of random configs keep it:",
        f"{_shares(rows)}.",
        "`mlp seconds` is from a surrogate, the others are",
        "measured. Feasible: share of trials 1-10 and 11-30. Regret: of the best feasible trial",
        "after 10 / 20 / 30 (0 best feasible config, 1 the feasible ones' median). Hypervolume:",
        "of accuracy and log cost after 10 / 20 / 30, the whole table being 1.",
        "",
        *_figures(rows),
    ]
    return "\n".join(lines) + "\n"


def _shares(rows: Sequence[Row]) -> str:
    """Of each problem, the share of random configs that keep the limit, over its tasks."""
    found: defaultdict[str, set[float]] = defaultdict(set)
    for row in rows:
        found[row["problem"]].add(row["share"])
    return "; ".join(
        f"{problem} {' to '.join(dict.fromkeys(f'{s:.2f}' for s in (min(each), max(each))))}"
        for problem, each in sorted(found.items())
    )


def _figures(rows: Sequence[Row]) -> Iterator[str]:
    lines = []
    for (problem, start, arm), each in sorted(_groups(rows).items()):
        first, after = (np.mean([row[name] for row in each]) for name in ("first", "after"))
        regret, volume = (
            " / ".join(f"{n:.3f}" for n in np.mean([row[name] for row in each], axis=0))
            for name in ("regret", "hypervolume")
        )
        numbers = [str(len(each)), f"{first:.2f}", f"{after:.2f}", regret, volume]
        lines.append([problem, start, arm, *numbers])
    header = ["problem", "start", "arm", "searches", "1-10", "11-30", "regret", "hypervolume"]
    return table(header, lines)

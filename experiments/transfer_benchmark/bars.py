"""What the controller has to reach, checked against the scores.

"The best peer" is whichever peer is hardest to beat: a bar holds only if it holds against
each of them. Differences are paired over the (task, seed) pairs that both arms ran, ours
minus theirs, so negative is good.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator

from experiments.transfer_benchmark.arms import ARMS
from experiments.transfer_benchmark.scores import Estimate, Scores, average
from experiments.transfer_benchmark.tables import TABLES
from experiments.verdicts import Verdict

__all__ = ["COLD_PEERS", "PEERS", "PORTFOLIOS", "check"]

PEERS = tuple(name for name, spec in ARMS.items() if spec.kind == "peer")
COLD_PEERS = tuple(name for name in PEERS if ARMS[name].sources == "none")
PORTFOLIOS = ("portfolio", "portfolio_mean_rank")
_BAD = tuple(n for n, s in ARMS.items() if s.kind == "ours" and s.sources not in ("good", "none"))
_OURS = ("meta", "meta_pool")  # the space alone, as the peers; the rows, as the references
_COVERAGE = (0.85, 0.95)
_TOLERANCE = 0.10  # of our own cold regret, for bad sources


def check(scores: Scores) -> list[Verdict]:
    """Judges every bar."""
    return [
        *_against_peers(scores),
        *_against_portfolio(scores),
        *_against_prototype(scores),
        *_cold(scores),
        *_bad_sources(scores),
        *_uncertainty(scores),
    ]


def _hardest(
    scores: Scores, table: str, arm: tuple[str, int], others: Iterable[tuple[str, int]]
) -> tuple[str, Estimate] | None:
    """The (arm, trial) that beats ours by most, and the paired difference."""
    found = [
        (name, difference)
        for name, trial in others
        if (difference := scores.difference(table, arm, (name, trial))) is not None
    ]
    return max(found, key=lambda entry: entry[1].mean, default=None)


def _judged(
    bar: str,
    where: str,
    hardest: tuple[str, Estimate] | None,
    holds: Callable[[Estimate], bool],
) -> Verdict:
    """The verdict on a paired difference to the hardest of several arms."""
    if hardest is None:
        return Verdict(bar, where, None, "not measured")
    name, gap = hardest
    return Verdict(bar, where, holds(gap), f"{gap} against {name} (n = {gap.n})")


def _no_worse(gap: Estimate) -> bool:
    return gap.mean <= 0


def _better(gap: Estimate) -> bool:
    return gap.mean < 0


def _within_one_error(gap: Estimate) -> bool:
    return gap.mean <= gap.error


def _against_peers(scores: Scores) -> Iterator[Verdict]:
    for trial in (30, 50):
        bar = f"trial 10 no worse than the best peer's trial {trial}"
        bar += " (an aim beyond the bar)" if trial == 50 else ""
        for table, ours in itertools.product(TABLES, _OURS):
            hardest = _hardest(scores, table, (ours, 10), [(peer, trial) for peer in PEERS])
            yield _judged(bar, f"{table}, {ours}", hardest, _no_worse)


def _against_portfolio(scores: Scores) -> Iterator[Verdict]:
    for table, ours in itertools.product(("nasbench_graph", "lcbench_surrogate"), _OURS):
        for trial in (1, 10, 20, 30, 50):
            bar = f"{'no worse' if trial == 1 else 'better'} than the portfolio"
            others = [(name, trial) for name in PORTFOLIOS]
            hardest = _hardest(scores, table, (ours, trial), others)
            holds = _no_worse if trial == 1 else _better
            yield _judged(bar, f"{table}, {ours}, trial {trial}", hardest, holds)


def _against_prototype(scores: Scores) -> Iterator[Verdict]:
    for ours, trial in itertools.product(_OURS, (1, 5, 10, 20)):
        bar = f"{'no worse' if trial == 1 else 'better'} than the prototype"
        gaps = [scores.difference(t, (ours, trial), ("prototype", trial)) for t in TABLES]
        gap, where = average(gaps), f"mean of the three tables, {ours}, trial {trial}"
        if gap is None:
            yield Verdict(bar, where, None, "not measured")
        else:
            holds = gap.mean <= 0 if trial == 1 else gap.mean < 0
            yield Verdict(bar, where, holds, str(gap))


def _cold(scores: Scores) -> Iterator[Verdict]:
    bar = "cold: no worse than the best cold peer, within one standard error"
    for table in TABLES:
        for trial in (10, 30, 50):
            others = [(peer, trial) for peer in COLD_PEERS]
            hardest = _hardest(scores, table, ("meta_cold", trial), others)
            yield _judged(bar, f"{table}, trial {trial}", hardest, _within_one_error)


def _bad_sources(scores: Scores) -> Iterator[Verdict]:
    bar = "bad sources: trial 30 at most cold + max(10%, one standard error)"
    for table in TABLES:
        for arm in _BAD:
            cold = scores.regret(table, "meta_cold", 30)
            gap = scores.difference(table, (arm, 30), ("meta_cold", 30))
            where = f"{table}, {arm.removeprefix('meta_')}"
            if cold is None or gap is None:
                yield Verdict(bar, where, None, "not measured")
            else:
                allowed = max(_TOLERANCE * cold.mean, gap.error)
                numbers = f"{gap} over cold {cold.mean:.3f}, allowed {allowed:.3f} (n = {gap.n})"
                yield Verdict(bar, where, gap.mean <= allowed, numbers)


def _uncertainty(scores: Scores) -> Iterator[Verdict]:
    low, high = _COVERAGE
    for table in TABLES:
        ours = scores.calibration(table, "meta")
        bar = f"90% intervals cover {low:.0%} to {high:.0%} of results after trial 10"
        if ours is None:
            yield Verdict(bar, table, None, "not measured")
            continue
        holds = low <= ours.coverage <= high
        yield Verdict(bar, table, holds, f"{ours.coverage:.1%} (n = {ours.n})")
        for arm in ("meta_cold", "prototype_cold"):
            bar, cold = (
                f"negative log likelihood below that of {arm}",
                scores.calibration(table, arm),
            )
            if cold is None:
                yield Verdict(bar, table, None, "not measured")
            else:
                numbers = f"{ours.nll:.3f} against {cold.nll:.3f}"
                yield Verdict(bar, table, ours.nll < cold.nll, numbers)

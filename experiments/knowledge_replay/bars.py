"""What the controller has to reach in the replay, checked against the scores."""

from __future__ import annotations

from collections.abc import Iterator

from experiments.knowledge_replay.arms import ARMS
from experiments.knowledge_replay.scores import BUDGETS, Scores
from experiments.transfer_benchmark.scores import Estimate
from experiments.verdicts import Verdict

__all__ = ["KINDS", "OTHERS", "check", "signed"]

KINDS = ("image", "text", "tabular")
OTHERS = tuple(arm for arm in ARMS if arm != "meta")


def signed(gap: Estimate) -> str:
    """A difference, as text with its sign."""
    return f"{gap.mean:+.3f} ± {gap.error:.3f}"


def check(scores: Scores) -> list[Verdict]:
    """Judges every bar, by regret after a number of trials."""
    return [verdict for kind in KINDS for verdict in _of_kind(scores, kind)]


def _of_kind(scores: Scores, kind: str) -> Iterator[Verdict]:
    for budget in (3, 5, 10):
        yield _better(scores, kind, budget, "better than the portfolio", ("portfolio_mean_rank",))
        yield _better(scores, kind, budget, "better than the best other arm", OTHERS)
    for budget in BUDGETS:
        bar, where = "no worse than random, within one standard error", f"{kind}, trial {budget}"
        gap = scores.difference("trials", kind, "meta", "random", budget)
        if gap is None or gap.n < 2:  # a single task has no error
            yield Verdict(bar, where, None, "not measured")
        else:
            yield Verdict(bar, where, gap.mean <= gap.error, f"{signed(gap)} (n = {gap.n})")


def _better(scores: Scores, kind: str, budget: int, bar: str, others: tuple[str, ...]) -> Verdict:
    """Ours against whichever of the others is hardest to beat; all must be measured."""
    where = f"{kind}, trial {budget}"
    found = [(arm, scores.difference("trials", kind, "meta", arm, budget)) for arm in others]
    gaps = [(gap, arm) for arm, gap in found if gap is not None]
    if len(gaps) < len(others):
        return Verdict(bar, where, None, "not measured")
    gap, arm = max(gaps)
    return Verdict(bar, where, gap.mean < 0, f"{signed(gap)} against {arm} (n = {gap.n})")

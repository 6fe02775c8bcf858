"""What MetaAutoTuner has to reach in the live benchmark, checked against the scores."""

from __future__ import annotations

from collections.abc import Iterator

from experiments.autokeras_benchmark.problem import TASKS
from experiments.autokeras_benchmark.scores import Measure, Scores, best_after, final_accuracy
from experiments.transfer_benchmark.scores import Estimate
from experiments.verdicts import Verdict

__all__ = ["AUTOKERAS", "COMPARED", "check", "signed"]

AUTOKERAS = ("greedy", "bayesian")
"""AutoKeras's own tuners, which the bars are about."""

COMPARED = ("meta", "portfolio", *AUTOKERAS)

_FEW, _MANY = 3, 12  # trials of ours, and of theirs


def signed(gap: Estimate) -> str:
    """A difference, as text with its sign and number."""
    return f"{gap.mean:+.3f} ± {gap.error:.3f} (n = {gap.n})"


def check(scores: Scores) -> list[Verdict]:
    """Judges every bar."""
    verdicts = [v for kind in ("", *TASKS) for v in _means(scores, kind)]
    return verdicts + list(_single_tasks(scores))


def _means(scores: Scores, kind: str) -> Iterator[Verdict]:
    where = f"{kind or 'all'} tasks"
    planned = [task for each, tasks in TASKS.items() if kind in ("", each) for task in tasks]
    missing = len(planned) - len(scores.tasks(kind, COMPARED))
    hardest = _hardest(scores, kind, best_after(_FEW), best_after(_MANY))
    bar = f"best value after {_FEW} trials at least that of AutoKeras's best arm after {_MANY}"
    yield _verdict(bar, where, hardest, missing, at_least=True)
    hardest = _hardest(scores, kind, final_accuracy, final_accuracy)
    yield _verdict("test accuracy better than AutoKeras's best arm", where, hardest, missing)


def _verdict(
    bar: str,
    where: str,
    found: tuple[Estimate, str] | None,
    missing: int,
    *,
    at_least: bool = False,
) -> Verdict:
    """Judges a mean over tasks; while some of them are missing the numbers are shown alone."""
    if found is None:
        return Verdict(bar, where, None, "not measured")
    gap, arm = found
    numbers = f"{signed(gap)} against {arm}"
    if missing:
        return Verdict(bar, where, None, f"{numbers}; {missing} tasks are missing")
    return Verdict(bar, where, gap.mean >= 0 if at_least else gap.mean > 0, numbers)


def _hardest(
    scores: Scores, kind: str, ours: Measure, theirs: Measure
) -> tuple[Estimate, str] | None:
    """Ours minus the arm of AutoKeras's that is hardest to beat; all must be measured."""
    if not scores.tasks(kind, COMPARED):
        return None
    gaps = [(scores.difference(kind, ("meta", ours), (arm, theirs)), arm) for arm in AUTOKERAS]
    return min((gap, arm) for gap, arm in gaps if gap is not None)


def _single_tasks(scores: Scores) -> Iterator[Verdict]:
    """Against the arm of AutoKeras's that is best on the mean of all tasks."""
    bar = "test accuracy on no task worse by more than a standard error"
    hardest = _hardest(scores, "", final_accuracy, final_accuracy)
    for task in scores.tasks("", COMPARED) if hardest else ():
        assert hardest is not None
        gap = scores.of_task(task, ("meta", final_accuracy), (hardest[1], final_accuracy))
        if gap is None or gap.n < 2:  # a single seed has no error
            yield Verdict(bar, task, None, "fewer than two seeds")
        else:
            yield Verdict(bar, task, gap.mean >= -gap.error, f"{signed(gap)} against {hardest[1]}")

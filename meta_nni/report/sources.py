"""What each proposal was based on: its shares of earlier tasks and of the run itself."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import accumulate, pairwise

from meta_nni.cli.evidence import Evidence
from meta_nni.cli.explanation import Explanation
from meta_nni.report.markup import Element, tag
from meta_nni.report.plot import Axis, Plot

__all__ = ["OWN", "based_on", "shares_of"]

OWN = "this run's own results"
_OTHERS = "other tasks"
_UNNAMED = "not named"
_NUM_TASKS = 4  # that have a colour of their own


def shares_of(trial: Explanation) -> dict[str, float]:
    """Returns the size of each share that a proposal's evidence names, by task; `OWN` last.

    Shares that speak against the config count as those that speak for it.
    """
    evidence = Evidence.read(trial.evidence)
    shares: defaultdict[str, float] = defaultdict(float)
    for task in evidence.tasks:
        shares[task.task] += abs(task.weight)
    if evidence.own:
        shares[OWN] += sum(abs(each.weight) for each in evidence.own)
    return dict(shares)


def based_on(trials: Sequence[Explanation]) -> tuple[Element, Element] | None:
    """Draws the shares of each proposal, and a legend; None where none names any."""
    shares = [shares_of(trial) for trial in trials]
    totals: defaultdict[str, float] = defaultdict(float)
    for each in shares:
        for name, size in each.items():
            totals[name] += size
    own = totals.pop(OWN, None)
    if not totals and own is None:
        return None
    named = sorted(totals, key=lambda name: -totals[name])[:_NUM_TASKS]
    kinds = {name: f"share-{number}" for number, name in enumerate(named)}
    if len(totals) > len(named):
        kinds[_OTHERS] = "share-others"
    if own is not None:
        kinds[OWN] = "share-own"
    legend = {**kinds, _UNNAMED: "share-unnamed"}
    return _plot(trials, shares, legend), _legend(legend)


def _plot(
    trials: Sequence[Explanation], shares: Sequence[dict[str, float]], kinds: dict[str, str]
) -> Element:
    axis = Axis(0.0, 1.0, (0.0, 0.5, 1.0))
    plot = Plot(Axis.numbers(len(trials)), axis, "Shares of what proposals rest on", "trial")
    for position, (trial, share) in enumerate(zip(trials, shares, strict=True)):
        parts: defaultdict[str, float] = defaultdict(float)
        for name, size in share.items():
            parts[name if name in kinds else _OTHERS] += size
        whole = max(sum(parts.values()), 1.0)
        if any(parts.values()):
            parts[_UNNAMED] = whole - sum(parts.values())
        heights = [0.0, *accumulate(parts[name] / whole for name in kinds)]
        for name, (low, high) in zip(kinds, pairwise(heights), strict=True):
            if high > low:
                said = f"trial {trial.number}: {high - low:.0%} {name}"
                plot.bar(position, 0.72, low, high, kinds[name], said)
    return plot.element()


def _legend(kinds: dict[str, str]) -> Element:
    entries = [tag("li", tag("i", class_=f"swatch {kind}"), name) for name, kind in kinds.items()]
    return tag("ul", entries, class_="legend")

"""The left-out task's trials as text, beside those of a cold start."""

from __future__ import annotations

from collections.abc import Callable
from itertools import zip_longest

from meta_nni.trial import History, Trial

__all__ = ["trials_table"]


def trials_table(warm: History, cold: History | None = None) -> str:
    """Each trial: where it comes from, what was predicted, measured, and the best so far.

    Args:
        warm: The search with the other tasks' experience.
        cold: The search of the same seed without any; None leaves its columns out.
    """
    heading = ["trial", "source", "predicted", "measured", "best"]
    columns = [_column(warm, each) for each in (_source, _predicted, _measured)]
    columns.append(_best(warm))
    if cold is not None:
        heading += ["cold", "best cold"]
        columns += [_column(cold, _measured), _best(cold)]
    cells = zip_longest(*columns, fillvalue="")
    rows = [heading, *([str(number), *row] for number, row in enumerate(cells, 1))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ([c.ljust(w) for c, w in zip(row, widths, strict=True)] for row in rows)
    return "\n".join("  ".join(line).rstrip() for line in lines)


def _column(history: History, cell: Callable[[Trial], str]) -> list[str]:
    return [cell(trial) for trial in history.trials]


def _source(trial: Trial) -> str:
    return trial.suggestion.source


def _predicted(trial: Trial) -> str:
    mean, std = trial.suggestion.mean, trial.suggestion.std
    return "-" if mean is None or std is None else f"{mean:.3f} ± {std:.3f}"


def _measured(trial: Trial) -> str:
    return trial.state if trial.value is None else f"{trial.value:.3f}"


def _best(history: History) -> list[str]:
    """The best value up to each trial, in the task's direction."""
    cells, best, sign = [], float("-inf"), history.run.task.sign
    for trial in history.trials:
        if trial.value is not None:
            best = max(best, sign * trial.value)
        cells.append("-" if best == float("-inf") else f"{sign * best:.3f}")
    return cells

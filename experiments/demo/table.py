"""The demo's tables, as text."""

from __future__ import annotations

from collections.abc import Sequence

from meta_nni.trial import History, Trial

__all__ = ["comparison", "trials_table"]


def trials_table(title: str, history: History) -> str:
    """Each trial with its source, what was predicted and what was measured."""
    rows = [("trial", "source", "predicted", "measured", "seconds", "block", "learning rate")]
    rows += [_row(trial) for trial in history.trials]
    return f"{title}\n{_aligned(rows)}"


def _row(trial: Trial) -> tuple[str, ...]:
    suggestion, result, config = trial.suggestion, trial.result, trial.config
    predicted = "-"
    if suggestion.mean is not None and suggestion.std is not None:
        predicted = f"{suggestion.mean:.3f} ± {suggestion.std:.3f}"
    seconds = f"{result.seconds:.0f}" if result and result.seconds else "-"
    return (
        str(trial.number + 1),
        suggestion.source,
        predicted,
        _value(trial),
        seconds,
        config["block"]["_name"],
        f"{config['learning_rate']:.2g}",
    )


def comparison(warm: History, cold: History, count: int) -> str:
    """The first trials of both starts, side by side, and the best of them."""
    rows = [("trial", "with memory", "cold")]
    pairs = zip(warm.trials[:count], cold.trials[:count], strict=False)
    rows += [(str(a.number + 1), _value(a), _value(b)) for a, b in pairs]
    rows.append(("best", _best(warm.trials[:count]), _best(cold.trials[:count])))
    title = f"3. {warm.run.task.name}, the first {count} trials of both, same seed"
    return f"{title}\n{_aligned(rows)}"


def _value(trial: Trial) -> str:
    return trial.state if trial.value is None else f"{trial.value:.3f}"


def _best(trials: Sequence[Trial]) -> str:
    values = [trial.value for trial in trials if trial.value is not None]
    return f"{max(values):.3f}" if values else "-"


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    cells = ([c.ljust(w) for c, w in zip(row, widths, strict=True)] for row in rows)
    return "\n".join("  " + "  ".join(row).rstrip() for row in cells)

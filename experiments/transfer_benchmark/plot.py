"""Draws regret against trials, one panel a table, as regret.svg."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from experiments.transfer_benchmark.scores import Scores

__all__ = ["SHOWN", "draw"]

SHOWN = {
    "random": ("#9a9a9a", ":"),
    "nni_tpe": ("#8c6d31", "--"),
    "optuna_gp": ("#e08214", "--"),
    "optuna_gp_warm": ("#e08214", "-"),
    "syne_tune_box_rea": ("#7b3294", "-"),
    "openbox_rgpe": ("#d6604d", "-"),
    "portfolio_mean_rank": ("#4d9221", "-."),
    "prototype": ("#000000", "-."),
    "meta_cold": ("#2166ac", "--"),
    "meta": ("#2166ac", "-"),
}
"""The arms that are drawn, with colour and line; the tables show all of them."""

_FLOOR = 1e-3  # below it a logarithmic axis says nothing


def draw(scores: Scores, file: Path) -> None:
    """Draws the figure.

    Raises:
        ImportError: if matplotlib is not installed.
    """
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "regret", "font.size": 9})
    from matplotlib import pyplot

    names = [name for name in scores.tables if any(scores.has(name, arm) for arm in SHOWN)]
    figure, axes = pyplot.subplots(1, len(names), figsize=(4.2 * len(names), 3.8), squeeze=False)
    for axis, name in zip(axes[0], names, strict=True):
        for arm, (colour, line) in SHOWN.items():
            if scores.has(name, arm):
                curve = np.maximum(scores.curve(name, arm), _FLOOR)
                width = 2.4 if arm.startswith("meta") else 1.3
                trials = np.arange(1, len(curve) + 1)
                axis.plot(trials, curve, line, color=colour, lw=width, label=arm)
        axis.set(yscale="log", xlabel="trials", title=name)
        axis.grid(alpha=0.3, which="both", lw=0.4)
    axes[0][0].set_ylabel("normalised regret (0 best, 1 median)")
    labels = {
        text: line
        for a in axes[0]
        for line, text in zip(*a.get_legend_handles_labels(), strict=True)
    }
    figure.legend(labels.values(), labels.keys(), loc="lower center", ncols=5, frameon=False)
    figure.tight_layout(rect=(0, 0.13, 1, 1))
    figure.savefig(file, metadata={"Date": None})
    pyplot.close(figure)

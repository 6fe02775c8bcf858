"""A progress bar on standard error, silent where that is no terminal."""

from __future__ import annotations

import sys
from typing import TextIO

from tqdm import tqdm

__all__ = ["ProgressBar"]


class ProgressBar:
    """Shows steps done, the loss and the seconds left. A context, which ends its line.

    Args:
        label: What is going on.
        stream: Where it is shown; None takes the standard error of the moment.
    """

    def __init__(self, label: str, stream: TextIO | None = None) -> None:
        stream = stream or sys.stderr
        self._bar = tqdm(desc=label, file=stream, disable=not stream.isatty(), dynamic_ncols=True)

    def __call__(self, step: int, steps: int, loss: float) -> None:
        """Takes note of `step` of `steps` being done, at this loss."""
        self._bar.total = steps
        self._bar.set_postfix_str(f"loss {loss:.4g}", refresh=False)
        self._bar.update(step - self._bar.n)

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *failure: object) -> None:
        self._bar.close()

"""A progress bar on standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TextIO

__all__ = ["ProgressBar"]

_EVERY_SECONDS = 0.1  # a terminal's line is drawn this often at most
_SHARES = 10  # where lines stay, as in a log, one each tenth
_CELLS = 30


class ProgressBar:
    """Shows steps done, the loss and the seconds left. A context, which ends its line.

    Args:
        label: What is going on.
        clock: Returns seconds, as `time.monotonic`.
        max_seconds: When it ends at the latest.
        stream: Where it is shown; None takes the standard error of the moment.
    """

    def __init__(
        self,
        label: str,
        clock: Callable[[], float],
        max_seconds: float | None = None,
        stream: TextIO | None = None,
    ) -> None:
        self._label = label
        self._clock = clock
        self._max_seconds = max_seconds
        self._stream = stream or sys.stderr
        self._redraws = self._stream.isatty()
        self._started = clock()
        self._shown_at = float("-inf")
        self._shown_share = -1
        self._width = 0

    def __call__(self, step: int, steps: int, loss: float) -> None:
        """Takes note of `step` of `steps` being done, at this loss."""
        now = self._clock()
        if not self._is_due(step, steps, now):
            return
        self._shown_at, self._shown_share = now, _SHARES * step // max(steps, 1)
        line = self._line(step, steps, loss, now - self._started)
        end = "\n"
        if self._redraws:
            line, end = f"\r{line.ljust(self._width)}", ""
            self._width = len(line) - 1
        print(line, end=end, file=self._stream, flush=True)

    def _is_due(self, step: int, steps: int, now: float) -> bool:
        if step >= steps:
            return True
        if self._redraws:
            return now - self._shown_at >= _EVERY_SECONDS
        return _SHARES * step // max(steps, 1) > self._shown_share

    def _line(self, step: int, steps: int, loss: float, seconds: float) -> str:
        done = _CELLS * step // max(steps, 1)
        bar = "#" * done + "." * (_CELLS - done)
        parts = [f"step {step} of {steps}", f"loss {loss:.4g}"]
        if step > 0:
            left = seconds / step * (steps - step)
            if self._max_seconds is not None:
                left = min(left, max(self._max_seconds - seconds, 0.0))
            parts.append(f"{left:.0f} s left")
        return f"{self._label} [{bar}] {', '.join(parts)}"

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *failure: object) -> None:
        if self._redraws and self._width:
            print(file=self._stream, flush=True)

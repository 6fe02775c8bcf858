"""Numbers that options take, and how they refuse others."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable

__all__ = ["at_least", "seconds", "seed"]


def seconds(text: str) -> float:
    """Reads a number of seconds above 0."""
    with contextlib.suppress(ValueError):
        if 0 < float(text) < float("inf"):
            return float(text)
    raise argparse.ArgumentTypeError(f"got {text!r}, expected a number of seconds above 0")


def at_least(least: int) -> Callable[[str], int]:
    """Returns a reader of integers from `least` on."""

    def read(text: str) -> int:
        if text.isascii() and text.isdigit() and int(text) >= least:
            return int(text)
        raise argparse.ArgumentTypeError(f"got {text!r}, expected an integer from {least} on")

    return read


def seed(text: str) -> int:
    """Reads a seed."""
    return at_least(0)(text)

"""Loading Keras without the greetings of the libraries below it."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

__all__ = ["load_keras"]


def load_keras() -> None:
    """Imports Keras and its backend. What native code writes to standard error is dropped.

    TensorFlow 2.21 writes there before any setting of its own takes effect.

    Raises:
        ImportError: Keras or its backend is missing.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _silenced():
        import keras  # noqa: F401


@contextlib.contextmanager
def _silenced() -> Iterator[None]:
    sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # there is no standard error
        yield
        return
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)

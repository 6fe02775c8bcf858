"""Which errors mean that a candidate needs more memory than there is, whatever computes."""

from __future__ import annotations

__all__ = ["out_of_memory"]

# Named, not imported: only the backend that runs is loaded, and JAX has one class for all.
_ALWAYS = ("MemoryError", "ResourceExhaustedError", "OutOfMemoryError")  # -, TensorFlow, torch
_BY_MESSAGE = ("XlaRuntimeError", "JaxRuntimeError")  # JAX
_MARK = "RESOURCE_EXHAUSTED"


def out_of_memory(error: Exception) -> str | None:
    """Returns why in one line if the error says that memory ran out, else None.

    Args:
        error: What building or training a model raised, on Keras's TensorFlow, JAX or torch.
    """
    kinds = {kind.__name__ for kind in type(error).__mro__}
    text = str(error)
    if not kinds.intersection(_ALWAYS) and not (kinds.intersection(_BY_MESSAGE) and _MARK in text):
        return None
    return f"out of memory: {text.splitlines()[0] if text else 'no details'}"

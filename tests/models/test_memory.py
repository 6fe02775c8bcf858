"""Errors that mean out of memory, of every backend."""

import pytest
import tensorflow as tf

from meta_nni.models.memory import out_of_memory


class XlaRuntimeError(RuntimeError):
    """Stands for JAX's class of that name, whose package is not a requirement."""


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("cannot allocate\nmore"),
        tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor"),
        XlaRuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 9 bytes."),
    ],
    ids=["python", "tensorflow", "jax"],
)
def test_memory_that_ran_out_is_told_in_one_line(error):
    assert out_of_memory(error) == f"out of memory: {str(error).splitlines()[0]}"


def test_an_error_without_words_is_still_told():
    assert out_of_memory(MemoryError()) == "out of memory: no details"


@pytest.mark.parametrize(
    "error", [ValueError("RESOURCE_EXHAUSTED"), XlaRuntimeError("INTERNAL: bad"), OSError("full")]
)
def test_other_errors_are_not_taken_for_it(error):
    assert out_of_memory(error) is None

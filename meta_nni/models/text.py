"""A small network of texts: `search_spaces/text.json`.

Words become vectors, an encoder lets them see their neighbours, pooling makes one vector of
them. Axes: B batch, L words, E embedding.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import layers, ops

from meta_nni.models.encoders import encode, pool
from meta_nni.models.heads import to_candidate
from meta_nni.models.problem import Problem
from meta_nni.models.training import Candidate
from meta_nni.trial import Config

__all__ = ["build"]

Array = npt.NDArray[Any]


def build(config: Config, problem: Problem, epochs: int, batch_size: int) -> Candidate:
    """Builds the network of a config, its vocabulary made of the rows to fit.

    Texts are cut by Keras's own layer, which an exported model holds; it needs TensorFlow.

    Args:
        config: A config of `text`. With pairs of words (`ngrams` 2) the words of a text come
            first, then its pairs, and `length` counts both.
        problem: Texts; labels or numbers.
        epochs: Epochs of training.
        batch_size: Not used; the config has its own.
    """
    vectorize = layers.TextVectorization(
        max_tokens=config["vocabulary"],
        ngrams=config["encoder"].get("ngrams"),
        output_sequence_length=config["length"],
    )
    vectorize.adapt(problem.x)

    def to_numbers(x: Array) -> Array:
        numbers: Array = keras.ops.convert_to_numpy(vectorize(x))
        return numbers.astype(np.int32)

    def of_strings(model: keras.Model) -> keras.Model:
        inputs = keras.Input((), dtype="string")
        return keras.Model(inputs, model(vectorize(inputs)))

    network = _network(config, vectorize.vocabulary_size())
    return to_candidate(config, problem, epochs, network, to_numbers, of_strings)


def _network(config: Config, num_words: int) -> tuple[Any, Any]:
    """Its input int32 [B, L], 0 where a text is over, and its features."""
    length = config["length"]
    inputs = keras.Input((length,), dtype="int32")
    # The first place always counts, so that an empty text has one.
    mask = ops.logical_or(ops.not_equal(inputs, 0), np.arange(length) == 0)
    steps = layers.Embedding(num_words, config["embedding"])(inputs)  # [B, L, E]
    steps = layers.SpatialDropout1D(config["dropout"] / 2)(steps)
    return inputs, pool(config["pooling"], encode(config["encoder"], steps, mask), mask)

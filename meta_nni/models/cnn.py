"""A small convolutional network made for CPUs: `search_spaces/cnn_small.json`.

A stem, which halves images of 24 pixels and more; stages of equal blocks, each stage ended
by pooling; then a head. An epoch on 2,000 images of 28 x 28 takes about a second on one
core. Shapes: B batch, H height, W width, C channels.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from meta_nni.models.images import to_pixels
from meta_nni.models.problem import Problem
from meta_nni.models.training import Candidate
from meta_nni.trial import Config

__all__ = ["build"]

_HALVED_FROM = 24  # pixels


def build(config: Config, problem: Problem, epochs: int, batch_size: int) -> Candidate:
    """Builds the network of a config.

    Args:
        config: A config of `cnn_small`.
        problem: Images of any size, grey or with channels; labels or numbers.
        epochs: Not used.
        batch_size: Not used; the config has its own.
    """
    model = keras.Model(*_network(config, problem))
    classify = problem.target == "classification"
    model.compile(
        optimizer=_optimizer(config),
        loss="sparse_categorical_crossentropy" if classify else "mean_squared_error",
    )
    x, x_val = to_pixels(problem.x), to_pixels(problem.x_val)
    return Candidate(model, x, problem.y, x_val, problem.y_val, to_pixels, config["batch_size"])


def _network(config: Config, problem: Problem) -> tuple[Any, Any]:
    shape = to_pixels(problem.x[:1]).shape[1:]
    inputs = keras.Input(shape)  # [B, H, W, C]
    output = _stem(config, inputs)
    for stage in range(config["stages"]):
        filters = round(config["filters"] * config["filter_growth"] ** stage)
        for _ in range(config["blocks_per_stage"]):
            output = _block(config, filters, output)
        # [B, H, W, filters] -> [B, ceil(H / 2), ceil(W / 2), filters]
        output = layers.MaxPooling2D(2, padding="same")(output)
    output = layers.Dropout(config["dropout"])(_reduce(config["head"], output))
    if problem.target == "classification":
        return inputs, layers.Dense(problem.num_outputs, activation="softmax")(output)
    return inputs, layers.Dense(1)(output)


def _stem(config: Config, inputs: Any) -> Any:
    stride = 2 if min(inputs.shape[1:3]) >= _HALVED_FROM else 1
    return layers.Conv2D(config["filters"], 3, stride, padding="same", activation="relu")(inputs)


def _block(config: Config, filters: int, inputs: Any) -> Any:
    block = config["block"]
    if block["_name"] == "separable":
        return _convolve(config, layers.SeparableConv2D, filters, inputs)
    if block["_name"] == "plain":
        return _convolve(config, layers.Conv2D, filters, inputs)
    inner = _convolve(config, layers.Conv2D, max(filters // block["squeeze"], 1), inputs)
    inner = layers.Conv2D(filters, 1)(inner)
    skip = inputs if inputs.shape[-1] == filters else layers.Conv2D(filters, 1)(inputs)
    return layers.ReLU()(layers.Add()([inner, skip]))


def _convolve(config: Config, layer: Any, filters: int, inputs: Any) -> Any:
    norm = config["batch_norm"]
    output = layer(filters, config["kernel_size"], padding="same", use_bias=not norm)(inputs)
    # Keras's 0.99 needs hundreds of steps before validation sees useful statistics.
    return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(output) if norm else output)


def _reduce(head: Config, inputs: Any) -> Any:
    """[B, H, W, C] -> [B, features]."""
    if head["_name"] == "dense":
        return layers.Dense(head["units"], activation="relu")(layers.Flatten()(inputs))
    average = head["_name"] == "global_average"
    pool = layers.GlobalAveragePooling2D if average else layers.GlobalMaxPooling2D
    return pool()(inputs)


def _optimizer(config: Config) -> keras.optimizers.Optimizer:
    rate = config["learning_rate"]
    if config["optimizer"] == "sgd":
        return keras.optimizers.SGD(rate, momentum=0.9, nesterov=True)
    kinds = {"adam": keras.optimizers.Adam, "rmsprop": keras.optimizers.RMSprop}
    return kinds[config["optimizer"]](rate)

"""How networks of texts, tables and sequences end and are trained. Axes: B batch, F features."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import layers

from meta_nni.models.problem import Problem
from meta_nni.models.training import Candidate
from meta_nni.trial import Config

__all__ = ["to_candidate"]

Array = npt.NDArray[Any]

_MOMENTUM = 0.9
_CLIPPED_AT = 1.0  # norm of all gradients; recurrent networks explode without (Pascanu et al. 2013)


def to_candidate(
    config: Config,
    problem: Problem,
    epochs: int,
    network: tuple[Any, Any],
    transform: Callable[[Array], Array],
    standalone: Callable[[keras.Model], keras.Model] = lambda model: model,
) -> Candidate:
    """Ends a network with an output for the target and compiles it.

    Numbers are learnt in units of their standard deviation around their mean, and the last
    layer turns them back, so that the model itself predicts what the data has.

    Args:
        config: Has dropout, optimizer, schedule, learning_rate and batch_size, and may have
            weight_decay, the share of a weight that a step takes away, times the rate.
        problem: The rows.
        epochs: Epochs of training, over which a cosine schedule falls to 0.
        network: Its input and its features [B, F].
        transform: Turns raw rows into what the network takes.
        standalone: Makes of the model one that takes raw rows; the model itself by default.
    """
    inputs, features = network
    features = layers.Dropout(config["dropout"])(features)
    loss, weight = "sparse_categorical_crossentropy", 1.0
    if problem.target == "classification":
        outputs = layers.Dense(problem.num_outputs, activation="softmax")(features)
    else:
        spread = float(np.std(problem.y)) or 1.0
        outputs = layers.Rescaling(spread, float(np.mean(problem.y)))(layers.Dense(1)(features))
        loss, weight = "mean_squared_error", spread**-2
    model = keras.Model(inputs, outputs)
    steps = epochs * math.ceil(len(problem.y) / config["batch_size"])
    # XLA would need longer to compile most of these networks than they are trained.
    model.compile(_optimizer(config, steps), loss=loss, loss_weights=weight, jit_compile=False)
    return Candidate(
        model,
        transform(problem.x),
        problem.y,
        transform(problem.x_val),
        problem.y_val,
        transform,
        config["batch_size"],
        lambda: standalone(model),
    )


def _optimizer(config: Config, steps: int) -> keras.optimizers.Optimizer:
    rate = config["learning_rate"]
    if config["schedule"] == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(rate, steps)
    shared = {
        "global_clipnorm": _CLIPPED_AT,
        "weight_decay": config.get("weight_decay") or None,
    }
    if config["optimizer"] == "sgd":
        return keras.optimizers.SGD(rate, momentum=_MOMENTUM, nesterov=True, **shared)
    kinds = {"adam": keras.optimizers.Adam, "rmsprop": keras.optimizers.RMSprop}
    return kinds[config["optimizer"]](rate, **shared)

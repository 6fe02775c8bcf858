"""The detector of a config: `search_spaces/detection.json`."""

from __future__ import annotations

from functools import partial
from typing import Any

import keras

from meta_nni.models.detection.augmentation import AugmentedBatches, resize
from meta_nni.models.detection.backbone import make_backbone
from meta_nni.models.detection.decoding import decode
from meta_nni.models.detection.head import make_head
from meta_nni.models.detection.losses import detection_loss
from meta_nni.models.detection.neck import make_neck, strides_of
from meta_nni.models.detection.priors import Priors, make_anchors, make_points
from meta_nni.models.detection.standalone import standalone
from meta_nni.models.detection.targets import (
    Assign,
    assign_by_centre,
    assign_by_gaussian,
    assign_by_iou,
)
from meta_nni.models.problem import Problem
from meta_nni.models.training import Candidate
from meta_nni.trial import Config

__all__ = ["build", "input_size", "make_network", "make_optimizer", "make_priors"]

_RATIOS = {1: (1.0,), 2: (0.7, 1.4), 3: (0.5, 1.0, 2.0)}
_MOST_GRADIENT = 5.0  # norm; the first steps of a detector have outliers


def build(config: Config, problem: Problem, epochs: int, batch_size: int) -> Candidate:
    """Builds the detector of a config.

    Args:
        config: A config of `detection`.
        problem: Images uint8 [N, H, W, 3] and boxes.
        epochs: Length of the learning rate's schedule.
        batch_size: Not used; the config has its own.
    """
    size = input_size(config, problem.x.shape[1:])
    priors, assign = make_priors(config, size)
    num_classes = problem.num_outputs
    network = make_network(config, size, num_classes, priors.per_cell)
    settings = {name: config[name] for name in ("flip", "scale", "brightness")}
    seed = int(keras.random.randint((), 0, 2**31 - 1))  # follows keras.utils.set_random_seed
    batches = AugmentedBatches(
        problem.x,
        problem.y,
        size,
        settings,
        config["batch_size"],
        priors,
        num_classes,
        assign,
        seed,
    )
    of_boxes = (config["box_loss"], config["box_weight"])
    network.compile(
        optimizer=make_optimizer(config, epochs * len(batches)),
        loss=detection_loss(priors, num_classes, *of_boxes, config["alpha"], config["gamma"]),
    )
    transform = partial(resize, size=size)
    return Candidate(
        model=network,
        x=problem.x,  # as many rows as there are; `batches` resizes and targets those it draws
        y=problem.y,
        x_val=transform(problem.x_val),
        y_val=problem.y_val,
        transform=transform,
        batch_size=config["batch_size"],
        standalone=partial(standalone, network, priors, num_classes, problem.x.shape[1:]),
        decode=partial(decode, priors=priors, num_classes=num_classes),
        batches=batches,
    )


def input_size(config: Config, shape: tuple[int, ...]) -> tuple[int, int]:
    """Height and width of the network's input for images of this height and width.

    The longer side is the config's `input_size`; both are multiples of the coarsest stride,
    so that the maps of a pyramid fit.
    """
    stride = strides_of(config["neck"])[-1]
    scale = config["input_size"] / max(shape[:2])
    height, width = (max(round(side * scale / stride), 1) * stride for side in shape[:2])
    return height, width


def make_priors(config: Config, size: tuple[int, int]) -> tuple[Priors, Assign]:
    """The priors of a config, and which of them answers for which box."""
    boxes, strides = config["boxes"], strides_of(config["neck"])
    if boxes["_name"] == "anchors":
        ratios = _RATIOS[boxes["ratios"]]
        return make_anchors(size, strides, boxes["scales"], ratios), assign_by_iou
    points = make_points(size, strides)
    if boxes["_name"] == "centre":
        return points, assign_by_centre(boxes["radius"])
    return points, assign_by_gaussian(boxes["overlap"])


def make_network(config: Config, size: tuple[int, int], num_classes: int, per_cell: int) -> Any:
    """The network of a config: float32 [B, height, width, 3] -> [B, L, C + 4]."""
    neck, depth = config["neck"], config["head_depth"]
    image = keras.Input((*size, 3))
    features = make_backbone(config, image, strides_of(neck)[-1])
    maps = make_neck(neck, features)
    shared = neck.get("shared_head", True)
    return keras.Model(image, make_head(maps, num_classes, per_cell, depth, shared))


def make_optimizer(config: Config, steps: int) -> keras.optimizers.Optimizer:
    """AdamW or SGD; the rate rises over a tenth of the steps, then falls along a cosine.

    Loshchilov, Hutter 2017 and 2019; the rise is Goyal et al.'s (2017).
    """
    chosen = config["optimizer"]
    rise = max(steps // 10, 1)
    rate = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.05 * chosen["learning_rate"],
        decay_steps=max(steps - rise, 1),
        alpha=0.2,  # of the initial rate: ends at a hundredth of the highest
        warmup_target=chosen["learning_rate"],
        warmup_steps=rise,
    )
    common = {"weight_decay": config["weight_decay"], "clipnorm": _MOST_GRADIENT}
    if chosen["_name"] == "sgd":
        return keras.optimizers.SGD(rate, momentum=0.9, nesterov=True, **common)
    return keras.optimizers.AdamW(rate, **common)

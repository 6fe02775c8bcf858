"""Necks: from a backbone's maps to those that the head reads."""

from __future__ import annotations

from typing import Any

from keras import layers

from meta_nni.models.detection.backbone import convolve
from meta_nni.trial import Config

__all__ = ["make_neck", "strides_of"]


def strides_of(neck: Config) -> list[int]:
    """Strides of the maps that a neck gives, in pixels of the network's input, finest first."""
    if neck["_name"] == "none":
        return [neck["stride"]]
    return [neck["stride"] * 2**level for level in range(neck["levels"])]


def make_neck(neck: Config, maps: dict[int, Any]) -> list[Any]:
    """Applies a neck to a backbone's maps.

    "fpn" is the feature pyramid of Lin et al. 2017 (CVPR), section 3: each coarser map,
    enlarged twice by its nearest neighbours, is added to the finer one, then convolved.

    Args:
        neck: "none" with its `stride`, or "fpn" with `stride` of the finest map, `levels` and
            `channels`.
        maps: By stride, as of `make_backbone`; sizes are multiples of the coarsest stride.

    Returns:
        One map per stride of `strides_of`.
    """
    chosen = [maps[stride] for stride in strides_of(neck)]
    if neck["_name"] == "none":
        return chosen
    outputs: list[Any] = []
    above = None
    for level in reversed(chosen):
        side = convolve(level, neck["channels"], 1)
        above = side if above is None else layers.Add()([side, layers.UpSampling2D()(above)])
        outputs.insert(0, convolve(above, neck["channels"]))
    return outputs

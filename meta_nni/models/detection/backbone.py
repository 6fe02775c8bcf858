"""Backbones: from an image to feature maps, each half as wide and as high as the one before."""

from __future__ import annotations

from typing import Any

from keras import layers

from meta_nni.trial import Config

__all__ = ["convolve", "make_backbone"]


def make_backbone(config: Config, image: Any, last_stride: int) -> dict[int, Any]:
    """Applies the backbone of a config to an image.

    Args:
        config: With `width`, `growth`, `depth` and `block`.
        image: [B, H, W, 3].
        last_stride: Pixels per cell of the coarsest map: 8, 16 or 32.

    Returns:
        The maps by their strides, from 4: [B, H / stride, W / stride, C].
    """
    width, maps = float(config["width"]), {}
    output, stride = convolve(image, round(width), step=2), 2
    while stride < last_stride:
        width, stride = width * config["growth"], 2 * stride
        output = convolve(output, round(width), step=2)
        for _ in range(config["depth"]):
            output = _block(config["block"], output)
        maps[stride] = output
    return maps


def convolve(inputs: Any, filters: int, kernel: int = 3, step: int = 1, active: bool = True) -> Any:
    """A convolution, batch normalisation and, if `active`, a rectifier."""
    output = layers.Conv2D(filters, kernel, step, padding="same", use_bias=False)(inputs)
    # Keras's 0.99 needs hundreds of steps before validation sees useful statistics.
    output = layers.BatchNormalization(momentum=0.9)(output)
    return layers.ReLU()(output) if active else output


def _block(block: Config, inputs: Any) -> Any:
    """One block; the shape stays: [B, H, W, C]."""
    channels = inputs.shape[-1]
    if block["_name"] == "plain":
        return convolve(inputs, channels)
    if block["_name"] == "residual":
        # The pre-activation order is He et al. 2016's; here, as in their first, the sum is cut.
        inner = convolve(inputs, max(channels // block["squeeze"], 1))
        return layers.ReLU()(layers.Add()([convolve(inner, channels, active=False), inputs]))
    # MobileNet's depthwise and pointwise pair (Howard et al. 2017) around a shortcut.
    inner = layers.DepthwiseConv2D(block["kernel_size"], padding="same", use_bias=False)(inputs)
    inner = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(inner))
    return layers.ReLU()(layers.Add()([convolve(inner, channels, 1, active=False), inputs]))

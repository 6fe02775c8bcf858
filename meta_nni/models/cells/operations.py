"""The operations that cells are made of, as Keras layers for channels-last images.

Each operation is one layer, [B, H, W, C] -> [B, ceil(H / stride), ceil(W / stride), filters],
created with its own weights and callable any number of times, so that a discrete cell and a
supernet use the same ones. Convolutions are ReLU, convolution, batch normalization in this
order, without biases. Axes: B batch, H height, W width, C channels.

References:
    Liu, Simonyan, Yang: DARTS: Differentiable Architecture Search, 2019 (section 3.1).
    Dong, Yang: NAS-Bench-201, 2020 (section 2.1).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import layers

__all__ = ["FactorizedReduce", "Zero", "norm", "operation", "relu_conv_norm"]


def operation(
    name: str, filters: int, stride: int = 1, *, affine: bool = True, pool_norm: bool = False
) -> keras.Layer:
    """Creates one operation with its own weights.

    Args:
        name: One of `NASBENCH201_OPERATIONS` or `DARTS_OPERATIONS` of
            `meta_nni.models.cells.topology`.
        filters: Channels of the output. The input must have as many, except for
            convolutions and for "skip_connect" with stride 2.
        stride: 1, or 2 to halve height and width.
        affine: Whether batch normalization scales and shifts. False in a supernet, where
            a scale would take the place of an architecture weight.
        pool_norm: Whether pooling is followed by batch normalization, without scale and
            shift. True in DARTS's supernet (its section 3.1), else averages and maxima of
            different size compete with normalised convolutions.

    Raises:
        ValueError: There is no such operation, or the stride is neither 1 nor 2.
    """
    if name not in _BUILDERS:
        raise ValueError(f"the operation is {name!r}, expected one of {sorted(_BUILDERS)}")
    if stride not in (1, 2):
        raise ValueError(f"the stride of {name} is {stride}, expected 1 or 2")
    if name.endswith("_pool_3x3") and pool_norm:
        return keras.Sequential([_BUILDERS[name](filters, stride, affine), norm(affine=False)])
    return _BUILDERS[name](filters, stride, affine)


def norm(affine: bool = True) -> keras.Layer:
    """Batch normalization; Keras's momentum of 0.99 would need hundreds of steps to settle."""
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, center=affine, scale=affine)


def relu_conv_norm(
    filters: int, kernel_size: int, stride: int = 1, *, affine: bool = True
) -> keras.Layer:
    """ReLU, convolution, batch normalization: [B, H, W, C] -> [B, H / stride, ..., filters]."""
    conv = layers.Conv2D(filters, kernel_size, stride, padding="same", use_bias=False)
    return keras.Sequential([layers.ReLU(), conv, norm(affine)])


class Zero(keras.Layer):  # type: ignore[misc] # keras has no types
    """No connection: zeros of the shape that the other operations give.

    Args:
        stride: As of the other operations.
    """

    def __init__(self, stride: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stride = stride

    def call(self, inputs: Any) -> Any:
        """[B, H, W, C] -> zeros [B, ceil(H / stride), ceil(W / stride), C]."""
        return keras.ops.zeros_like(inputs[:, :: self.stride, :: self.stride, :])

    def get_config(self) -> dict[str, Any]:
        """What the layer is made from, as Keras saves it."""
        return {**super().get_config(), "stride": self.stride}


class FactorizedReduce(keras.Layer):  # type: ignore[misc] # keras has no types
    """Halves height and width without losing pixels.

    Half of the filters see the even pixels, the other half the odd ones, each through a
    1 x 1 convolution of stride 2.

    Args:
        filters: Channels of the output.
        affine: Whether batch normalization scales and shifts.
    """

    def __init__(self, filters: int, affine: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.filters, self.affine = filters, affine
        self.even = layers.Conv2D(filters // 2, 1, 2, use_bias=False)
        self.odd = layers.Conv2D(filters - filters // 2, 1, 2, use_bias=False)
        self.norm = norm(affine)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the weights for inputs of shape [B, H, W, C]."""
        self.even.build(input_shape)
        self.odd.build(input_shape)
        self.norm.build((*input_shape[:-1], self.filters))
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """[B, H, W, C] -> [B, ceil(H / 2), ceil(W / 2), filters]."""
        outputs = keras.ops.relu(inputs)
        # Padded, so that an odd height has as many odd rows as even ones.
        shifted = keras.ops.pad(outputs, [[0, 0], [0, 1], [0, 1], [0, 0]])[:, 1:, 1:, :]
        outputs = keras.ops.concatenate([self.even(outputs), self.odd(shifted)], axis=-1)
        return self.norm(outputs, training=training)

    def get_config(self) -> dict[str, Any]:
        """What the layer is made from, as Keras saves it."""
        return {**super().get_config(), "filters": self.filters, "affine": self.affine}


def _none(filters: int, stride: int, affine: bool) -> keras.Layer:
    return Zero(stride)


def _skip(filters: int, stride: int, affine: bool) -> keras.Layer:
    return layers.Identity() if stride == 1 else FactorizedReduce(filters, affine)


def _max_pool(filters: int, stride: int, affine: bool) -> keras.Layer:
    return layers.MaxPooling2D(3, stride, padding="same")


def _average_pool(filters: int, stride: int, affine: bool) -> keras.Layer:
    return layers.AveragePooling2D(3, stride, padding="same")  # padding does not count


def _conv(kernel_size: int) -> Callable[[int, int, bool], keras.Layer]:
    return lambda filters, stride, affine: relu_conv_norm(
        filters, kernel_size, stride, affine=affine
    )


def _separable(kernel_size: int) -> Callable[[int, int, bool], keras.Layer]:
    """ReLU, depthwise and pointwise convolution, normalization; all twice (DARTS, section 3.1)."""

    def create(filters: int, stride: int, affine: bool) -> keras.Layer:
        parts = []
        for step in (stride, 1):
            conv = layers.SeparableConv2D(
                filters, kernel_size, step, padding="same", use_bias=False
            )
            parts += [layers.ReLU(), conv, norm(affine)]
        return keras.Sequential(parts)

    return create


def _dilated(kernel_size: int) -> Callable[[int, int, bool], keras.Layer]:
    """ReLU, depthwise convolution with gaps of one pixel, pointwise one, normalization."""

    def create(filters: int, stride: int, affine: bool) -> keras.Layer:
        # Not every backend convolves with gaps and steps at once. With an odd kernel, taking
        # every second pixel of the undivided output is the same.
        depthwise = layers.DepthwiseConv2D(
            kernel_size, padding="same", dilation_rate=2, use_bias=False
        )
        pointwise = layers.Conv2D(filters, 1, stride, use_bias=False)
        return keras.Sequential([layers.ReLU(), depthwise, pointwise, norm(affine)])

    return create


_BUILDERS: dict[str, Callable[[int, int, bool], keras.Layer]] = {
    "none": _none,
    "skip_connect": _skip,
    "max_pool_3x3": _max_pool,
    "avg_pool_3x3": _average_pool,
    "nor_conv_1x1": _conv(1),
    "nor_conv_3x3": _conv(3),
    "sep_conv_3x3": _separable(3),
    "sep_conv_5x5": _separable(5),
    "dil_conv_3x3": _dilated(3),
    "dil_conv_5x5": _dilated(5),
}

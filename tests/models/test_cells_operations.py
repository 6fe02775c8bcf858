"""What each operation of a cell computes: shapes, weights, which pixels it sees."""

import keras
import numpy as np
import pytest

from meta_nni.models.cells.operations import FactorizedReduce, operation
from meta_nni.models.cells.topology import DARTS_OPERATIONS, NASBENCH201_OPERATIONS

pytestmark = pytest.mark.host

NAMES = sorted({*DARTS_OPERATIONS, *NASBENCH201_OPERATIONS})
C = 4
# Trainable weights for C channels in and out: convolutions, and 2 C for each normalization.
SIZES = {
    "none": 0,
    "skip_connect": 0,
    "max_pool_3x3": 0,
    "avg_pool_3x3": 0,
    "nor_conv_1x1": C * C + 2 * C,
    "nor_conv_3x3": 9 * C * C + 2 * C,
    "sep_conv_3x3": 2 * (9 * C + C * C + 2 * C),
    "sep_conv_5x5": 2 * (25 * C + C * C + 2 * C),
    "dil_conv_3x3": 9 * C + C * C + 2 * C,
    "dil_conv_5x5": 25 * C + C * C + 2 * C,
}


def size(layer):
    return sum(int(np.prod(weight.shape)) for weight in layer.trainable_weights)


def images(height=7, width=8):
    rng = np.random.default_rng(0)
    return rng.normal(size=(2, height, width, C)).astype("float32")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("affine", [True, False])
def test_shape_and_weights(name, stride, affine):
    layer = operation(name, C, stride, affine=affine)
    output = np.asarray(layer(images()))
    assert output.shape == ((2, 7, 8, C) if stride == 1 else (2, 4, 4, C))
    halving = name == "skip_connect" and stride == 2
    expected = C * C + 2 * C if halving else SIZES[name]  # two 1x1 convolutions to C / 2 each
    num_norms = 1 if halving else name.count("conv_") + name.count("sep_")
    assert size(layer) == expected - (0 if affine else 2 * C * num_norms)


@pytest.mark.parametrize("name", NAMES)
def test_an_operation_keeps_its_weights_between_calls(name):
    layer = operation(name, C)
    once, again = np.asarray(layer(images())), np.asarray(layer(images()))
    np.testing.assert_array_equal(once, again)


def test_none_is_zero_and_skip_is_its_input():
    assert not np.asarray(operation("none", C)(images())).any()
    np.testing.assert_array_equal(operation("skip_connect", C)(images()), images())


def test_padding_does_not_count_in_averages_and_maxima():
    below_zero = np.full((1, 5, 5, C), -2, "float32")
    for name in ("avg_pool_3x3", "max_pool_3x3"):
        np.testing.assert_allclose(operation(name, C)(below_zero), below_zero)


def test_pools_of_a_supernet_are_normalised():
    layer = operation("avg_pool_3x3", C, pool_norm=True)
    output = np.asarray(layer(5 + images(32, 32), training=True))
    np.testing.assert_allclose(output.mean(axis=(0, 1, 2)), 0, atol=1e-4)
    assert size(layer) == 0


@pytest.mark.parametrize("name", [name for name in NAMES if "conv" in name])
def test_convolutions_begin_with_relu(name):
    assert not np.asarray(operation(name, C)(-np.abs(images()))).any()


@pytest.mark.parametrize(
    ("name", "offsets"),
    [
        ("nor_conv_1x1", [0]),
        ("nor_conv_3x3", [-1, 0, 1]),
        ("sep_conv_3x3", [-2, -1, 0, 1, 2]),  # 3x3 twice
        ("dil_conv_3x3", [-2, 0, 2]),
        ("dil_conv_5x5", [-4, -2, 0, 2, 4]),
    ],
)
def test_which_pixels_an_operation_sees(name, offsets):
    keras.utils.set_random_seed(0)
    pixel = np.zeros((1, 17, 17, C), "float32")
    pixel[0, 8, 8] = 1
    output = np.asarray(operation(name, C)(pixel))[0].any(axis=-1)
    rows = np.flatnonzero(output.any(axis=1)) - 8
    columns = np.flatnonzero(output.any(axis=0)) - 8
    assert set(rows) <= set(offsets)
    assert set(columns) <= set(offsets)
    assert {rows.min(), rows.max()} == {offsets[0], offsets[-1]}


@pytest.mark.parametrize("shape", [(6, 6), (7, 5)])
def test_a_factorized_reduction_sees_every_pixel(shape):
    keras.utils.set_random_seed(0)
    layer = FactorizedReduce(C)
    empty = np.zeros((1, *shape, C), "float32")
    assert not np.asarray(layer(empty)).any()
    pixels = np.zeros((shape[0] * shape[1], *shape, C), "float32")
    for number, pixel in enumerate(np.ndindex(shape)):
        pixels[(number, *pixel)] = 1
    seen = np.abs(np.asarray(layer(pixels))).sum(axis=(1, 2, 3)) > 0
    # Half of the filters see pixels whose row and column are even, half those of odd ones.
    expected = [row % 2 == column % 2 for row, column in np.ndindex(shape)]
    np.testing.assert_array_equal(seen, expected)


def test_a_layer_is_saved_and_loaded(tmp_path):
    inputs = keras.Input((8, 8, C))
    outputs = operation("skip_connect", C, 2)(operation("none", C)(inputs) + inputs)
    model = keras.Model(inputs, outputs)
    model.save(tmp_path / "m.keras")
    own = {"FactorizedReduce": FactorizedReduce, "Zero": type(operation("none", C))}
    again = keras.models.load_model(tmp_path / "m.keras", custom_objects=own)
    x = images(8, 8)
    np.testing.assert_allclose(again(x), model(x), rtol=1e-6)


def test_unknown_names_and_strides_are_refused():
    with pytest.raises(ValueError, match="the operation is 'conv_7x7', expected one of"):
        operation("conv_7x7", C)
    with pytest.raises(ValueError, match="the stride of none is 3, expected 1 or 2"):
        operation("none", C, 3)

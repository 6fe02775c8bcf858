import numpy as np

from meta_nni.policy.adam import Adam


def test_the_first_step_has_the_size_of_the_rate():
    # Kingma & Ba 2015, section 2.1: with both biases corrected, g / |g|.
    weights = {"w": np.array([1.0, -2.0, 0.5], np.float32)}
    moved, adam = Adam().step(weights, {"w": np.array([3.0, -0.01, 0.0], np.float32)}, 0.1)
    assert np.allclose(moved["w"], [0.9, -1.9, 0.5], atol=1e-4)
    assert adam.steps == 1
    assert weights["w"].tolist() == [1.0, -2.0, 0.5]


def test_the_second_step_by_hand():
    weights = {"w": np.zeros(1, np.float32)}
    adam = Adam()
    for gradient in (1.0, -3.0):
        moved, adam = adam.step(weights, {"w": np.array([gradient], np.float32)}, 1.0)
    mean = (0.9 * 0.1 * 1.0 + 0.1 * -3.0) / (1 - 0.9**2)
    square = (0.99 * 0.01 * 1.0 + 0.01 * 9.0) / (1 - 0.99**2)
    assert np.allclose(moved["w"], -mean / np.sqrt(square), rtol=1e-4)


def test_it_finds_a_minimum_and_leaves_other_weights_alone():
    weights = {"w": np.array([4.0, -3.0], np.float32), "other": np.ones(2, np.float32)}
    adam = Adam()
    for _ in range(300):
        weights, adam = adam.step(weights, {"w": 2 * (weights["w"] - 1.0)}, 0.1)
    assert np.allclose(weights["w"], 1.0, atol=0.01)
    assert weights["other"].tolist() == [1.0, 1.0]
    assert weights["w"].dtype == np.float32

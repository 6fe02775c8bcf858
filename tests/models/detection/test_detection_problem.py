"""Rows with boxes: how they are divided, and codes of another split's classes."""

import numpy as np

from meta_nni.models.problem import load_problem


def save(path):
    rng = np.random.default_rng(0)
    y = np.full((20, 2, 5), -1, np.float32)
    y[:, 0] = [0, 0.1, 0.1, 0.5, 0.5]
    y[10:, 0, 0] = 1
    x = rng.integers(0, 256, (20, 8, 8, 3)).astype(np.uint8)
    names = np.array(["cat", "dog"])
    np.savez(path, x_train=x, y_train=y, x_test=x, y_test=y, class_names=names)
    return {"npz": str(path)}


def test_validation_rows_have_each_classs_share_and_boxes_stay_with_their_pictures(tmp_path):
    data = save(tmp_path / "pets.npz")
    problem = load_problem(data)
    assert problem.kind == problem.target == "detection"
    assert problem.classes.tolist() == ["cat", "dog"]
    assert problem.y_val.shape == (4, 2, 5)
    assert sorted(problem.y_val[:, 0, 0]) == [0, 0, 1, 1]
    with np.load(data["npz"]) as file:
        for pixels, boxes in zip(problem.x, problem.y, strict=True):
            row = (file["x_train"] == pixels).all(axis=(1, 2, 3)).argmax()
            np.testing.assert_array_equal(file["y_train"][row], boxes)
    assert len(load_problem(data, samples=10).y) == 8


def test_boxes_of_unknown_classes_are_left_out(tmp_path):
    problem = load_problem(save(tmp_path / "pets.npz"))
    y = np.array([[[0, 0, 0, 1, 1], [1, 0, 0, 0.5, 1], [-1] * 5]], np.float32)
    encoded = problem.encode(y, np.array(["bird", "cat"]))
    assert encoded.dtype == np.float32
    assert encoded.tolist() == [[[-1] * 5, [0, 0, 0, 0.5, 1], [-1] * 5]]

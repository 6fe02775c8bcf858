"""The cards that ship, how they were written, and the boxes of class priors."""

import numpy as np
import yaml

from experiments.detection.make_data import write_coco
from experiments.detection.measure import prior_boxes
from experiments.detection.run import HERE
from experiments.detection.trial import cards
from meta_nni.data import load_data
from meta_nni.models.problem import Problem


def test_the_cards_that_ship_are_read(monkeypatch):
    train, test = load_data(cards(HERE)), load_data(cards(HERE), "test")
    assert train.x.shape == (296, 96, 128, 3)
    assert test.x.shape == (67, 96, 128, 3)
    assert train.classes.tolist() == ["nine", "ten", "jack", "queen", "king", "ace"]
    config = yaml.safe_load((HERE / "config.yml").read_text(encoding="utf-8"))
    monkeypatch.chdir(HERE)
    named = load_data(config["tuner"]["classArgs"]["data"])
    np.testing.assert_array_equal(named.y, train.y)


def test_what_is_written_reads_back(tmp_path, rng):
    x = np.tile(rng.integers(0, 256, (6, 1, 1, 3)), (1, 20, 30, 1)).astype(np.uint8)
    y = np.full((6, 2, 5), -1, np.float32)
    y[:, 0] = [0, 0.1, 0.2, 0.5, 0.7]
    y[::2, 1] = [1, 0.5, 0.5, 1, 1]
    write_coco(tmp_path, "train", x, y, ["a", "b"])
    read = load_data(
        {"coco": str(tmp_path / "train.json"), "images": str(tmp_path), "test_fraction": 0.2}
    )
    assert read.x.shape[1:] == (20, 30, 3)
    rows = [np.abs(x.astype(int) - pixels).mean(axis=(1, 2, 3)).argmin() for pixels in read.x]
    np.testing.assert_allclose(read.x, x[rows], atol=4)
    np.testing.assert_allclose(read.y, y[rows], atol=1e-3)


def test_class_priors_are_mean_boxes_scored_by_frequency():
    y = np.array(
        [[[0, 0, 0, 0.2, 0.2], [0, 0.2, 0, 0.4, 0.4]], [[1, 0, 0, 1, 1], [-1] * 5]], np.float32
    )
    x = np.zeros((2, 8, 8, 3), np.uint8)
    problem = Problem("detection", "detection", x, y, x, y, np.array(["a", "b"]))
    found = prior_boxes(problem, 3)
    assert found.shape == (3, 2, 6)
    np.testing.assert_allclose(found[2, 0], [0, 2 / 3, 0.1, 0, 0.3, 0.3], rtol=1e-6)
    np.testing.assert_allclose(found[2, 1], [1, 1 / 3, 0, 0, 1, 1], rtol=1e-6)

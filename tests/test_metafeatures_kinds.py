"""What describes sequences and pictures with boxes."""

import numpy as np
import pytest

from meta_nni.data import Dataset
from meta_nni.metafeatures import compute_metafeatures
from meta_nni.task import METAFEATURES, Task

NAMES = {feature.name for feature in METAFEATURES}
BOXES = {
    "boxes_per_image",
    "box_area_mean",
    "box_area_std",
    "box_aspect_mean",
    "box_aspect_std",
}


def compute(dataset):
    return compute_metafeatures(dataset, np.random.default_rng(0), 1e9)


def sequences(regression=False):
    """Of two classes that differ in their slope."""
    rng = np.random.default_rng(1)
    labels = np.arange(120) % 2
    slope = np.linspace(-1, 1, 40) * (2 * labels[:, None] - 1)
    x = slope[..., None] + 0.1 * rng.standard_normal((120, 40, 3))
    y = x[:, 0].mean(axis=1) if regression else labels
    return Dataset.from_arrays(x, y, kind="sequence")


def boxed(classes=2):
    """A bright and a dark class of boxes; every third picture has none."""
    rng = np.random.default_rng(2)
    x = rng.integers(90, 110, (120, 16, 32, 3), dtype=np.uint8)
    y = np.full((120, 2, 5), -1, np.float32)
    for row in range(120):
        code = row // 3 % classes
        if row % 3:
            y[row, 0] = code, 0.25, 0.25, 0.75, 0.75
            x[row, 4:12, 8:24] = (20, 230)[code]
    return Dataset.from_arrays(x, y, classes=np.array(["dark", "bright"][:classes]))


def test_sequences_by_the_names_of_other_kinds():
    found = compute(sequences())
    assert set(found) - NAMES == {"steps"}
    assert (found["steps"], found["width"], found["channels"]) == (40, 40, 3)
    assert found["n_features"] == 120
    assert (found["kind_image"], found["kind_text"], found["kind_tabular"]) == (0, 0, 0)
    assert found["landmark_linear"] > 0.9
    assert found["neighbour_correlation"] > 0.9
    assert 0 < found["value_mean"] < 1


def test_a_number_of_a_sequence_is_regression():
    found = compute(sequences(regression=True))
    assert found["regression"] == 1
    assert found["landmark_linear"] > 0.9
    assert "n_classes" not in found


def test_the_scale_of_a_feature_does_not_matter_to_landmarkers():
    plain = sequences()
    scaled = Dataset.from_arrays(plain.x * [1e6, 1e-6, 1], plain.y, kind="sequence")
    for name in ("landmark_nearest", "landmark_tree", "intrinsic_dimension"):
        assert compute(scaled)[name] == pytest.approx(compute(plain)[name])


def test_boxes_have_metafeatures_of_their_own():
    found = compute(boxed())
    assert set(found) - NAMES == BOXES
    assert found["boxes_per_image"] == pytest.approx(2 / 3)
    assert found["box_area_mean"] == pytest.approx(0.25)
    assert found["box_aspect_mean"] == pytest.approx(1.0)  # 16 x 8 pixels: twice as wide
    assert found["box_area_std"] == found["box_aspect_std"] == 0
    assert (found["height"], found["width"], found["channels"]) == (16, 32, 3)


def test_classes_are_counted_by_boxes_and_landmarkers_guess_the_largest():
    found = compute(boxed())
    assert (found["n_train"], found["n_classes"], found["rows_per_class"]) == (120, 2, 40)
    assert found["class_entropy"] == pytest.approx(1.0)
    assert found["landmark_nearest"] > 0.9


def placed(is_seen=True, everywhere=True):
    """One class of bright boxes of two sizes in four places, or of boxes that nothing shows."""
    rng = np.random.default_rng(3)
    x = rng.integers(90, 110, (160, 16, 16, 3), dtype=np.uint8)
    y = np.full((160, 1, 5), -1, np.float32)
    for row, (top, left, half) in enumerate(rng.integers(0, 2, (160, 3))):
        if row % 4 and not everywhere:
            continue
        side = 8 - 4 * half
        y[row, 0] = 0, left / 2, top / 2, left / 2 + side / 16, top / 2 + side / 16
        if is_seen:
            x[row, 8 * top : 8 * top + side, 8 * left : 8 * left + side] = 230
    return Dataset.from_arrays(x, y, classes=np.array(["only"]))


def test_of_one_class_of_boxes_landmarkers_guess_place_and_size():
    found = compute(placed())
    assert (found["n_classes"], found["class_entropy"]) == (1, 0)
    assert min(found["landmark_nearest"], found["landmark_linear"]) > 0.9
    assert found["landmark_tree"] > found["landmark_stump"] > 0.0
    assert "landmark_bayes" not in found  # it guesses classes
    unseen = compute(placed(is_seen=False))
    assert unseen["landmark_linear"] < 0.1
    some = compute(placed(everywhere=False))
    assert some["landmark_nearest"] > 0.5


def test_of_one_box_in_one_place_nothing_is_to_be_guessed():
    found = compute(boxed(classes=1))
    assert not [name for name in found if name.startswith("landmark")]
    assert np.isfinite(list(found.values())).all()


@pytest.mark.parametrize("dataset", [sequences(), boxed(), boxed(1)])
def test_what_is_not_canonical_does_not_enter_the_embedding(dataset):
    found = compute(dataset)
    known = {name: value for name, value in found.items() if name in NAMES}
    np.testing.assert_array_equal(
        Task("a", metafeatures=found).embedding(), Task("a", metafeatures=known).embedding()
    )


@pytest.mark.parametrize(
    "dataset",
    [
        Dataset.from_arrays(np.zeros((2, 1, 1)), np.array([0, 1]), kind="sequence"),
        Dataset.from_arrays(np.full((4, 3, 2), 1e300), np.arange(4) % 2, kind="sequence"),
        Dataset.from_arrays(np.ones((3, 2, 5)), np.array([1.0, 1.0, 1.0]), kind="sequence"),
        Dataset.from_arrays(
            np.zeros((1, 1, 1, 3), np.uint8),
            np.array([[[0, 0, 0, 1, 1]]], np.float32),
            classes=np.array(["a"]),
        ),
    ],
)
def test_degenerate_data_gives_finite_numbers_without_warnings(dataset):
    with np.errstate(all="raise", under="ignore"):
        found = compute(dataset)
    assert found["n_train"] == len(dataset.y)
    assert np.isfinite(list(found.values())).all()

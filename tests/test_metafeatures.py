import zlib

import numpy as np
import pytest

from meta_nni.data import Dataset
from meta_nni.metafeatures import compute_metafeatures
from meta_nni.task import METAFEATURES, Task

NAMES = {feature.name for feature in METAFEATURES}
LANDMARKS = {name for name in NAMES if name.startswith("landmark_")}
OPTIONAL = LANDMARKS | {
    "pca_1_fraction",
    "pca_10_fraction",
    "correlation",
    "intrinsic_dimension",
    "duplicate_fraction",
}
LABELS = np.arange(120) % 3


def compute(dataset, seed=0, seconds=1e9, **keywords):
    return compute_metafeatures(dataset, np.random.default_rng(seed), seconds, **keywords)


def images(shape=(120, 8, 6), labels=LABELS):
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 60, shape, dtype=np.uint8)
    pixels[labels == 1, :4] += 120
    pixels[labels == 2, 4:] += 120
    return Dataset.from_arrays(pixels, labels)


def texts():
    words = np.array(["good film", "bad film", "dull Film of films"])
    lines = [f"{words[label]} take{i % 100} of{i % 7}" for i, label in enumerate(LABELS)]
    lines[:6] = lines[6:12]
    return Dataset.from_arrays(np.array(lines), LABELS)


def table(regression=False):
    rng = np.random.default_rng(2)
    x = rng.standard_normal((120, 4))
    x[:, 2] = rng.integers(0, 5, 120)
    x[:, 3] = 7.0
    y = 2.0 * x[:, 0] - x[:, 1] if regression else np.digitize(x[:, 0], [-0.5, 0.5])
    x[:30, 1] = np.nan
    return Dataset.from_arrays(x, y, is_categorical=[False, False, True, False])


@pytest.mark.parametrize(
    ("dataset", "missing"),
    [
        (images(), {"words_per_text", "target_skew", "missing_fraction"}),
        (texts(), {"height", "value_mean", "missing_fraction"}),
        (table(), {"height", "words_per_text", "value_mean"}),
        (table(regression=True), {"n_classes", "class_entropy", "landmark_bayes"}),
    ],
)
def test_what_applies_is_there_and_nothing_else(dataset, missing):
    found = compute(dataset)
    assert set(found) <= NAMES
    assert not missing & set(found)
    expected = OPTIONAL - ({"landmark_bayes"} if dataset.target == "regression" else set())
    assert expected <= set(found)
    assert all(type(value) is float for value in found.values())
    task = Task("a", metafeatures=found)
    assert np.abs(task.embedding()).max() < 2.0, "nothing is clipped on ordinary data"


def test_every_canonical_metafeature_is_computed_for_some_kind():
    kinds = [images(), texts(), table(), table(regression=True)]
    assert set().union(*(compute(dataset) for dataset in kinds)) == NAMES


def test_sizes_and_values_of_images():
    found = compute(images((120, 8, 6, 3)))
    assert (found["n_train"], found["n_features"]) == (120, 8 * 6 * 3)
    assert (found["height"], found["width"], found["channels"]) == (8, 6, 3)
    assert (found["kind_image"], found["kind_text"], found["regression"]) == (1, 0, 0)
    pixels = images((120, 8, 6, 3)).x / 255
    assert found["value_mean"] == pytest.approx(pixels.mean(), rel=1e-5)
    assert found["value_std"] == pytest.approx(pixels.std(), rel=1e-5)
    assert found["zero_fraction"] == pytest.approx((pixels == 0).mean())


def test_classes_are_counted():
    labels = np.repeat([0, 1, 2, 3], [60, 30, 20, 10])
    found = compute(images(labels=labels))
    assert (found["n_classes"], found["rows_per_class"]) == (4, 30)
    assert found["class_min_fraction"] == pytest.approx(10 / 120)
    assert found["class_max_fraction"] == pytest.approx(60 / 120)
    shares = np.array([60, 30, 20, 10]) / 120
    assert found["class_entropy"] == pytest.approx(-(shares * np.log2(shares)).sum() / 2)
    assert compute(images())["class_entropy"] == pytest.approx(1.0)


def test_brightness_is_the_same_for_bytes_and_floats():
    byte = images()
    shares = Dataset.from_arrays(byte.x / np.float32(255), LABELS)
    assert compute(byte) == pytest.approx(compute(shares), rel=1e-4)
    shifted = Dataset.from_arrays((byte.x - np.float32(100)) * 3, LABELS)
    assert 0 < compute(shifted)["value_mean"] < 1


def test_smooth_images_have_correlated_neighbours():
    rng = np.random.default_rng(3)
    noise = rng.random((90, 12, 12))
    ramp = np.linspace(0, 1, 12)[:, None] + np.linspace(0, 1, 12)
    smooth = ramp / 2 * rng.random((90, 1, 1))
    rough, even = (compute(Dataset.from_arrays(x, np.arange(90) % 2)) for x in (noise, smooth))
    assert abs(rough["neighbour_correlation"]) < 0.1
    assert even["neighbour_correlation"] > 0.9
    assert even["pca_1_fraction"] > 0.99 > 0.2 > rough["pca_1_fraction"]
    assert even["correlation"] > 0.99
    assert even["intrinsic_dimension"] < 2 < 10 < rough["intrinsic_dimension"]


def test_pooled_images_keep_their_mean():
    large = images((120, 100, 70))
    found = compute(large)
    assert (found["height"], found["n_features"]) == (100, 7000)
    assert found["value_mean"] == pytest.approx(large.x.mean() / 255, rel=0.02)


def test_sizes_of_texts():
    found = compute(texts())
    assert found["words_per_text"] == pytest.approx(
        np.mean([len(text.split()) for text in texts().x])
    )
    assert found["characters_per_text"] == pytest.approx(np.mean(np.char.str_len(texts().x)))
    assert found["n_features"] == len({word for t in texts().x for word in t.lower().split()})
    assert found["landmark_linear"] > 0.9
    assert found["duplicate_fraction"] == pytest.approx(6 / 120)


def test_columns_of_tables():
    found = compute(table())
    assert found["missing_fraction"] == pytest.approx(30 / 480)
    assert found["categorical_fraction"] == 0.25
    assert found["constant_fraction"] == 0.25
    assert found["distinct_fraction"] == pytest.approx((1 + 1 + 5 / 120 + 1 / 120) / 4)
    assert found["zero_fraction"] == pytest.approx((table().x == 0).mean())
    assert "categorical_fraction" not in compute(Dataset.from_arrays(table().x, table().y))


def test_the_scale_of_columns_does_not_matter():
    scaled = Dataset.from_arrays(table().x * [1e6, 1e-6, 1, 1], table().y)
    plain = Dataset.from_arrays(table().x, table().y)
    assert compute(scaled) == pytest.approx(compute(plain), rel=1e-6)


def test_codes_of_categories_are_not_quantities():
    codes = np.arange(200) % 10
    x, y = codes[:, None].astype(float), codes % 2
    as_number = compute(Dataset.from_arrays(x, y))
    as_category = compute(Dataset.from_arrays(x, y, is_categorical=[True]))
    assert as_category["landmark_linear"] == 1.0
    assert as_number["landmark_linear"] < 0.3


def test_regression_has_a_skew_and_r2():
    found = compute(table(regression=True))
    assert found["regression"] == 1.0
    assert 0.5 < found["landmark_linear"] <= 1.0
    skewed = Dataset.from_arrays(table().x, np.exp(3 * table().x[:, 0]))
    assert compute(skewed)["target_skew"] > 2 > abs(found["target_skew"])


@pytest.mark.parametrize("dataset", [images(), texts(), table(), table(regression=True)])
def test_the_same_generator_gives_the_same_numbers(dataset):
    assert compute(dataset, seed=4) == compute(dataset, seed=4)


def test_the_draw_of_rows_is_the_generators_and_large_data_is_sampled():
    rng = np.random.default_rng(5)
    large = Dataset.from_arrays(rng.standard_normal((3000, 3)), np.arange(3000) % 2)
    first, second = (compute(large, seed=seed, seconds=0.0) for seed in (0, 1))
    assert first["value_skew"] != second["value_skew"]
    assert first["n_train"] == second["n_train"] == 3000


def test_words_are_hashed_alike_in_every_process():
    # Python's own hash() of a string differs from process to process.
    words = [f"word{i}" for i in range(1200)]
    lines = np.array([" ".join(words[i : i + 30]) for i in range(0, 1200, 30)])
    found = compute(Dataset.from_arrays(lines, np.arange(40) % 2))
    used = {zlib.crc32(word.encode()) % 1024 for word in words}
    assert found["constant_fraction"] == pytest.approx(1 - len(used) / 1024)


class Clock:
    """Advances by one second each time it is read."""

    def __init__(self):
        self.now = -1.0

    def __call__(self):
        self.now += 1.0
        return self.now


def test_groups_beyond_the_budget_are_left_out_and_the_others_unchanged():
    everything = compute(images())
    assert not OPTIONAL & set(compute(images(), seconds=0.0, clock=Clock()))
    some = compute(images(), seconds=3.0, clock=Clock())
    assert set(some) & OPTIONAL == {"landmark_nearest", "landmark_linear"}
    assert some == {name: everything[name] for name in some}
    assert compute(images(), seconds=100.0, clock=Clock()) == everything


@pytest.mark.parametrize(
    "dataset",
    [
        Dataset.from_arrays(np.zeros((2, 1, 1), np.uint8), np.array([0, 1])),
        Dataset.from_arrays(np.full((5, 4, 4), 0.5), np.array([0, 1, 0, 1, 1])),
        Dataset.from_arrays(np.array(["", "..."]), np.array(["a", "b"])),
        Dataset.from_arrays(np.array(["\ud800 x", "日本語", "y"]), np.array([1, 2, 2])),
        Dataset.from_arrays(np.full((3, 2), np.nan), np.array([0, 1, 1])),
        Dataset.from_arrays(
            np.full((3, 2), np.nan), np.array([0, 1, 1]), is_categorical=[True, True]
        ),
        Dataset.from_arrays(np.array([[1.0]]), np.array([2.0])),
        Dataset.from_arrays(np.ones((6, 2)), np.full(6, 3.0)),
        Dataset.from_arrays(np.full((4, 2), 1e300), np.arange(4.0)),
        Dataset.from_arrays(np.array([[1e-300], [2e-300], [0], [0]]), np.arange(4) % 2),
        Dataset.from_arrays(np.arange(4.0)[:, None], np.array([0.0, 1e300, -1e300, 5.0])),
    ],
)
def test_degenerate_data_gives_finite_numbers_without_warnings(dataset):
    with np.errstate(all="raise", under="ignore"):
        found = compute(dataset)
    assert found["n_train"] == len(dataset.y)
    assert np.isfinite(list(found.values())).all()

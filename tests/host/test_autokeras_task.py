"""The task of an AutoKeras project: its name and its metafeatures."""

import autokeras as ak
import numpy as np
import pytest
from autokeras_projects import MODELS, NoTuner, prepared, rows, targets

from meta_nni.adapters.autokeras_task import describe, task_name

pytestmark = pytest.mark.host


@pytest.mark.parametrize(("kind", "target"), MODELS)
def test_each_kind_is_described(kind, target):
    x, y = rows(kind), targets(target)
    features = describe(prepared(MODELS[kind, target](tuner=NoTuner), x, y), x, y)
    assert features["n_train"] == 60
    assert features[f"kind_{kind}"] == 1
    assert features["regression"] == (target == "regression")
    assert features.get("n_classes") == (3 if target == "classification" else None)


def test_a_table_of_texts_has_categories():
    x = np.array([[f"{i / 7}", "abc"[i % 3]] for i in range(60)])
    y = np.array(["yes", "no"])[np.arange(60) % 2]
    features = describe(prepared(ak.StructuredDataClassifier(tuner=NoTuner), x, y), x, y)
    assert features["categorical_fraction"] == 0.5
    assert features["n_classes"] == 2


@pytest.mark.parametrize("multi_label", [False, True])
def test_targets_of_several_columns_are_counted_by_row(multi_label):
    x, y = rows("tabular"), np.eye(3, dtype=int)[targets("classification")]
    model = ak.StructuredDataClassifier(tuner=NoTuner, multi_label=multi_label)
    assert describe(prepared(model, x, y), x, y)["n_classes"] == 3


def test_the_first_input_and_head_are_described():
    image, table = ak.ImageInput(), ak.StructuredDataInput()
    merged = ak.Merge()([ak.ConvBlock()(image), ak.DenseBlock()(table)])
    heads = [ak.RegressionHead()(merged), ak.ClassificationHead()(merged)]
    model = ak.AutoModel([image, table], heads, tuner=NoTuner)
    x, y = [rows("image"), rows("tabular")], [targets("regression"), targets("classification")]
    features = describe(prepared(model, x, y), x, y)
    assert (features["kind_image"], features["regression"]) == (1, 1)


def test_data_that_cannot_be_read_are_searched_without(caplog):
    x, y = rows("image")[..., None].repeat(9, axis=-1), targets("classification")
    assert describe(prepared(ak.ImageClassifier(tuner=NoTuner), x, y), x, y) == {}
    assert "searching without metafeatures" in caplog.text


def test_a_name_is_the_projects_with_a_mark_of_the_data():
    x, y = rows("text"), targets("classification")
    name = task_name("reviews", x, y)
    assert name.startswith("reviews-")
    assert name == task_name("reviews", x.copy(), y.copy())
    assert name != task_name("reviews", x, y[::-1])
    assert name != task_name("reviews", (x, x), y)

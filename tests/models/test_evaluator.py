import subprocess
import sys
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest

from meta_nni.models import KerasEvaluator, training
from meta_nni.trial import Result


@pytest.fixture
def table(tmp_path):
    np.savez(tmp_path / "table.npz", x_train=np.zeros((20, 3)), y_train=np.arange(20) % 2)
    return {"npz": tmp_path / "table.npz"}


def test_importing_the_models_loads_no_tensorflow():
    code = (
        "import sys, meta_nni.models; "
        "sys.exit(bool({'tensorflow', 'keras', 'autokeras', 'sklearn'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_unknown_space_is_named(table):
    with pytest.raises(ValueError, match=r"space is 'resnets', expected one of .*cnn_small"):
        KerasEvaluator("resnets", table)({})


def test_data_of_another_kind_gets_the_space_that_fits(table):
    expected = (
        r"space 'cnn_small' is for image classification and regression, the data is "
        r"tabular classification; use one of \['mlp', 'autokeras_tabular'\]"
    )
    with pytest.raises(ValueError, match=expected):
        KerasEvaluator("cnn_small", table)({})


def test_a_target_of_another_kind_gets_the_space_that_fits(table):
    with pytest.raises(ValueError, match=r"use one of \['mlp', 'autokeras_tabular'\]"):
        KerasEvaluator("autokeras_tabular_regression", table)({})


def test_a_metric_of_another_target_gets_the_default(table):
    with pytest.raises(ValueError, match=r"'r2' measures regression, .* default is 'accuracy'"):
        KerasEvaluator("autokeras_tabular", table, metric="r2").measured  # noqa: B018


@pytest.mark.parametrize(("metric", "name"), [(None, "accuracy"), ("f1_macro", "f1")])
def test_the_value_is_the_metric_asked_for(table, metric, name):
    assert KerasEvaluator("autokeras_tabular", table, metric=metric).measured.name == name


@pytest.mark.parametrize("name", ["epochs", "patience", "batch_size"])
def test_settings_below_one_are_refused(table, name):
    with pytest.raises(ValueError, match=f"{name} is 0, expected 1 or more"):
        KerasEvaluator("autokeras_tabular", table, **{name: 0})({})


def test_an_export_that_fails_leaves_the_earlier_file(table, monkeypatch, tmp_path):
    class Model:
        def save(self, file):
            file.write_text("a part")
            raise OSError("No space left on device")

    module = ModuleType("meta_nni.models.standalone")
    module.standalone = lambda candidate, problem: Model()
    monkeypatch.setitem(sys.modules, module.__name__, module)
    evaluator, folder = KerasEvaluator("mlp", table), tmp_path / "out"
    monkeypatch.setattr(evaluator, "_evaluate", lambda config, report: (Result(0.5), Model()))
    folder.mkdir()
    (folder / "m.keras").write_text("whole")
    with pytest.raises(OSError, match="No space left"):
        evaluator.export({}, folder / "m.keras")
    assert [path.name for path in folder.iterdir()] == ["m.keras"]
    assert (folder / "m.keras").read_text() == "whole"


@pytest.mark.parametrize(
    ("target", "given", "expected"),
    [("detection", None, 9), ("detection", 4, 4), ("classification", None, 3)],
)
def test_detection_is_not_stopped_while_its_rate_rises(table, monkeypatch, target, given, expected):
    budgets = []

    def fit(candidate, metric, budget, *rest):
        budgets.append(budget)
        raise training.Failure("stopped")

    monkeypatch.setattr(training, "fit", fit)
    evaluator = KerasEvaluator("mlp", table, epochs=9, patience=given)
    monkeypatch.setattr(evaluator, "_problem", replace(evaluator.problem, target=target))
    monkeypatch.setattr(evaluator, "_builder", lambda: lambda *given: None)
    assert evaluator({}).reason == "stopped"
    assert budgets[0].patience == expected

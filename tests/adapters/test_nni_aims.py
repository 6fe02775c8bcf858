import subprocess
import sys

import numpy as np
import pytest

from meta_nni.adapters.nni_aims import AimError, counter, read_aims, read_space_name
from meta_nni.cli.spaces import shipped_spaces

LIMITS = {"limits": {"parameters": 5000}}


def read(limits=None, objectives=None, controller="meta"):
    given = {"limits": limits, "objectives": objectives, "controller": controller}
    return read_aims(given, "maximize")


def test_what_is_given_is_kept_with_the_run():
    assert read() == {}
    both = read({"parameters": 5000}, ["value", "seconds"])
    assert both == {"limits": {"parameters": 5000}, "objectives": ["value", "seconds"]}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"limits": {"parameters": "few"}}, "the limit of parameters is 'few', expected"),
        ({"objectives": ["value", "own"]}, "the direction of the objective 'own' is not known"),
        ({"limits": {"seconds": 5}, "controller": "random"}, "heeded by the controller 'meta'"),
    ],
)
def test_what_nothing_heeds_is_refused(arguments, expected):
    with pytest.raises(AimError, match=expected):
        read(**arguments)


def test_the_space_is_named_with_settings_of_its_models():
    assert read_space_name(None) is None
    assert read_space_name("cnn_small") == ("cnn_small", {})
    assert read_space_name({"nasbench201": {"width": 8}}) == ("nasbench201", {"width": 8})
    for wrong in ("resnets", ["cnn_small"], {"cnn_small": 3}):
        with pytest.raises(AimError, match="expected the name of a shipped search space"):
            read_space_name(wrong)


def test_nothing_is_counted_without_data_a_limit_or_a_space():
    space, data = shipped_spaces()["cnn_small"], {"npz": "train.npz"}
    assert counter(None, space, None, LIMITS) is None
    assert counter(None, space, data, {"limits": {"seconds": 5}}) is None
    assert counter(None, shipped_spaces()["nasbench201"], data, {}) is None
    assert counter(None, space, data, LIMITS) is not None


@pytest.mark.host
def test_the_model_is_built_and_its_parameters_counted(tmp_path):
    np.savez(
        tmp_path / "images.npz",
        x_train=np.zeros((40, 8, 8), np.uint8),
        y_train=np.arange(40) % 4,
    )
    space = shipped_spaces()["cnn_small"]
    count = counter(None, space, {"npz": str(tmp_path / "images.npz")}, LIMITS)
    config = {
        **{"block": {"_name": "plain"}, "kernel_size": 3, "stages": 1, "blocks_per_stage": 1},
        **{"filters": 6, "filter_growth": 1.0, "batch_norm": False, "dropout": 0.0},
        **{"head": {"_name": "global_average"}, "optimizer": "adam", "learning_rate": 0.01},
        "batch_size": 16,
    }
    stem, block, dense = 9 * 6 + 6, 9 * 6 * 6 + 6, 6 * 4 + 4
    assert count(config) == stem + block + dense


def test_parameters_are_counted_on_the_rows_that_trials_take(monkeypatch):
    made = {}

    class Evaluator:
        def __init__(self, space, data, **settings):
            made.update(settings)

        def count_parameters(self, config):
            return 1.0

    monkeypatch.setattr("meta_nni.models.KerasEvaluator", Evaluator)
    named = read_space_name({"nasbench201": {"samples": 1000, "width": 8}})
    assert counter(named, shipped_spaces()["nasbench201"], {"npz": "a"}, LIMITS)({}) == 1.0
    assert made == {"samples": 1000, "model": {"width": 8}}


def test_no_tensorflow_is_loaded_before_something_is_counted():
    code = (
        "import sys; from meta_nni.adapters.nni_aims import counter; "
        "from meta_nni.cli.spaces import shipped_spaces; "
        "counter(None, shipped_spaces()['cnn_small'], {'npz': 'a'}, {'limits': {'parameters': 1}});"
        "sys.exit('tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

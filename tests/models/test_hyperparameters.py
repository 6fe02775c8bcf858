import pytest

from meta_nni.models import to_hyperparameters


def test_branches_become_the_values_that_autokeras_knows():
    config = {
        "block_type": {
            "_name": "vanilla",
            "num_blocks": {"_name": "2", "filters_1_0": 16, "num_layers": {"_name": "1"}},
        },
        "augment": {"_name": "true", "translation_factor": 0.1},
        "normalize": False,
        "learning_rate": 1e-5,
    }
    assert to_hyperparameters(config) == {
        "block_type": "vanilla",
        "num_blocks": 2,
        "filters_1_0": 16,
        "num_layers": 1,
        "augment": True,
        "translation_factor": 0.1,
        "normalize": False,
        "learning_rate": 1e-5,
    }


def test_a_name_that_occurs_twice_is_an_error():
    with pytest.raises(ValueError, match='"units" occurs twice'):
        to_hyperparameters({"units": 1, "block": {"_name": "dense", "units": 2}})

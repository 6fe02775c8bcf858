"""Nesting AutoKeras's values, the way back of `to_hyperparameters`; no AutoKeras needed."""

import json
from pathlib import Path

import pytest

from meta_nni.models.hyperparameters import branch_name, from_hyperparameters, to_hyperparameters
from meta_nni.space import SearchSpace

FOLDER = Path(__file__).parents[2] / "search_spaces"


@pytest.mark.parametrize("file", sorted(FOLDER.glob("autokeras_*.json")), ids=lambda f: f.stem)
def test_every_config_comes_back(file, rng):
    spec = json.loads(file.read_text())
    space = SearchSpace.from_nni(spec)
    for _ in range(50):
        config = space.sample(rng)
        values = to_hyperparameters(config)
        assert from_hyperparameters(values, spec) == config
        assert from_hyperparameters({**values, "not searched": 1}, spec) == config


@pytest.mark.parametrize("value", ["vanilla", True, False, 3, 0.5, "3", "true"])
def test_a_branch_is_named_by_its_value_and_gives_it_back(value):
    back = to_hyperparameters({"a": {"_name": branch_name(value)}})["a"]
    assert back == value
    assert type(back) is type(value)


def test_wrong_values_are_named():
    spec = {
        "rate": {"_type": "choice", "_value": [0.1]},
        "layers": {"_type": "choice", "_value": [{"_name": "1"}, {"_name": "2"}]},
    }
    with pytest.raises(ValueError, match='"rate" has no value'):
        from_hyperparameters({"layers": 1}, spec)
    with pytest.raises(ValueError, match=r"\"layers\" is 3, expected one of \['1', '2'\]"):
        from_hyperparameters({"rate": 0.1, "layers": 3}, spec)

import json
from pathlib import Path

import pytest

from meta_nni.space import SearchSpace

FOLDER = Path(__file__).parents[2] / "search_spaces"
FILES = {path.stem: path.read_text() for path in FOLDER.glob("*.json")}
KINDS = ("image", "text", "tabular")

# Distinct effective configs, counted by building every branch with AutoKeras 3.0.0.
SIZES = {"autokeras_text": 30_312_062_494_560, "autokeras_tabular": 258_552}


def names_of(config):
    for name, value in config.items():
        if name != "_name":
            yield name
            if isinstance(value, dict):
                yield from names_of(value)


@pytest.mark.parametrize("name", FILES)
def test_every_space_reads_back_and_gives_each_name_once_per_config(name, rng):
    space = SearchSpace.from_nni(json.loads(FILES[name]))
    assert space.to_nni() == json.loads(FILES[name])
    for _ in range(20):
        config = space.sample(rng)
        space.validate(config)
        names = list(names_of(config))
        assert len(names) == len(set(names))


@pytest.mark.parametrize("name", SIZES)
def test_there_are_as_many_configs_as_models(name):
    assert SearchSpace.from_nni(json.loads(FILES[name])).size == SIZES[name]


@pytest.mark.parametrize("kind", KINDS)
def test_regression_differs_in_the_head_only(kind):
    classification = json.loads(
        FILES[f"autokeras_{kind}"].replace("classification_", "regression_")
    )
    classification.pop("regression_head_1/spatial_reduction_1/reduction_type", None)
    assert json.loads(FILES[f"autokeras_{kind}_regression"]) == classification


def test_the_small_space_is_small_and_nested_once():
    space = SearchSpace.from_nni(json.loads(FILES["cnn_small"]))
    assert 8 <= len(space.parameters) <= 14
    assert {len(parameter.path) for parameter in space.parameters} == {1, 3}


@pytest.mark.parametrize("name", FILES)
def test_the_table_lists_every_space(name):
    assert f"| `{name}` |" in (FOLDER / "README.md").read_text()

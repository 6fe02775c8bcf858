"""NNI's tuner on cells: none is tried under two names."""

import json
from pathlib import Path

import nni
import pytest

from meta_nni.adapters.nni_tuner import MetaTuner
from meta_nni.models.cells.canonical import IDENTITY
from meta_nni.space import SearchSpace

FOLDER = Path(__file__).parents[2] / "search_spaces"


def test_a_tuner_proposes_every_cell_once(tmp_path):
    spec = json.loads((FOLDER / "nasbench201.json").read_text())
    for decision in spec.values():
        decision["_value"] = ["none", "avg_pool_3x3"]
    tuner = MetaTuner(str(tmp_path / "e.db"), knowledge="none", controller="random", seed=0)
    tuner.update_search_space(spec)
    identity = IDENTITY["nasbench201"]
    different = {identity(config) for config in SearchSpace.from_nni(spec).configs()}
    proposed = [tuner.generate_parameters(number) for number in range(len(different))]
    assert {identity(config) for config in proposed} == different
    with pytest.raises(nni.NoMoreTrialError):
        tuner.generate_parameters(len(different))

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from meta_nni.cli.arguments import CommandError
from meta_nni.cli.spaces import named_space, shipped_spaces, spaces_of
from meta_nni.space import SearchSpace


@pytest.mark.parametrize("name", sorted(shipped_spaces()))
def test_a_shipped_space_is_found_again(name: str, rng: np.random.Generator) -> None:
    space = named_space(name)
    assert spaces_of(space, space.sample(rng))[0] == name


def test_a_narrowed_space_is_still_the_one(rng: np.random.Generator) -> None:
    spec = shipped_spaces()["cnn_small"].to_nni()
    spec["filters"]["_value"] = [8]
    space = SearchSpace.from_nni(spec)
    assert spaces_of(space, space.sample(rng)) == ["cnn_small"]


def test_another_space_is_none() -> None:
    space = SearchSpace.from_nni({"x": {"_type": "choice", "_value": [1]}})
    assert spaces_of(space, {"x": 1}) == []


def test_a_file_goes_without_its_ending(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    spec = {"x": {"_type": "choice", "_value": [1, 2]}}
    Path("mine").write_text(json.dumps(spec))
    assert named_space("mine") == SearchSpace.from_nni(spec)


def test_an_unknown_name_is_answered_with_known_ones() -> None:
    with pytest.raises(CommandError, match="expected 'autokeras_image'"):
        named_space("autokeras_imag")
    with pytest.raises(CommandError, match="expected one of \\['autokeras_image'"):
        named_space("zzz")

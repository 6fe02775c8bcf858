"""Drawings of cells name what the config says, and nothing else."""

import json
import re
from pathlib import Path

import pytest

from meta_nni.models.cells.drawing import draw_cell
from meta_nni.models.cells.topology import darts_cells
from meta_nni.space import SearchSpace

pytest.importorskip("networkx")
pytest.importorskip("matplotlib")

SPACE = Path(__file__).parents[2] / "search_spaces/darts_cell.json"


def texts(path):
    """What matplotlib wrote, which it leaves as comments beside the outlines of letters."""
    return [text.strip() for text in re.findall(r"<!--(.*?)-->", path.read_text("utf-8"))]


def test_a_nasbench_cell_names_its_operations(tmp_path):
    config = dict.fromkeys(("edge_0_1", "edge_0_2", "edge_1_2", "edge_0_3"), "none")
    config |= {"edge_1_3": "nor_conv_3x3", "edge_2_3": "skip_connect", "edge_0_1": "avg_pool_3x3"}
    draw_cell(config, "nasbench201", tmp_path / "cell.svg")
    drawn = texts(tmp_path / "cell.svg")
    assert sorted(drawn) == sorted(
        ["input", "1", "2", "output", "nor_conv_3x3", "skip_connect", "avg_pool_3x3"]
    )


def test_both_cells_of_a_darts_config_are_drawn(tmp_path, rng):
    config = SearchSpace.from_nni(json.loads(SPACE.read_text())).sample(rng)
    draw_cell(config, "darts_cell", tmp_path / "cell.svg")
    drawn = texts(tmp_path / "cell.svg")
    for cell, edges in darts_cells(config).items():
        assert f"{cell} cell" in drawn
        assert all(edge.operation in drawn or edge.operation == "none" for edge in edges)
    named = [text for text in drawn if "_" in text and "$" not in text]
    pairs = darts_cells(config).values()
    assert sorted(named) == sorted(e.operation for cell in pairs for e in cell if e[2] != "none")
    draw_cell(config, "darts_cell", tmp_path / "cell.png")
    assert (tmp_path / "cell.png").read_bytes().startswith(b"\x89PNG")


def test_an_unknown_space_is_named(tmp_path):
    with pytest.raises(ValueError, match="the space is 'cnn_small', expected 'nasbench201' or"):
        draw_cell({}, "cnn_small", tmp_path / "cell.svg")
    assert not (tmp_path / "cell.svg").exists()

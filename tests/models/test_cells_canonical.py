"""Isomorphic cells are one candidate: hand-made pairs, published counts, searches."""

import itertools
import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meta_nni.controllers import make
from meta_nni.models.cells.canonical import (
    CANONICAL,
    IDENTITY,
    canonical_darts,
    canonical_nasbench201,
    darts_identity,
    merge_isomorphic,
    nasbench201_identity,
    published_identity,
)
from meta_nni.models.cells.topology import (
    DARTS_NODES,
    NASBENCH201_EDGES,
    NASBENCH201_OPERATIONS,
    Edge,
    darts_cells,
    darts_config,
    nasbench201_cell,
    nasbench201_config,
)
from meta_nni.search import Search, SpaceExhausted
from meta_nni.space import SearchSpace
from meta_nni.task import Task
from meta_nni.trial import Result, Run

FOLDER = Path(__file__).parents[2] / "search_spaces"
SPACES = {
    name: SearchSpace.from_nni(json.loads((FOLDER / f"{name}.json").read_text()))
    for name in CANONICAL
}
PLAIN = [(0, "sep_conv_3x3"), (1, "skip_connect")]


def nasbench(*edges):
    return nasbench201_config(Edge(*edge) for edge in edges)


def darts(*nodes, reduction=(PLAIN,) * 4):
    """A config whose normal cell has these (source, operation) pairs for nodes 2, 3, ..."""
    cells = {"normal": nodes, "reduction": reduction}
    return darts_config(
        {
            cell: [
                Edge(s, t, op) for t, own in zip(DARTS_NODES, rows, strict=True) for s, op in own
            ]
            for cell, rows in cells.items()
        }
    )


def relabelled(config, order):
    """The same cells, nodes 2 to 5 numbered by `order`; None if an edge would run backwards."""
    numbers = {0: 0, 1: 1} | dict(zip(DARTS_NODES, order, strict=True))
    cells = {
        cell: [Edge(numbers[s], numbers[t], op) for s, t, op in edges]
        for cell, edges in darts_cells(config).items()
    }
    forward = all(s < t for edges in cells.values() for s, t, _ in edges)
    return darts_config(cells) if forward else None


@pytest.mark.parametrize("name", SPACES)
@settings(deadline=None)  # the first canonical form of NAS-Bench-201 writes down all cells
@given(seed=st.integers(0, 2**32 - 1))
def test_the_canonical_form_is_one_of_its_class_and_its_own_canonical_form(name, seed):
    space, canonical, identity = SPACES[name], CANONICAL[name], IDENTITY[name]
    config = space.sample(np.random.default_rng(seed))
    form = canonical(config)
    space.validate(form)
    assert identity(form) == identity(config)
    assert canonical(form) == form


CELLS = [
    nasbench(*((*ends, name) for ends, name in zip(NASBENCH201_EDGES, names, strict=True)))
    for names in itertools.product(NASBENCH201_OPERATIONS, repeat=len(NASBENCH201_EDGES))
]


def test_there_are_as_many_different_cells_as_published():
    assert len(CELLS) == SPACES["nasbench201"].size == 15_625
    assert len({published_identity(cell) for cell in CELLS}) == 6_466
    assert len({nasbench201_identity(cell) for cell in CELLS}) == 5_260


def output(config, weights, x=0.3):
    """What a cell computes: convolutions are functions of one number with a weight each."""
    nodes = [x, 0.0, 0.0, 0.0]
    for position, (source, target, operation) in enumerate(nasbench201_cell(config)):
        value = nodes[source]
        if operation == "avg_pool_3x3":
            nodes[target] += np.tanh(value) / 3.0  # some function without weights
        elif operation in ("nor_conv_1x1", "nor_conv_3x3"):
            # Of zero it is zero, as an operation on nothing is nothing.
            nodes[target] += value * (weights[position] + (operation == "nor_conv_3x3"))
        elif operation == "skip_connect":
            nodes[target] += value
    return nodes[3]


def reachable(one, other, rng):
    """Whether `other` computes what `one` does, with the same weights in some order."""
    weights = rng.uniform(0.2, 0.8, 6)
    wanted = output(one, weights)
    return any(
        np.isclose(output(other, weights[list(order)]), wanted, rtol=1e-9)
        for order in itertools.permutations(range(6))
    )


@pytest.mark.parametrize("number", range(20))
def test_cells_of_one_identity_are_one_network(number):
    rng = np.random.default_rng(number)
    cell = CELLS[rng.integers(len(CELLS))]
    form = canonical_nasbench201(cell)
    assert reachable(cell, form, rng)
    assert reachable(form, cell, rng)


def test_a_convolution_used_twice_is_not_two_convolutions():
    conv, skip = "nor_conv_3x3", "skip_connect"
    shared = nasbench((0, 1, conv), (1, 2, skip), (1, 3, skip), (2, 3, skip))
    apart = nasbench((0, 1, conv), (0, 2, conv), (1, 3, skip), (2, 3, skip))
    assert published_identity(shared) == published_identity(apart)  # which does not count them
    assert not reachable(apart, shared, np.random.default_rng(0))
    assert nasbench201_identity(shared) != nasbench201_identity(apart)
    assert list(canonical_nasbench201(apart).values()).count(conv) == 2


def test_only_what_computes_something_else_has_another_identity():
    """Among cells that differ in how often convolutions are used, and in nothing else."""
    texts = {}
    for cell in CELLS:
        text = re.sub(r"\.\d", "", nasbench201_identity(cell))
        texts.setdefault(text, {})[nasbench201_identity(cell)] = cell
    several = [list(own.values()) for own in texts.values() if len(own) > 1]
    assert len(texts) == 4_930
    rng = np.random.default_rng(0)
    for row in rng.choice(len(several), 6, replace=False):
        one, other = several[row][:2]
        assert not (reachable(one, other, rng) and reachable(other, one, rng))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(  # the convolution comes first on one path, last on the other
            [(0, 1, "nor_conv_3x3"), (1, 3, "skip_connect")],
            [(0, 1, "skip_connect"), (1, 3, "nor_conv_3x3")],
            id="a skip connection before or after",
        ),
        pytest.param(
            [(0, 1, "nor_conv_1x1"), (0, 3, "avg_pool_3x3"), (1, 3, "nor_conv_3x3")],
            [(0, 2, "nor_conv_1x1"), (0, 3, "avg_pool_3x3"), (2, 3, "nor_conv_3x3")],
            id="by node 1 or by node 2",
        ),
        pytest.param(
            [(0, 3, "nor_conv_3x3"), (1, 3, "nor_conv_1x1")],
            [(0, 3, "nor_conv_3x3"), (1, 3, "avg_pool_3x3")],
            id="an operation on nothing",
        ),
        pytest.param(
            [(0, 3, "skip_connect"), (0, 1, "nor_conv_3x3")],
            [(0, 3, "skip_connect"), (0, 2, "nor_conv_1x1")],
            id="an operation that leads nowhere",
        ),
        pytest.param(
            [
                (0, 1, "nor_conv_3x3"),
                (0, 2, "skip_connect"),
                (1, 2, "skip_connect"),
                (2, 3, "skip_connect"),
            ],
            [(0, 1, "nor_conv_3x3"), (0, 3, "skip_connect"), (1, 3, "skip_connect")],
            id="a sum at node 2 or at the output",
        ),
    ],
)
def test_isomorphic_nasbench_cells_have_one_form(one, other):
    assert nasbench201_identity(nasbench(*one)) == nasbench201_identity(nasbench(*other))
    assert canonical_nasbench201(nasbench(*one)) == canonical_nasbench201(nasbench(*other))


def test_different_nasbench_cells_stay_different():
    pooled_first = nasbench((0, 1, "avg_pool_3x3"), (1, 3, "nor_conv_3x3"))
    pooled_last = nasbench((0, 1, "nor_conv_3x3"), (1, 3, "avg_pool_3x3"))
    assert nasbench201_identity(pooled_first) != nasbench201_identity(pooled_last)


def test_the_form_drops_convolutions_that_lead_nowhere():
    form = canonical_nasbench201(nasbench((0, 3, "skip_connect"), (0, 1, "nor_conv_3x3")))
    assert form == nasbench((0, 3, "skip_connect"))


def test_the_reference_text_of_a_cell():
    cell = nasbench((0, 1, "nor_conv_3x3"), (1, 2, "skip_connect"), (2, 3, "avg_pool_3x3"))
    assert published_identity(cell) == "#+#+(#+(0)@nor_conv_3x3)@avg_pool_3x3"
    assert nasbench201_identity(cell) == "((0)@nor_conv_3x3)@avg_pool_3x3"
    assert published_identity(nasbench()) == "#+#+#"


def test_the_order_of_two_independent_nodes_does_not_matter():
    a, b = [(0, "sep_conv_3x3"), (1, "max_pool_3x3")], [(0, "skip_connect"), (1, "sep_conv_5x5")]
    last = [(2, "dil_conv_3x3"), (3, "avg_pool_3x3")]
    turned = [(3, "dil_conv_3x3"), (2, "avg_pool_3x3")]
    one, other = darts(a, b, last, PLAIN), darts(b, a, turned, PLAIN)
    assert one != other
    assert darts_identity(one) == darts_identity(other)
    assert canonical_darts(one) == canonical_darts(other)
    assert darts_identity(darts(b, a, last, PLAIN)) != darts_identity(one)


def test_what_a_missing_edge_reads_does_not_matter():
    one = darts(PLAIN, PLAIN, [(0, "skip_connect"), (1, "none")], PLAIN)
    other = darts(PLAIN, PLAIN, [(0, "skip_connect"), (3, "none")], PLAIN)
    assert canonical_darts(one) == canonical_darts(other)
    by_the_other_input = darts(PLAIN, PLAIN, [(0, "none"), (1, "skip_connect")], PLAIN)
    assert darts_identity(by_the_other_input) != darts_identity(one)


def test_an_edge_from_a_node_without_inputs_is_missing():
    nothing = [(0, "none"), (1, "none")]
    one = darts(nothing, PLAIN, [(2, "sep_conv_3x3"), (3, "skip_connect")], PLAIN)
    other = darts(nothing, PLAIN, [(2, "none"), (3, "skip_connect")], PLAIN)
    assert darts_identity(one) == darts_identity(other)


def test_the_two_cells_and_the_two_inputs_are_not_exchanged():
    turned = [(0, "skip_connect"), (1, "sep_conv_3x3")]
    rows = (PLAIN, PLAIN, PLAIN, turned)
    one = darts(*rows)
    assert darts_identity(one) != darts_identity(darts(*(PLAIN,) * 4, reduction=rows))
    assert darts_identity(one) != darts_identity(darts(turned, turned, turned, PLAIN))


@given(seed=st.integers(0, 2**32 - 1))
def test_every_numbering_of_nodes_has_the_same_form(seed):
    config = SPACES["darts_cell"].sample(np.random.default_rng(seed))
    numberings = (relabelled(config, order) for order in itertools.permutations(DARTS_NODES))
    same = [other for other in numberings if other is not None]
    assert config in same
    assert {darts_identity(other) for other in same} == {darts_identity(config)}


@pytest.mark.parametrize("name", SPACES)
def test_configs_and_edges_say_the_same(name, rng):
    for _ in range(50):
        config = SPACES[name].sample(rng)
        if name == "nasbench201":
            assert nasbench201_config(nasbench201_cell(config)) == config
        else:
            assert darts_config(darts_cells(config)) == config


def test_a_value_that_is_none_of_the_spaces_is_named():
    with pytest.raises(ValueError, match=r'"edge_0_1" is None, expected one of .*skip_connect'):
        canonical_nasbench201({})
    config = darts(PLAIN, PLAIN, PLAIN, PLAIN) | {"normal_node_3_inputs": "0,3"}
    with pytest.raises(ValueError, match=r"\"normal_node_3_inputs\" is '0,3', expected one of"):
        canonical_darts(config)
    with pytest.raises(ValueError, match=r"node 2 of the normal cell reads \[0, 0\]"):
        darts([(0, "none"), (0, "none")], PLAIN, PLAIN, PLAIN)


def test_spaces_are_known_by_their_decisions():
    other = SearchSpace.from_nni({"edge_0_1": {"_type": "choice", "_value": ["none"]}})
    assert merge_isomorphic(other) is other
    renamed = SPACES["nasbench201"].to_nni()
    renamed["edge_0_1"]["_value"][0] = "zero"
    renamed = SearchSpace.from_nni(renamed)
    assert merge_isomorphic(renamed) is renamed
    for space in SPACES.values():
        assert merge_isomorphic(space) == space
        assert merge_isomorphic(space) is not space


@pytest.mark.parametrize("controller", ["random", "evolution", "meta"])
def test_a_search_proposes_each_cell_once_also_after_a_restart(store, controller):
    spec = {
        f"edge_{s}_{t}": {"_type": "choice", "_value": ["none", "nor_conv_3x3"]}
        for s, t in NASBENCH201_EDGES
    }
    space = merge_isomorphic(SearchSpace.from_nni(spec))
    different = {nasbench201_identity(config) for config in space.configs()}
    assert len(different) < space.size == 64
    run = Run("r", Task("t", "maximize"), space)
    proposed = []
    for ids in (range(20), range(20, 64)):
        search = Search.open(store, run, make(controller), seed=0, knowledge="none")
        try:
            for number in ids:
                [suggestion] = search.ask([str(number)])
                proposed.append(nasbench201_identity(suggestion.config))
                search.tell(str(number), Result(float(number % 7)))
        except SpaceExhausted:
            break
        search.close()
    assert sorted(proposed) == sorted(different)

"""The benchmark's tables: search spaces whose every config has a measured value.

A table answers for any config of its space. Where it does not hold the very config it
answers with the nearest row: a cell or network that the table's authors call isomorphic, else
the row with the fewest differing decisions, or, among those that have not answered yet, the
smallest Euclidean distance between numbers scaled to [0, 1].
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from meta_nni.space import SearchSpace
from meta_nni.trial import Config

__all__ = ["TABLES", "Table", "load"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Table:
    """A space with measured tasks.

    Attributes:
        name: Of the table.
        space: Its search space.
        configs: One config a row, N in all, no two the same candidate.
        x: Numeric rows for methods that want a matrix, float64 (N, D).
        values: By task, what a search is told, higher is better, (N,).
        tests: By task, what the found row is worth on test data, (N,); may be `values`.
        row: The row that answers for a config, given the rows that have answered so far.
    """

    name: str
    space: SearchSpace
    configs: list[Config]
    x: Floats
    values: Mapping[str, Floats]
    tests: Mapping[str, Floats]
    row: Callable[..., int]


def load(name: str, folder: Path) -> Table:
    """Loads a table.

    Args:
        name: One of `TABLES`.
        folder: Holds `<name>.npz`.

    Raises:
        FileNotFoundError: if the folder lacks the file.
    """
    with np.load(folder / f"{name}.npz") as arrays:
        return TABLES[name](dict(arrays))


def _one_hot(indices: npt.NDArray[Any], count: int) -> Floats:
    return np.asarray(indices[:, None] == np.arange(count), float)


def _nasbench201(arrays: Mapping[str, npt.NDArray[Any]]) -> Table:
    ops, names = arrays["ops"], [str(op) for op in arrays["op_names"]]
    edges = [str(edge) for edge in arrays["edge_names"]]
    rows = np.unique(arrays["iso_rep"])  # one of each class of isomorphic cells
    place = {int(cell): row for row, cell in enumerate(rows)}
    every = {
        tuple(map(int, own)): int(rep) for own, rep in zip(ops, arrays["iso_rep"], strict=True)
    }
    index = {name: i for i, name in enumerate(names)}

    def row(config: Config, taken: Collection[int] = ()) -> int:
        return place[every[tuple(index[config[edge]] for edge in edges)]]

    spec = {edge: {"_type": "choice", "_value": names} for edge in edges}
    configs = [dict(zip(edges, (names[op] for op in own), strict=True)) for own in ops[rows]]
    x = np.concatenate([_one_hot(column, len(names)) for column in ops[rows].T], axis=1)
    values = {
        task: arrays[task][rows].astype(float)
        for task in ("c10_test_200", "c100_test_200", "in16_test_200")
    }
    return Table("nasbench201", SearchSpace.from_nni(spec), configs, x, values, values, row)


def _nasbench_graph(arrays: Mapping[str, npt.NDArray[Any]]) -> Table:
    names, links = [str(op) for op in arrays["op_names"]], arrays["links"].tolist()
    shapes = ["".join(map(str, link)) for link in links]
    link_ids, ops = arrays["link_id"], arrays["ops"]
    skip = names.index("skip")
    place = {
        _contract(links[link], own, skip): row
        for row, (link, own) in enumerate(zip(link_ids, ops.tolist(), strict=True))
    }
    coded = np.concatenate([link_ids[:, None], ops], axis=1)

    def row(config: Config, taken: Collection[int] = ()) -> int:
        link = shapes.index(config["link"])
        own = [names.index(config[f"op{node}"]) for node in range(4)]
        found = place.get(_contract(links[link], own, skip))
        return int(np.argmin((coded != [link, *own]).sum(1))) if found is None else found

    spec = {
        "link": {"_type": "choice", "_value": shapes},
        **{f"op{node}": {"_type": "choice", "_value": names} for node in range(4)},
    }
    configs: list[Config] = [
        {"link": shapes[link], **{f"op{node}": names[op] for node, op in enumerate(own)}}
        for link, own in zip(link_ids, ops, strict=True)
    ]
    columns = [_one_hot(link_ids, len(shapes)), *(_one_hot(c, len(names)) for c in ops.T)]
    full = [str(task) for task in arrays["tasks"] if task != "proteins"]  # a fraction only
    values = {task: arrays[f"{task}_val"].astype(float) for task in full}
    tests = {task: arrays[f"{task}_test"].astype(float) for task in full}
    x = np.concatenate(columns, axis=1)
    return Table("nasbench_graph", SearchSpace.from_nni(spec), configs, x, values, tests, row)


def _contract(link: list[int], ops: list[int], skip: int) -> Any:
    """A canonical form: node n takes node link[n]; a skip is its input, order is nothing."""
    children: dict[int, list[int]] = defaultdict(list)
    for node, source in enumerate(link, start=1):
        children[source].append(node)

    def walk(node: int) -> tuple[int, tuple[Any, ...]]:
        """How often the network's output takes this node, and the nodes that follow it."""
        outputs = 0 if children[node] else 1
        following: list[Any] = []
        for child in children[node]:
            more, after = walk(child)
            if ops[child - 1] == skip:
                outputs, following = outputs + more, following + list(after)
            else:
                following.append((ops[child - 1], more, after))
        return outputs, tuple(sorted(following))

    return walk(0)


def _lcbench(arrays: Mapping[str, npt.NDArray[Any]]) -> Table:
    names = [str(name) for name in arrays["hp_names"]]
    raw = arrays["configs"].astype(float)
    spec: dict[str, Any] = {
        "batch_size": {"_type": "qloguniform", "_value": [16, 512, 1]},
        "learning_rate": {"_type": "loguniform", "_value": [1e-4, 0.1]},
        "max_dropout": {"_type": "uniform", "_value": [0.0, 1.0]},
        "max_units": {"_type": "qloguniform", "_value": [64, 1024, 1]},
        "momentum": {"_type": "uniform", "_value": [0.1, 0.99]},
        "num_layers": {"_type": "choice", "_value": [1, 2, 3, 4, 5]},
        "weight_decay": {"_type": "uniform", "_value": [1e-5, 0.1]},
    }
    whole = {"batch_size", "max_units", "num_layers"}
    configs: list[Config] = [
        {n: int(v) if n in whole else float(v) for n, v in zip(names, own, strict=True)}
        for own in raw
    ]
    logs = np.array([spec[name]["_type"].endswith("loguniform") for name in names])
    low, high = (np.array([spec[name]["_value"][i] for name in names], float) for i in (0, -1))
    low[names.index("num_layers")], high[names.index("num_layers")] = 1.0, 5.0
    for name in ("batch_size", "max_units"):
        high[names.index(name)] = spec[name]["_value"][1]

    def scaled(values: Floats) -> Floats:
        lo, hi, own = (_log_where(logs, each) for each in (low, high, values))
        return (own - lo) / (hi - lo)

    x = scaled(raw)

    def row(config: Config, taken: Collection[int] = ()) -> int:
        own = scaled(np.array([float(config[name]) for name in names]))
        squares = ((x - own) ** 2).sum(1)
        squares[list(taken)] = np.inf
        return int(np.argmin(squares))

    tasks = [str(task) for task in arrays["tasks"]]
    values = dict(zip(tasks, arrays["val_accuracy"][:, :, -1].astype(float), strict=True))
    tests = dict(zip(tasks, arrays["test_balanced_accuracy"][:, :, -1].astype(float), strict=True))
    space = SearchSpace.from_nni({name: spec[name] for name in names})
    return Table("lcbench_surrogate", space, configs, x, values, tests, row)


def _log_where(logs: npt.NDArray[np.bool_], values: Floats) -> Floats:
    """The logarithm of the columns that `logs` marks."""
    return np.where(logs, np.log(np.where(logs, np.maximum(values, 1e-12), 1.0)), values)


TABLES: dict[str, Callable[[Mapping[str, npt.NDArray[Any]]], Table]] = {
    "nasbench201": _nasbench201,
    "nasbench_graph": _nasbench_graph,
    "lcbench_surrogate": _lcbench,
}
"""How each table is read, by name."""

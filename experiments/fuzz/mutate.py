"""Damage and malice: bytes and JSON values, changed by a seeded generator."""

from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np

__all__ = ["NASTY", "damaged_bytes", "damaged_json", "damaged_text"]

NASTY: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    2**63,
    10**308,
    10**4000,
    1e308,
    -1e308,
    5e-324,
    -0.0,
    float("nan"),
    float("inf"),
    "",
    " ",
    "\x00",
    "\ud800",
    "\u202e",
    "_name",
    "'; DROP TABLE meta_nni_trial; --",
    '" OR ""="',
    "../../../../etc/passwd",
    "{0.__class__}%s%n",
    "__import__('os').system('true')",
    "x" * 100_000,
    [],
    {},
    [[]],
    {"_name": "x"},
    {"_type": "choice", "_value": []},
    {"_type": "uniform", "_value": [1e308, -1e308]},
    {"_type": "quniform", "_value": [0, 1e300, 5e-324]},
    {"_type": "randint", "_value": [-(10**300), 10**300]},
    [0] * 10_000,
)
"""Values that fit nowhere, or just so."""

_WORDS = (b"null", b"NaN", b"1e999", b"-", b'"', b"\\u0000", b"{", b"[" * 3_000, b"}", b",", b"\n")


def damaged_bytes(data: bytes, rng: np.random.Generator) -> bytes:
    """Returns the bytes with one to four slices changed, moved, doubled or cut off."""
    raw = bytearray(data)
    for _ in range(rng.integers(1, 5)):
        start = int(rng.integers(len(raw) + 1))
        stop = min(len(raw), start + int(rng.choice([0, 1, 2, 8, 64, 1024])))
        match int(rng.integers(6)):
            case 0:
                raw[start:stop] = rng.bytes(stop - start)
            case 1:
                raw[start:start] = rng.bytes(int(rng.integers(1, 64)))
            case 2:
                del raw[start:stop]
            case 3:
                raw[start:start] = raw[start:stop]
            case 4:
                raw[start:stop] = _WORDS[rng.integers(len(_WORDS))]
            case _ if rng.random() < 0.2:
                del raw[start:]
    return bytes(raw)


def damaged_text(data: bytes, rng: np.random.Generator) -> bytes:
    """Returns JSON Lines with one to three values of one line replaced; see `damaged_json`."""
    lines = data.splitlines()
    chosen = int(rng.integers(len(lines)))
    value = json.loads(lines[chosen])
    for _ in range(rng.integers(1, 4)):
        value = damaged_json(value, rng)
    lines[chosen] = json.dumps(value).encode()
    return b"\n".join(lines)


def damaged_json(value: Any, rng: np.random.Generator) -> Any:
    """Returns a JSON value with one inner value replaced, dropped, renamed, moved or nested."""
    value = copy.deepcopy(value)
    places = [(parent, key) for parent in _containers(value) for key in _keys(parent)]
    if not places:
        return _nasty(rng)
    parent, key = places[rng.integers(len(places))]
    match int(rng.integers(6)):
        case 0 | 1:
            parent[key] = _nasty(rng)
        case 2:
            del parent[key]
        case 3:
            other, there = places[rng.integers(len(places))]
            parent[key] = copy.deepcopy(other[there])
        case 4 if isinstance(parent, dict):
            name = _nasty(rng)
            parent[name if isinstance(name, str) else str(name)[:50]] = parent.pop(key)
        case _:
            for _ in range(int(rng.choice([1, 40, 70]))):
                parent[key] = [parent[key]] if rng.random() < 0.5 else {"x": parent[key]}
    return value


def _nasty(rng: np.random.Generator) -> Any:
    return copy.deepcopy(NASTY[rng.integers(len(NASTY))])


def _containers(value: Any) -> list[Any]:
    found, queue = [], [value]
    while queue:
        each = queue.pop()
        if isinstance(each, (dict, list)) and each:
            found.append(each)
            queue.extend(each.values() if isinstance(each, dict) else each)
    return found


def _keys(parent: Any) -> list[Any]:
    return list(parent) if isinstance(parent, dict) else list(range(len(parent)))

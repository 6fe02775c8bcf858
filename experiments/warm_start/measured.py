"""Results of configs on data sets, kept in a file: nothing is measured twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from experiments.warm_start.tasks import DataSet
from meta_nni.trial import Config, Result

__all__ = ["Measured"]


class Measured:
    """A file of one line per measurement.

    Args:
        file: The file; it and its folder are made when needed.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        rows = (row for line in lines if (row := _row(line)) is not None)
        self._known = {(row["data_set"], row["key"]): _result(row) for row in rows}

    def get(self, data_set: DataSet, config: Config) -> Result:
        """Returns what a config gives on a data set, measured if it was not before."""
        key = data_set.space.key(config)
        place = (data_set.name, key)
        if place not in self._known:
            result = data_set.measure(config)
            self._known[place] = result
            self._append(data_set.name, key, config, result)
        return self._known[place]

    def values(self, name: str) -> list[float]:
        """All values measured on a data set."""
        found = [result.value for (of, _), result in self._known.items() if of == name]
        return [value for value in found if value is not None]

    def _append(self, name: str, key: str, config: Config, result: Result) -> None:
        row = {
            "data_set": name,
            "key": key,
            "config": config,
            "value": result.value,
            "reason": result.reason,
            "seconds": result.seconds,
            "metrics": dict(result.metrics),
        }
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def _row(line: str) -> dict[str, Any] | None:
    """A line; None where a kill cut it off."""
    try:
        row: dict[str, Any] = json.loads(line)
    except json.JSONDecodeError:
        return None
    return row


def _result(row: dict[str, Any]) -> Result:
    return Result(row["value"], row["reason"], row["seconds"], metrics=row["metrics"])

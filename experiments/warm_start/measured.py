"""Results of configs on data sets, kept in a file: nothing is measured twice."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.transfer_benchmark import records
from experiments.warm_start.tasks import DataSet
from meta_nni.trial import Config, Result

__all__ = ["Measured"]


class Measured:
    """A file of one line per measurement.

    Args:
        file: The file; it and its folder are made when needed.
        settings: How configs are measured, see `tasks.Kind.settings`.

    Raises:
        SystemExit: The file holds measurements of other settings.
    """

    def __init__(self, file: Path, settings: Mapping[str, Any]) -> None:
        self._file, self._settings = file, settings
        self._read()

    def get(self, data_set: DataSet, config: Config) -> Result:
        """Returns what a config gives on a data set, measured if it was not before.

        Raises:
            ValueError: The file has another config by the same key.
        """
        place = (data_set.name, data_set.space.key(config))
        if place not in self._rows:
            self._read()  # another process may have measured it
        if place not in self._rows:
            self._rows[place] = self._append(*place, config, data_set.measure(config))
        row = self._rows[place]
        if row["config"] != config:
            raise ValueError(f"{self._file} has {row['config']} by the key of {config}")
        return Result(row["value"], row["reason"], row["seconds"], metrics=row["metrics"])

    def values(self, name: str) -> list[float]:
        """All values measured on a data set."""
        found = [row["value"] for (of, _), row in self._rows.items() if of == name]
        return [value for value in found if value is not None]

    def _read(self) -> None:
        rows = records.read_rows(self._file, lambda row: (row["data_set"], row["key"]))
        self._rows = dict(rows)
        records.refuse_others(self._file, self._rows.values(), self._settings)

    def _append(self, name: str, key: str, config: Config, result: Result) -> dict[str, Any]:
        row = {
            "data_set": name,
            "key": key,
            "config": config,
            "value": result.value,
            "reason": result.reason,
            "seconds": result.seconds,
            "metrics": dict(result.metrics),
            "settings": self._settings,
        }
        records.append_row(self._file, row)
        return row

"""A search space as a sequence of decisions, each among a few options.

An option is a choice's, a value of a small finite number, or one of 16 bins of the unit
interval. Axes of arrays: N configs, P parameters, F features of a parameter, K options.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt

from meta_nni.parameter import Parameter, canonical
from meta_nni.space import SearchSpace

__all__ = ["NUM_BINS", "Decisions"]

Rows = npt.NDArray[np.float32]
Codes = npt.NDArray[np.int64]

NUM_BINS = 16
"""Options of a number with more values than this, and of every infinite one."""


class Decisions:
    """The P parameters of a space in its order: parents are decided before children.

    Attributes:
        space: The space.
        counts: How many options each parameter has, int64 (P,).
        parents: Position of the choice that holds a parameter, -1 at the top, int64 (P,).
        branches: The option of that choice under which it is active, int64 (P,).
    """

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self._tables = [_table(parameter, space.num_features) for parameter in space.parameters]
        self.counts = np.array(
            [NUM_BINS if table is None else len(table[0]) for table in self._tables]
        )
        places = {parameter.path: i for i, parameter in enumerate(space.parameters)}
        self.parents = np.array([places.get(p.path[:-2], -1) for p in space.parameters])
        self.branches = np.array(
            [
                space.parameters[parent].index(p.path[-2]) or 0 if parent >= 0 else 0
                for p, parent in zip(space.parameters, self.parents, strict=True)
            ]
        )

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the space with the order of its parameters, on which arrays depend."""
        names = [parameter.path for parameter in self.space.parameters]
        return hashlib.sha256(canonical([self.space.fingerprint, names]).encode()).hexdigest()

    @property
    def num_options(self) -> int:
        """K: the largest number of options."""
        return int(self.counts.max())

    @property
    def allowed(self) -> npt.NDArray[np.bool_]:
        """Which of K options each parameter has, bool (P, K)."""
        return np.asarray(np.arange(self.num_options) < self.counts[:, None])

    @property
    def expected_active(self) -> float:
        """Parameters that are active on average where all options are equally likely."""
        shares = np.ones(len(self.counts))
        for i, parent in enumerate(self.parents):
            if parent >= 0:
                shares[i] = shares[parent] / self.counts[parent]
        return float(shares.sum())

    def active(self, codes: Codes, position: int) -> npt.NDArray[np.bool_]:
        """Whether the parameter at `position` is active, bool (N,).

        Args:
            codes: Options taken before `position`, -1 where inactive, (N, P).
            position: Of the parameter.
        """
        parent = self.parents[position]
        if parent < 0:
            return np.ones(len(codes), bool)
        return np.asarray(codes[:, parent] == self.branches[position])

    def codes(self, rows: Rows) -> Codes:
        """The options that encoded configs took.

        Args:
            rows: `SearchSpace.encode` of N configs, (N, P, F).

        Returns:
            int64 (N, P); -1 where a parameter is inactive.
        """
        codes = np.full(rows.shape[:2], -1, np.int64)
        for i, (parameter, table) in enumerate(
            zip(self.space.parameters, self._tables, strict=True)
        ):
            if parameter.type == "choice":
                taken = rows[:, i, 2:].argmax(1)
            elif table is None:
                taken = np.minimum((rows[:, i, 1] * NUM_BINS).astype(np.int64), NUM_BINS - 1)
            else:
                taken = np.abs(rows[:, i, 1, None] - table[1][:, 1]).argmin(1)
            codes[:, i] = np.where(rows[:, i, 0] > 0, taken, -1)
        return codes

    def draw(self, position: int, codes: Codes, rng: np.random.Generator) -> tuple[list[Any], Rows]:
        """Values of the taken options of one parameter; a number is uniform within its bin.

        Args:
            position: Of the parameter.
            codes: Options, (N,).
            rng: Source of randomness.

        Returns:
            N values of the parameter's domain, and their encoded rows (N, F).
        """
        table = self._tables[position]
        if table is not None:
            values, rows = table
            return [values[code] for code in codes], rows[codes]
        parameter = self.space.parameters[position]
        units = (codes + rng.random(len(codes))) / NUM_BINS
        drawn = [parameter.from_unit(float(unit)) for unit in units]
        encoded = np.zeros((len(codes), self.space.num_features), np.float32)
        encoded[:, 0] = 1.0
        encoded[:, 1] = [parameter.to_unit(value) for value in drawn]
        return drawn, encoded


def _table(parameter: Parameter, num_features: int) -> tuple[list[Any], Rows] | None:
    """Every value and its encoded row (K, F), or None where bins have to do."""
    size = parameter.size
    if parameter.type != "choice" and (size is None or size > NUM_BINS):
        return None
    values = list(parameter.values())
    rows = np.zeros((len(values), num_features), np.float32)
    rows[:, 0] = 1.0
    rows[:, 1] = [parameter.to_unit(value) for value in values]
    if parameter.type == "choice":
        rows[:, 2 : 2 + len(values)] = np.eye(len(values))
    return values, rows

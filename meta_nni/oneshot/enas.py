"""ENAS: a controller draws configs, all of which train and use the same weights.

Pham, Guan, Zoph, Le, Dean 2018, section 2.2: in turn, one pass over the training half with a
newly drawn config for each batch, and some steps of REINFORCE, whose reward is the accuracy
of drawn configs on a batch of the validation half. In the end the best of several draws is
the result.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from meta_nni.oneshot.engine import Score
from meta_nni.oneshot.sampler import Sampler
from meta_nni.oneshot.shared import SharedWeights
from meta_nni.oneshot.space import CellSpace

__all__ = ["Enas"]

_MOST_DRAWS = 20  # of the controller per config that is wanted and was not drawn before


class Enas:
    """The live part of an ENAS search, see `engine.Engine`.

    Attributes:
        sampler: The controller.
        stopped: None: it never stops by itself.
    """

    def __init__(
        self,
        cells: CellSpace,
        shared: SharedWeights,
        sampler: Sampler,
        *,
        steps: int,
        draws: int,
        candidates: int,
    ) -> None:
        """Starts a search.

        Args:
            cells: The space.
            shared: The supernet with its data.
            sampler: The controller, of the space's parameters.
            steps: Steps of the controller per epoch.
            draws: Configs per step of the controller.
            candidates: Configs of which the best is the result.
        """
        self.stopped: str | None = None
        self.sampler = sampler
        self._cells, self._shared = cells, shared
        self._steps, self._draws, self._candidates = steps, draws, candidates

    @property
    def variables(self) -> list[Any]:
        """See `Engine.variables`."""
        return [*self._shared.variables, *self.sampler.variables]

    @property
    def facts(self) -> dict[str, Any]:
        """See `Engine.facts`."""
        return {"baseline": self.sampler.baseline}

    @facts.setter
    def facts(self, facts: dict[str, Any]) -> None:
        self.sampler.baseline = facts["baseline"]

    def epoch(self, number: int, rate: float, rng: np.random.Generator) -> list[Score]:
        """See `Engine.epoch`."""
        self._shared.rate.assign(rate)
        batches = self._shared.batches("train", rng)
        for batch, codes in zip(batches, self.sampler.draw(len(batches), rng), strict=True):
            self._shared.step(batch, self._gates(codes))
        scores = []
        valid = itertools.cycle(self._shared.batches("valid", rng))
        for _, batch in zip(range(self._steps), valid, strict=False):
            codes = self.sampler.draw(self._draws, rng)
            rewards = np.array([self._shared.accuracy(batch, self._gates(row)) for row in codes])
            self.sampler.update(codes, rewards)
            scores += self._scores(codes, rewards, len(batch[1]))
        return scores + self._score([self.sampler.most_likely()])

    def finish(self, rng: np.random.Generator) -> list[Score]:
        """See `Engine.finish`: draws, scores them on all rows, the best comes last."""
        drawn = {tuple(self.sampler.most_likely())}
        for _ in range(_MOST_DRAWS):
            for codes in self.sampler.draw(self._candidates, rng):
                if len(drawn) < self._candidates:
                    drawn.add(tuple(codes))
        scores = self._score([np.array(codes) for codes in sorted(drawn)])
        return sorted(scores, key=lambda score: score.accuracy)

    def _gates(self, codes: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        return self._cells.gates(self._cells.config(codes))

    def _score(self, rows: Sequence[npt.NDArray[np.int64]]) -> list[Score]:
        accuracies = [self._shared.score(self._gates(codes)) for codes in rows]
        return self._scores(rows, accuracies, self._shared.num_rows[1])

    def _scores(self, rows: Any, accuracies: Any, num_rows: int) -> list[Score]:
        return [
            Score(self._cells.config(codes), float(accuracy), num_rows)
            for codes, accuracy in zip(rows, accuracies, strict=True)
        ]

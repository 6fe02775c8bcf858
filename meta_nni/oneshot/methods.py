"""The one-shot searches that users start. Making one loads no TensorFlow; running it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from meta_nni.models.problem import Problem
from meta_nni.oneshot.ranges import Range
from meta_nni.oneshot.search import OneShotSearch
from meta_nni.oneshot.space import CellSpace

if TYPE_CHECKING:
    from meta_nni.oneshot.engine import Engine

__all__ = ["DartsSearch", "EnasSearch"]


@dataclass
class DartsSearch(OneShotSearch):
    """Differentiable architecture search (Liu, Simonyan, Yang 2019).

    Attributes:
        order: 1, or 2 for the gradient through one step of the weights, at three times the
            cost.
        alpha_rate: Learning rate of the architecture weights; the paper's 3e-4 is for
            20,000 steps.
        alpha_decay: How strongly they are held to where they started, in nats.
        warmup: Epochs before the architecture weights move.
        max_skips: Skip connections in the normal cell at which the search stops, once it
            had fewer; the config before that counts (DARTS+, Liang et al. 2019, criterion
            1: 2). Where `initial` has as many, one more than those. None never stops.
    """

    method = "darts"
    _ranges: ClassVar[Mapping[str, Range]] = {
        **OneShotSearch._ranges,
        "order": Range(1, below=3, whole=True),
        "alpha_rate": Range(0, above=True),
        "alpha_decay": Range(0),
        "warmup": Range(0, whole=True),
        "max_skips": Range(1, whole=True, optional=True),
    }

    order: int = 1
    alpha_rate: float = 0.01
    alpha_decay: float = 1e-3
    warmup: int = 2
    max_skips: int | None = 2

    def _engine(self, cells: CellSpace, problem: Problem) -> Engine:
        start = cells.alphas(self.initial, self.temperature)
        shared = self._shared(cells, problem, sparse=False)
        from meta_nni.oneshot.darts import Darts

        return Darts(
            cells,
            shared,
            start,
            order=self.order,
            rate=self.alpha_rate,
            decay=self.alpha_decay,
            warmup=self.warmup,
            skip_limit=self._skip_limit(cells, start),
            seed=self.seed,
        )

    def _skip_limit(self, cells: CellSpace, start: Any) -> int | None:
        if self.max_skips is None or not self.initial:
            return self.max_skips
        return max(self.max_skips, cells.num_skips(cells.derive(start)) + 1)

    def _check(self) -> None:
        super()._check()
        if self.warmup >= self.epochs:
            raise ValueError(
                f"warmup is {self.warmup}, expected less than the {self.epochs} epochs; take "
                "fewer to warm up, or more in all"
            )


@dataclass
class EnasSearch(OneShotSearch):
    """Efficient neural architecture search (Pham, Guan, Zoph, Le, Dean 2018).

    Attributes:
        steps: Steps of the controller per epoch.
        draws: Configs whose rewards make a step.
        candidates: Configs drawn in the end, of which the best is the result.
        controller_rate: Learning rate of the controller.
        entropy: Weight of its entropy bonus, in rewards per nat.
        decay: Of the moving average of rewards, which is its baseline.
        sparse: Whether operations that a config does not have are left out of the
            computation. It takes half a minute more to begin and each epoch half the time.
    """

    method = "enas"
    _ranges: ClassVar[Mapping[str, Range]] = {
        **OneShotSearch._ranges,
        **dict.fromkeys(("steps", "draws", "candidates"), Range(1, whole=True)),
        "controller_rate": Range(0, above=True),
        "entropy": Range(0),
        "decay": Range(0, below=1),
    }

    steps: int = 10
    draws: int = 4
    candidates: int = 20
    controller_rate: float = 0.01
    entropy: float = 1e-3
    decay: float = 0.9
    sparse: bool = False

    def _engine(self, cells: CellSpace, problem: Problem) -> Engine:
        start = cells.probabilities(self.initial, self.temperature)
        shared = self._shared(cells, problem, self.sparse)
        from meta_nni.oneshot.enas import Enas
        from meta_nni.oneshot.sampler import Sampler

        sampler = Sampler(
            start,
            rate=self.controller_rate,
            entropy=self.entropy,
            decay=self.decay,
            seed=self.seed,
        )
        return Enas(
            cells,
            shared,
            sampler,
            steps=self.steps,
            draws=self.draws,
            candidates=self.candidates,
        )

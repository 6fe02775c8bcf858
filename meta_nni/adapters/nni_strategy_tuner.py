"""StrategyTuner: strategies of NNI's NAS under `nnictl create`, with plain parameters."""

from __future__ import annotations

import meta_nni.adapters.nni_nas_framework  # noqa: F401  before nni.nas

# isort: split
import difflib
import logging
import sys
import threading
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

from nni.mutable import Categorical
from nni.nas.space import SimplifiedModelSpace
from nni.nas.strategy import TPE, GridSearch, Random, RegularizedEvolution
from nni.nas.strategy.base import Strategy
from nni.runtime.tuner_command_channel import CommandType
from nni.tuner import Tuner

from meta_nni.adapters.nni_import import read_import
from meta_nni.adapters.nni_nas_space import JsonModelSpace, Samples
from meta_nni.adapters.nni_process import enter_trial_folder, recovered_configs, reported
from meta_nni.adapters.nni_result import from_final, to_final
from meta_nni.adapters.nni_strategy import MetaStrategy
from meta_nni.adapters.nni_strategy_engine import TunerEngine
from meta_nni.adapters.nni_strategy_record import RECORDED, StrategyRecord
from meta_nni.search import ended_reason
from meta_nni.space import SearchSpace, SpaceError
from meta_nni.trial import Config, Result

__all__ = ["STRATEGIES", "StrategyTuner"]

STRATEGIES: dict[str, Callable[..., Strategy]] = {
    "meta": MetaStrategy,
    "regularized_evolution": RegularizedEvolution,
    "tpe": partial(TPE, optimize_mode="maximize"),  # NNI's default minimizes
    "random": Random,
    "grid_search": GridSearch,
}
"""The strategies by their names in a config: ours, and those of NNI that need no torch."""

# NNI's strategies swallow arguments that they do not know; ours checks its own.
_ARGUMENTS = {
    "regularized_evolution": [
        "population_size",
        "sample_size",
        "mutation_prob",
        "crossover",
        "dedup",
        "seed",
    ],
    "tpe": ["optimize_mode", "seed", "tpe_args"],
    "random": ["dedup", "seed"],
    "grid_search": ["shuffle", "dedup", "seed"],
}

_SHARED = ("seed", "optimize_mode")  # arguments of strategies that a run has, too

_EXIT_SECONDS = 10.0  # NNI waits half a minute for a tuner to end

_log = logging.getLogger(__name__)


class StrategyTuner(Tuner):  # type: ignore[misc]
    """Runs a strategy of NNI's NAS as the tuner of an ordinary experiment.

    In an experiment's config, with a `searchSpaceFile` and trials as for any tuner::

        tuner:
          className: meta_nni.StrategyTuner
          codeDirectory: .
          classArgs:
            strategy: regularized_evolution
            population_size: 20
            sample_size: 5
            seed: 1

    NNI's own strategies maximize; "tpe" minimizes with `optimize_mode: minimize`. After a
    resume they begin anew and are answered from what was measured, so that they go on as
    before if they have a seed; "meta" goes on from the store. Nested choices are flat to
    them: what is not active has a value that changes nothing. Whichever strategy it is, the
    store keeps what was measured, and the end leaves a report.

    Args:
        strategy: "meta", "regularized_evolution", "tpe", "random" or "grid_search".
        arguments: Those of `MetaTuner` for "meta"; for the others those of the strategy, and of
            `MetaTuner` store, task, data and recipe.

    Raises:
        ValueError, TypeError: naming the argument, what came and what was expected.
    """

    def __init__(self, strategy: Any = "meta", **arguments: Any) -> None:
        enter_trial_folder()
        if strategy not in STRATEGIES:
            raise ValueError(f"strategy is {strategy!r}, {_expected(strategy, STRATEGIES)}")
        self._name = strategy
        self._record: StrategyRecord | None = None
        if strategy in _ARGUMENTS:
            _refuse_unknown(strategy, arguments)
            kept = {name: arguments.pop(name) for name in RECORDED if name in arguments}
            kept |= {name: arguments[name] for name in _SHARED if name in arguments}
            self._record = StrategyRecord(strategy, kept)
        self._strategy = STRATEGIES[strategy](**arguments)
        self._engine: TunerEngine | None = None
        self._space: SearchSpace | None = None
        self._thread: threading.Thread | None = None
        self._dispatcher: Any = None

    def update_search_space(self, search_space: Any) -> None:
        """Takes the space, when NNI sends it; it cannot change later.

        Raises:
            ValueError: if the space is malformed, changed, or none for the strategy.
        """
        with reported():
            space = SearchSpace.from_nni(search_space)
            if self._space is None:
                self._check(space)
                self._space, self._engine = space, TunerEngine(Samples(space))
                if self._record is not None:
                    self._record.update_search_space(search_space)
            elif space != self._space:
                raise SpaceError(
                    "the search space changed, expected the one that the experiment began with; "
                    "start a new experiment"
                )

    def _check(self, space: SearchSpace) -> None:
        mutables = Samples(space).mutables()
        others = [label for label, each in mutables.items() if not isinstance(each, Categorical)]
        if self._name == "tpe" and others:
            raise SpaceError(
                f"strategy 'tpe' takes choices only, and {others} are none; use NNI's tuner of "
                "that name or another strategy"
            )

    @property
    def _opened(self) -> TunerEngine:
        if self._engine is None:
            raise RuntimeError("no search space yet; call update_search_space first")
        return self._engine

    def generate_multiple_parameters(
        self, parameter_id_list: Sequence[int], st_callback: Any = None, **kwargs: Any
    ) -> list[Config]:
        """Lets the strategy run; its proposals are sent by `st_callback` as they come."""
        with reported():
            engine = self._opened
            engine.offer(parameter_id_list, st_callback)
            if self._thread is None:
                engine.expect(recovered_configs())
                self._dispatcher = st_callback.__self__
                self._thread = threading.Thread(target=self._explore, daemon=True)
                self._thread.start()
            elif not self._thread.is_alive():
                self._say_no_more()
            return _Later(len(parameter_id_list))

    def _explore(self) -> None:
        """What the thread does: lets the strategy run to its end."""
        assert self._space is not None
        try:
            model_space = SimplifiedModelSpace.from_model(JsonModelSpace(self._space.to_nni()))
            self._strategy(model_space, self._opened)
            if self._opened.budget_available():
                _log.info("strategy %s has no more proposals", self._name)
                self._say_no_more()
        except Exception as error:
            traceback.print_exc()
            message = f"strategy {self._name} stopped: {type(error).__name__}: {error}"
            print(message, file=sys.stderr, flush=True)
            self._dispatcher.report_error(message)

    def _say_no_more(self) -> None:
        if (unused := self._opened.unused()) is not None:
            from nni.runtime.msg_dispatcher import _pack_parameter

            self._dispatcher.send(CommandType.NoMoreTrialJobs, _pack_parameter(unused, ""))

    def receive_trial_result(
        self, parameter_id: int, parameters: Any, value: Any, **kwargs: Any
    ) -> None:
        """Tells the strategy a result. Only the id says whose it is: see `MetaTuner`."""
        with reported():
            self._keep(parameter_id, from_final(value)[0])
            self._opened.report(parameter_id, value)

    def trial_end(self, parameter_id: int | None, success: bool, **kwargs: Any) -> None:
        """Tells the strategy that a trial is over, in case it reported nothing itself."""
        if parameter_id is not None:  # None: a trial that the user added on NNI's page
            with reported():
                self._keep(parameter_id, Result.failed(ended_reason(success)))
                self._opened.end(parameter_id, success)

    def _keep(self, parameter_id: int, result: Result) -> None:
        config = self._opened.config(parameter_id)
        if self._record is not None and config is not None:
            self._record.keep(config, result)

    def import_data(self, data: Sequence[Mapping[str, Any]]) -> None:
        """Takes note of earlier results, and passes on those of trials that NNI ran again."""
        with reported():
            engine = self._opened
            assert self._space is not None
            imported, problems = read_import(data, self._space)
            for problem in problems:
                _log.error("%s", problem)
            for entry in imported:
                # Better measured once more than attributed to the wrong config.
                if entry.is_certain:
                    if self._record is not None:
                        self._record.keep(entry.config, entry.result)
                    engine.know(entry.config, to_final(entry.result, entry.config, None))

    def _on_exit(self) -> None:
        """Called by NNI when the experiment is stopped."""
        if self._engine is not None and self._thread is not None:
            self._engine.shutdown()
            self._thread.join(_EXIT_SECONDS)
        if self._record is not None:
            self._record._on_exit()


def _refuse_unknown(strategy: str, arguments: Mapping[str, Any]) -> None:
    known = [*_ARGUMENTS[strategy], *RECORDED]
    for name in arguments:
        if name not in known:
            raise ValueError(
                f"strategy {strategy!r} has no argument {name!r}, {_expected(name, known)}"
            )


def _expected(name: Any, known: Collection[str]) -> str:
    near = difflib.get_close_matches(str(name), known, n=1)
    return f"expected one of {list(known)}" + (f"; did you mean {near[0]!r}?" if near else "")


class _Later(list[Config]):
    """What NNI takes for `count` configs, and sends none of: they follow by the callback.

    NNI goes through the list, and takes one that is shorter than what it asked for as the
    end of the search.
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        self._count = count

    def __len__(self) -> int:
        return self._count

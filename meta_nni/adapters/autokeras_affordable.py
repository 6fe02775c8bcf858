"""A controller that leaves out what is predicted to cost too much."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from meta_nni.controllers import Controller
from meta_nni.controllers.evidence import in_words
from meta_nni.trial import History, Result, Run, Suggestion, Trial

__all__ = ["AffordableController"]

_MAX_REFUSED = 50  # then the last proposal is taken, whatever it costs


class AffordableController:
    """Asks another controller again until its proposal is affordable.

    A refused proposal is a failure to that controller while it is asked again, so that it
    turns to other parts of the space. Nothing of it is recorded: it was not measured.

    Args:
        inner: Decides.
        objection: Says what speaks against a proposal; None if it is affordable.
    """

    def __init__(self, inner: Controller, objection: Callable[[Suggestion], str | None]) -> None:
        self._inner = inner
        self._objection = objection

    def learn(self, run: Run, sources: Sequence[History], rng: np.random.Generator) -> None:
        """See `Controller.learn`."""
        self._inner.learn(run, sources, rng)

    def propose(self, history: History, count: int, rng: np.random.Generator) -> list[Suggestion]:
        """See `Controller.propose`."""
        measured = history
        chosen: list[Suggestion] = []
        refused: list[Suggestion] = []
        while len(chosen) < count:
            proposed = self._inner.propose(history, 1, rng)
            if not proposed:  # what is left is dear
                left = refused[: count - len(chosen)]
                return chosen + [_explained(suggestion, measured) for suggestion in left]
            number = len(history.trials)
            trial = Trial(f"not yet stored {number}", number, proposed[0])
            objection = self._objection(proposed[0]) if len(refused) < _MAX_REFUSED else None
            if objection is None:
                chosen.append(_explained(proposed[0], measured) if refused else proposed[0])
            else:
                refused.append(proposed[0])
                trial = trial.with_result(Result.failed(objection))
            history = replace(history, trials=(*history.trials, trial))
        return chosen


def _explained(suggestion: Suggestion, measured: History) -> Suggestion:
    """Takes the refused proposals, which nobody measured, out of the explanation."""
    if "own" not in suggestion.evidence:
        return suggestion
    numbers = {trial.number for trial in measured.trials}
    own = [trial for trial in suggestion.evidence["own"] if trial["number"] in numbers]
    evidence = {**suggestion.evidence, "own": own}
    num_measured = len(measured.completed) + len(measured.failed)
    if num_measured or evidence["tasks"]:
        return replace(suggestion, why=in_words(evidence, num_measured), evidence=evidence)
    why = "nothing is known yet: the first that is affordable"
    return replace(suggestion, source="exploration", why=why, evidence=evidence)

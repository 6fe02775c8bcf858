"""For those who write a controller: whole searches without a host, and the contract as checks.

`check_controller(MyController)` is all that a test of a controller of one's own needs.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from meta_nni.controllers.base import Controller
from meta_nni.space import SearchSpace
from meta_nni.task import Task
from meta_nni.trial import Config, History, Objective, Result, Run, State, Suggestion, Trial

__all__ = ["CHECKS", "Measure", "Outcome", "check_controller", "history_of", "play"]

Make = Callable[[], Controller]

Measure = Callable[[Config], float | None]
"""Evaluates a config; None and NaN are failures."""

Outcome = float | State | None
"""How a trial of `history_of` ended: its value, None for a failure, or another state."""


def history_of(run: Run, outcomes: Iterable[tuple[Config, Outcome]]) -> History:
    """Returns a history of `run` whose trials ended as told, in this order."""
    trials = []
    for number, (config, outcome) in enumerate(outcomes):
        trial = Trial(str(number), number, Suggestion(config, "random"))
        if isinstance(outcome, str):
            trials.append(dataclasses.replace(trial, state=outcome))
        else:
            trials.append(trial.with_result(Result(outcome, seconds=1.0)))
    return History(run, tuple(trials))


def play(
    controller: Controller,
    run: Run,
    measure: Measure,
    num_trials: int,
    *,
    sources: Sequence[History] = (),
    seed: int = 0,
    batch: int = 1,
) -> History:
    """Plays a whole search, without a host or a store.

    Args:
        controller: Decides; learns from `sources` first.
        run: The run to search for.
        measure: Evaluates a config.
        num_trials: Length of the search; it ends earlier where the space is exhausted.
        sources: Earlier runs.
        seed: Of all proposals.
        batch: How many configs are asked for at once.

    Returns:
        The history, with the controller's own suggestions.
    """
    controller.learn(run, sources, np.random.default_rng(seed))
    history = History(run)
    while (number := len(history.trials)) < num_trials:
        rng = np.random.default_rng([seed, number])
        suggestions = controller.propose(history, min(batch, num_trials - number), rng)
        if not suggestions:
            break
        ended = [
            Trial(str(number + i), number + i, suggestion).with_result(
                Result(measure(suggestion.config), seconds=1.0)
            )
            for i, suggestion in enumerate(suggestions)
        ]
        history = History(run, (*history.trials, *ended))
    return history


def check_controller(make: Make) -> None:
    """Checks that a controller keeps the contract of `Controller`.

    Args:
        make: Makes a new controller, the same each time.

    Raises:
        AssertionError: saying what it did and what was expected.
    """
    for check in CHECKS:
        check(make)


_FINITE = SearchSpace.from_nni(
    {
        "op": {
            "_type": "choice",
            "_value": [
                {"_name": "conv", "kernel": {"_type": "choice", "_value": [1, 3, 5]}},
                {"_name": "pool", "norm": {"_type": "choice", "_value": [True, False]}},
            ],
        },
        "depth": {"_type": "randint", "_value": [1, 5]},
    }
)
_MIXED = SearchSpace.from_nni(
    {**_FINITE.to_nni(), "rate": {"_type": "loguniform", "_value": [0.001, 1.0]}}
)
_FOREIGN = SearchSpace.from_nni({"colour": {"_type": "choice", "_value": ["red", "blue", "grey"]}})


def _run(space: SearchSpace, name: str = "new", objective: Objective = "maximize") -> Run:
    return Run(f"run of {name}", Task(name, objective), space)


def _measure(space: SearchSpace) -> Measure:
    return lambda config: float(space.encode(config)[:, 1].sum())


def _drawn(run: Run, count: int, seed: int, outcome: Measure | None = None) -> History:
    """A history of different random configs."""
    rng = np.random.default_rng(seed)
    configs = (run.space.sample(rng) for _ in range(4 * count + 8))
    unique = list({run.space.key(config): config for config in configs}.values())
    measure = outcome or _measure(run.space)
    return history_of(run, [(config, measure(config)) for config in unique[:count]])


def _sources() -> list[History]:
    """Earlier runs of all kinds: related, partly related, unrelated, without any value."""
    described = Task("described", metafeatures={"n_train": 4000.0, "n_classes": 10.0})
    return [
        _drawn(_run(_MIXED, "same space"), 15, 1),
        _drawn(_run(_FINITE, "fewer parameters", "minimize"), 8, 2),
        _drawn(_run(_FOREIGN, "another space"), 3, 3),
        _drawn(Run("d", described, _MIXED), 12, 4),
        _drawn(_run(_MIXED, "all failed"), 6, 5, lambda config: None),
        _drawn(_run(_MIXED, "one trial"), 1, 6),
        History(_run(_MIXED, "no trial")),
    ]


def _configs(suggestions: Sequence[Suggestion]) -> list[Config]:
    return [suggestion.config for suggestion in suggestions]


def _propose(controller: Controller, history: History, count: int = 3, seed: int = 0) -> Any:
    return _configs(controller.propose(history, count, np.random.default_rng(seed)))


def _learned(make: Make, history: History, sources: Sequence[History] = (), seed: int = 0) -> Any:
    controller = make()
    controller.learn(history.run, sources, np.random.default_rng(seed))
    return controller


def _check_new(space: SearchSpace, history: History, configs: Sequence[Config]) -> None:
    keys = [space.key(config) for config in configs]  # raises where a config is not valid
    tried = {space.key(trial.config) for trial in history.trials}
    assert len(set(keys)) == len(keys), f"proposed a config twice at once: {configs}"
    assert not tried & set(keys), f"proposed what was tried: {configs}"


def check_proposals_are_new(make: Make) -> None:
    """All proposals belong to the space and none comes twice, whatever became of trials."""
    values = iter([None, 0.5, float("nan"), 0.9, float("inf"), 0.7, -1e9] * 5)
    history = play(make(), _run(_MIXED), lambda config: next(values), 21, batch=3)
    assert len(history.trials) == 21, f"proposed {len(history.trials)} of 21 configs"
    _check_new(_MIXED, History(history.run), [trial.config for trial in history.trials])


def check_awaited_trials_are_not_proposed(make: Make) -> None:
    """A config that is proposed, running or lost counts as tried."""
    states: list[Outcome] = ["proposed", "running", "lost", None, 0.5]
    all_configs = list(_FINITE.configs())
    tried = [(config, states[i % 5]) for i, config in enumerate(all_configs[:-2])]
    history = history_of(_run(_FINITE), tried)
    proposed = _propose(_learned(make, history), history, count=5)
    _check_new(_FINITE, history, proposed)
    assert len(proposed) == 2, f"proposed {proposed}, expected the two configs that are left"


def check_small_spaces_are_exhausted(make: Make) -> None:
    """A finite space is proposed as a whole, then nothing more."""
    history = play(make(), _run(_FINITE), _measure(_FINITE), 100, batch=6)
    found, size = len(history.trials), _FINITE.size
    assert found == size, f"proposed {found} configs of a space of {size}"
    _check_new(_FINITE, History(history.run), [trial.config for trial in history.trials])


def check_seeds_decide(make: Make) -> None:
    """The same history and seed give the same proposals, another seed gives others."""
    history = History(_run(_MIXED))
    first, again, other = (
        _propose(_learned(make, history, seed=seed), history, seed=seed) for seed in (1, 1, 2)
    )
    assert first == again, f"proposed {first}, then {again}, with the same history and seed"
    assert first != other, f"proposed {first} with two seeds"


def check_history_is_all_that_counts(make: Make) -> None:
    """What was proposed or seen in between does not matter: there is no hidden state."""
    history = _drawn(_run(_FINITE), 6, 0)
    controller = _learned(make, history, _sources())
    first = _propose(controller, history)
    _propose(controller, _drawn(_run(_FINITE), 12, 1), seed=5)
    again = _propose(controller, history)
    fresh = _propose(_learned(make, history, _sources()), history)
    assert first == again, f"proposed {first}, later {again}, for the same history and seed"
    assert first == fresh, f"a new one proposed {fresh}, expected {first}"


def check_direction_is_only_a_sign(make: Make) -> None:
    """Minimising negated values gives the proposals of maximising values."""
    value = _measure(_FINITE)
    up = _drawn(_run(_FINITE), 10, 0)
    down = _drawn(_run(_FINITE, objective="minimize"), 10, 0, lambda c: -(value(c) or 0.0))
    proposed = [_propose(_learned(make, history), history) for history in (up, down)]
    assert proposed[0] == proposed[1], f"maximising proposed {proposed[0]}, not {proposed[1]}"


def check_failures_do_not_stop_it(make: Make) -> None:
    """A history of failures alone, and one with values of all sizes, still get proposals."""
    outcomes: list[Measure] = [lambda c: None, lambda c: 0.0, lambda c: 1e300 * len(str(c))]
    controller = _learned(make, History(_run(_MIXED)))
    for outcome in outcomes:
        history = _drawn(_run(_MIXED), 24, 0, outcome)
        proposed = _propose(controller, history)
        assert len(proposed) == 3, f"proposed {proposed}, expected three configs"
        _check_new(_MIXED, history, proposed)


def check_any_source_will_do(make: Make) -> None:
    """Sources of other spaces, tasks and directions, and useless ones, do no harm."""
    history = _drawn(_run(_MIXED), 4, 9)
    everything = _sources()
    for sources in (everything, everything[4:]):
        proposed = _propose(_learned(make, history, sources), history)
        assert len(proposed) == 3, f"proposed {proposed}, expected three configs"
        _check_new(_MIXED, history, proposed)


def check_nothing_is_changed(make: Make) -> None:
    """Histories and sources are left as they are."""
    history, sources = _drawn(_run(_MIXED), 6, 0), _sources()[:4]
    before = copy.deepcopy([history.trials, *(source.trials for source in sources)])
    controller = _learned(make, history, sources)
    _propose(controller, history)
    after = [history.trials, *(source.trials for source in sources)]
    assert before == after, "changed the history or the sources"


def check_learning_may_be_left_out(make: Make) -> None:
    """Without `learn` it proposes like one that had no sources."""
    for count in (0, 5):
        history = _drawn(_run(_FINITE), count, 0)
        controller = make()
        proposed = _propose(controller, history)
        assert len(proposed) == 3, f"proposed {proposed}, expected three configs"
        _check_new(_FINITE, history, proposed)
        for other in (controller, make()):
            again = _propose(other, history)
            assert proposed == again, f"proposed {again}, expected {proposed} as before"


CHECKS: tuple[Callable[[Make], None], ...] = (
    check_proposals_are_new,
    check_awaited_trials_are_not_proposed,
    check_small_spaces_are_exhausted,
    check_seeds_decide,
    check_history_is_all_that_counts,
    check_direction_is_only_a_sign,
    check_failures_do_not_stop_it,
    check_any_source_will_do,
    check_nothing_is_changed,
    check_learning_may_be_left_out,
)
"""The contract, one function for each sentence of it; each takes what makes a controller."""

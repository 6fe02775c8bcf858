"""Values of short trainings, brought to the full budget."""

from dataclasses import replace

import numpy as np
import pytest

from meta_nni.controllers import EvolutionController, MetaController, ReinforceController
from meta_nni.controllers.fidelity import at_full_budget
from meta_nni.policy.neural import NeuralPolicy
from meta_nni.space import SearchSpace
from meta_nni.task import Task
from meta_nni.trial import History, Result, Run, Suggestion, Trial

SPACE = SearchSpace.from_nni({"x": {"_type": "randint", "_value": [0, 100]}})


def history(*results, objective="maximize"):
    run = Run("r", Task("t", objective), SPACE)
    trials = [
        Trial(str(i), i, Suggestion({"x": i}, "random")).with_result(result)
        for i, result in enumerate(results)
    ]
    return History(run, tuple(trials))


def trained(curve, epochs=None, value=None):
    value = max(curve) if value is None else value
    return Result(value, curve=curve, budget={"epochs": float(epochs or len(curve))})


def values(history):
    return [trial.value for trial in history.trials]


def test_a_short_training_gains_what_full_ones_gained_on_average():
    found = at_full_budget(history(trained([1, 2, 4]), trained([3, 5, 5]), trained([2, 1])))
    # From epoch 2 on the full ones gained 2 and 0.
    assert values(found) == [4.0, 5.0, 3.0]


def test_a_training_that_says_no_epochs_is_full_and_as_long_as_its_curve():
    whole = Result(5.0, curve=[1, 2, 3, 5])
    assert values(at_full_budget(history(whole, trained([2, 3]), trained([2])))) == [5.0, 6.0, 6.0]
    shorter = Result(2.5, curve=[2, 2.5])  # its own patience: full, too
    assert values(at_full_budget(history(whole, shorter, trained([2])))) == [5.0, 2.5, 4.25]


def test_without_curves_of_full_trainings_short_ones_reach_as_far_as_the_longest():
    found = at_full_budget(history(Result(9.0), trained([1, 2, 4]), trained([2])))
    assert values(found) == [9.0, 4.0, 5.0]


def test_the_direction_does_not_matter():
    results = [([1, 2, 4], 4), ([3, 5, 5], 5), ([2, 1], 2)]
    up = history(*(trained(curve, value=value) for curve, value in results))
    negated = [([-v for v in curve], -value) for curve, value in results]
    down = history(*(trained(c, value=v) for c, v in negated), objective="minimize")
    assert values(at_full_budget(down)) == [-value for value in values(at_full_budget(up))]


@pytest.mark.parametrize(
    "results",
    [
        [trained([1, 2]), trained([3, 4])],
        [Result(0.5), Result(0.7)],
        [trained([1, 2], epochs=20), trained([3], epochs=20)],  # patience, not budget
        [Result(0.5), Result.failed("out of memory")],
        [],
    ],
    ids=["equal", "unknown", "planned", "failed", "empty"],
)
def test_without_short_trainings_the_history_is_the_same_object(results):
    one = history(*results)
    assert at_full_budget(one) is one


def test_without_a_curve_to_go_by_the_value_stays():
    one = history(trained([2, 1]), Result(4.0, budget={"epochs": 3.0}))
    assert values(at_full_budget(one)) == [2.0, 4.0]


def test_only_values_change():
    one = history(trained([1, 2, 4]), trained([2]), Result.failed("no"))
    found = at_full_budget(one)
    assert found.trials[0] is one.trials[0]
    assert found.trials[2] is one.trials[2]
    assert found.trials[1].suggestion is one.trials[1].suggestion
    assert found.trials[1].result.curve == (2.0,)
    assert one.trials[1].value == 2.0  # what is stored stays raw


def test_the_controller_reads_short_trainings_at_the_full_budget():
    """In its own run and in earlier ones: as if they had been reported so."""
    rng = np.random.default_rng(0)
    curves = [sorted(rng.random(4)) for _ in range(8)]
    short = history(*(trained(curve[: 2 if i % 2 else 4]) for i, curve in enumerate(curves)))
    extended = [Result(value) for value in values(at_full_budget(short))]
    raw = [Result(value) for value in values(short)]

    def proposed(own, source):
        controller = MetaController()
        run = replace(own.run, run_id="own")
        controller.learn(run, [source], np.random.default_rng(1))
        return controller.propose(History(run, own.trials), 1, np.random.default_rng(2))[0]

    found = proposed(short, short)
    as_if, unlike = (proposed(history(*each), history(*each)) for each in (extended, raw))
    assert (found.config, found.mean) == (as_if.config, as_if.mean)
    assert found.mean != unlike.mean


class _Learned(Exception):
    pass


@pytest.mark.parametrize("controller", [EvolutionController(warm=True), ReinforceController()])
def test_generators_learn_from_values_at_the_full_budget(monkeypatch, controller):
    def train(space, histories, **options):
        raise _Learned(*histories)

    monkeypatch.setattr(NeuralPolicy, "train", train)
    short = history(trained([1, 2, 4]), trained([3, 5, 5]), trained([2, 1]))
    with pytest.raises(_Learned) as found:
        controller.learn(short.run, [short], np.random.default_rng(0))
    assert found.value.args == (at_full_budget(short),) != (short,)

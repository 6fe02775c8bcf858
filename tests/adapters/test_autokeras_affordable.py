import dataclasses

import numpy as np
import pytest
from histories import SPACE, make_run

from meta_nni.adapters.autokeras_affordable import AffordableController
from meta_nni.controllers import MetaController, RandomController
from meta_nni.testing import check_controller, history_of, play
from meta_nni.trial import Suggestion


def is_pool(config):
    return config["layer"]["_name"] == "pool"


def no_pool(suggestion):
    return "pools are dear" if is_pool(suggestion.config) else None


@pytest.mark.parametrize("inner", [RandomController, MetaController])
def test_only_what_is_affordable_is_proposed(inner):
    controller = AffordableController(inner(), no_pool)
    history = play(controller, make_run(), lambda config: -config["rate"], 8)
    assert len(history.trials) == 8
    assert not any(is_pool(trial.config) for trial in history.trials)


def test_it_is_a_controller():
    check_controller(lambda: AffordableController(RandomController(), lambda suggestion: None))
    check_controller(lambda: AffordableController(RandomController(), lambda suggestion: "dear"))


def test_where_nothing_is_affordable_something_is_proposed():
    controller = AffordableController(RandomController(), lambda suggestion: "too dear")
    assert len(play(controller, make_run(), lambda config: 1.0, 3).trials) == 3


class Scripted:
    """Proposes depth 3 until that has failed, as if it had learned from it."""

    def learn(self, run, sources, rng):
        self.learned = run

    def propose(self, history, count, rng):
        failed = any(trial.state == "failed" for trial in history.trials)
        config = {**SPACE.sample(rng), "block/depth": 1 if failed else 3}
        own = [{"number": t.number, "value": t.value, "weight": 0.5} for t in history.trials]
        words = f"learned from this run's {len(history.trials)} results"
        evidence = {"tasks": [], "own": own, "decisions": [], "no_transfer": 1.0}
        return [Suggestion(config, "adapted", why=words, evidence=evidence)]


def deep(suggestion):
    return "too deep" if suggestion.config["block/depth"] == 3 else None


def test_the_inner_controller_learns_of_a_refusal_and_nothing_is_kept_of_it(rng):
    run = make_run()
    inner = Scripted()
    controller = AffordableController(inner, deep)
    controller.learn(run, (), rng)
    assert inner.learned is run
    history = history_of(run, [(SPACE.sample(rng), 0.5)])
    (suggestion,) = controller.propose(history, 1, rng)
    assert suggestion.config["block/depth"] == 1
    assert [each["number"] for each in suggestion.evidence["own"]] == [0]
    assert suggestion.why == "learned from this run's 1 results"


def test_a_first_proposal_claims_no_results(rng):
    controller = AffordableController(Scripted(), deep)
    (suggestion,) = controller.propose(history_of(make_run(), []), 1, rng)
    assert suggestion.source == "exploration"
    assert "nothing is known yet" in suggestion.why
    assert suggestion.evidence["own"] == []


def test_proposals_at_once_differ(rng):
    controller = AffordableController(MetaController(), no_pool)
    history = history_of(make_run(), [])
    suggestions = controller.propose(history, 4, np.random.default_rng(1))
    assert len({SPACE.key(suggestion.config) for suggestion in suggestions}) == 4
    assert history == dataclasses.replace(history)

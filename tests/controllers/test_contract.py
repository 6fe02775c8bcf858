import numpy as np
import pytest

from meta_nni import testing
from meta_nni.controllers import CONTROLLERS, RandomController, make
from meta_nni.trial import Suggestion

# Loading TensorFlow and training a network take seconds.
TRAINED = {"reinforce"}


@pytest.mark.parametrize("check", testing.CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.host] if n in TRAINED else []) for n in CONTROLLERS],
)
def test_every_controller_keeps_the_contract(name, check):
    check(lambda: make(name))


@pytest.mark.parametrize(("name", "near"), [("Meta", "meta"), ("randm", "random"), (3, None)])
def test_an_unknown_controller_is_refused_with_the_known_ones(name, near):
    with pytest.raises(ValueError, match=r"expected one of \['meta', 'portfolio'") as caught:
        make(name)
    assert ("did you mean" in str(caught.value)) == (near is not None)
    assert near is None or f"{near!r}?" in str(caught.value)


# The checks themselves can fail: each of these controllers breaks one sentence.


class Repeating(RandomController):
    def propose(self, history, count, rng):
        config = history.run.space.sample(np.random.default_rng(0))
        return [Suggestion(config, "random") for _ in range(count)]


class Forgetful(RandomController):
    """Takes only trials with a value for tried."""

    def propose(self, history, count, rng):
        ended = type(history)(history.run, history.completed)
        return super().propose(ended, count, rng)


class Generous(RandomController):
    def propose(self, history, count, rng):
        return super().propose(history, 1, rng)


class Unseeded(RandomController):
    def propose(self, history, count, rng):
        return super().propose(history, count, np.random.default_rng())


class Fixed(RandomController):
    def propose(self, history, count, rng):
        return super().propose(history, count, np.random.default_rng(0))


class Counting(RandomController):
    calls = 0

    def propose(self, history, count, rng):
        self.calls += 1
        return super().propose(history, count, np.random.default_rng([self.calls]))


class Blind(RandomController):
    """Takes every value for one to maximise."""

    def propose(self, history, count, rng):
        best = max((t.value or 0.0 for t in history.completed), default=0.0)
        return super().propose(history, count, np.random.default_rng([int(best > 0), 7]))


class Fragile(RandomController):
    def propose(self, history, count, rng):
        return super().propose(history, count if history.completed else 0, rng)


class Learner(RandomController):
    def learn(self, run, sources, rng):
        for source in sources:
            source.trials[0].config.clear()


class Picky(RandomController):
    def propose(self, history, count, rng):
        return super().propose(history, count if self.ready else 0, rng)

    ready = False

    def learn(self, run, sources, rng):
        self.ready = all(source.run.space == run.space for source in sources)


@pytest.mark.parametrize(
    ("broken", "check", "message"),
    [
        (Repeating, testing.check_proposals_are_new, "twice"),
        (Forgetful, testing.check_awaited_trials_are_not_proposed, "what was tried"),
        (Generous, testing.check_awaited_trials_are_not_proposed, "two configs that are left"),
        (Unseeded, testing.check_seeds_decide, "same history and seed"),
        (Fixed, testing.check_seeds_decide, "two seeds"),
        (Counting, testing.check_history_is_all_that_counts, "same history and seed"),
        (Blind, testing.check_direction_is_only_a_sign, "maximising"),
        (Fragile, testing.check_failures_do_not_stop_it, "expected three"),
        (Learner, testing.check_nothing_is_changed, "changed"),
        (Picky, testing.check_any_source_will_do, "expected three"),
        (Picky, testing.check_learning_may_be_left_out, "expected three"),
    ],
)
def test_the_checks_find_what_breaks_the_contract(broken, check, message):
    with pytest.raises(AssertionError, match=message):
        check(broken)


def test_check_controller_runs_them_all():
    with pytest.raises(AssertionError, match="two seeds"):
        testing.check_controller(Fixed)
    assert {name for name in vars(testing) if name.startswith("check_")} == {
        "check_controller",
        *(check.__name__ for check in testing.CHECKS),
    }

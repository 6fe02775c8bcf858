import re
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from sample_spaces import DEEP
from synthetic import CONFIGS, SPACE, Problem

from meta_nni.controllers import MetaController, RandomController
from meta_nni.controllers.encoded import EncodedTrials
from meta_nni.controllers.observed import Observed
from meta_nni.policy.kernel import vectors
from meta_nni.policy.posterior import Evidence, Posterior
from meta_nni.policy.training import train
from meta_nni.space import SearchSpace
from meta_nni.task import Task
from meta_nni.testing import history_of, play
from meta_nni.trial import History, Result, Run, Suggestion, Trial

LARGE = SearchSpace.from_nni(DEEP)


@cache
def sources(family=0, sign=1.0):
    return [Problem(k, family=family).history(40, seed=k, sign=sign) for k in range(5)]


@cache
def searches(kind, family=0, sign=1.0, num_trials=20):
    """Two searches with the problems they are about; `kind` is warm, cold or random."""
    found = []
    for seed in range(2 if kind == "warm" else 12):
        problem = Problem(100 + seed)
        controller = RandomController() if kind == "random" else MetaController()
        given = sources(family, sign) if kind == "warm" else ()
        history = play(controller, problem.run(), problem, num_trials, sources=given, seed=seed)
        found.append((problem, history))
    return found


def mean_regret(found, after):
    return np.mean([problem.regret(history, after) for problem, history in found])


def learned(problem, given, seed=0):
    return learned_for(problem.run(), given, seed)


def learned_for(run, given, seed=0):
    controller = MetaController()
    controller.learn(run, given, np.random.default_rng(seed))
    return controller


def rate(config):
    return config["rate"]


def rated(name, count, seed):
    rng = np.random.default_rng(seed)
    outcomes = [(config, rate(config)) for config in (LARGE.sample(rng) for _ in range(count))]
    return history_of(Run(f"run of {name}", Task(name), LARGE), outcomes)


def next_one(controller, history, seed=0):
    return controller.propose(history, 1, np.random.default_rng(seed))[0]


def no_transfer(suggestion):
    return float(re.search(r"weight of no transfer ([\d.]+)$", suggestion.why)[1])


# Transfer


def test_related_tasks_help_from_the_first_trial_on():
    assert mean_regret(searches("random"), after=1) > 0.3
    assert mean_regret(searches("warm"), after=1) < 0.05
    assert mean_regret(searches("warm"), after=5) < 0.02


def test_without_sources_it_soon_beats_random_search():
    cold = mean_regret(searches("cold"), after=20)
    assert cold < 0.5 * mean_regret(searches("random"), after=20)
    suggestions = [trial.suggestion for trial in searches("cold")[0][1].trials]
    assert [s.source for s in suggestions] == ["exploration"] * 3 + ["adapted"] * 17
    assert suggestions[9].why == "learned from this run's 9 results"


def test_the_source_of_each_trial_is_told():
    suggestions = [trial.suggestion for trial in searches("warm")[0][1].trials[:17]]
    explored = [number for number, s in enumerate(suggestions) if s.source == "exploration"]
    assert explored == [7, 15]
    assert [number for number, s in enumerate(suggestions) if s.source == "zero-shot"] == [0]
    assert re.match(
        r"task 0\.\d \(weight 0\.\d\d\): trial \d+ reached 0\.\d+; ", suggestions[0].why
    )


def test_sources_that_mislead_are_overruled():
    misled = searches("warm", sign=-1.0)
    assert mean_regret(misled, after=1) > 0.8  # they do mislead
    assert mean_regret(misled, after=20) <= mean_regret(searches("cold"), after=20) + 0.02


def test_sources_of_unlike_tasks_lose_to_the_cold_model():
    unlike, alike = searches("warm", family=1), searches("warm")
    before = [no_transfer(history.trials[0].suggestion) for _, history in unlike]
    assert before == [0.15] * 2
    after = [no_transfer(history.trials[-1].suggestion) for _, history in unlike]
    assert np.mean(after) > 0.5
    assert min(after) > 0.15
    assert all(no_transfer(history.trials[-1].suggestion) < 0.05 for _, history in alike)
    assert mean_regret(unlike, after=20) <= mean_regret(searches("cold"), after=20) + 0.1


def test_an_exploring_trial_does_not_listen_to_the_sources():
    problem = Problem(100)
    choices = np.random.default_rng(5).permutation(len(CONFIGS))
    outcomes = [(CONFIGS[i], problem(CONFIGS[i])) for i in choices[:7]]
    for count, is_exploring in ((1, False), (7, True)):
        history = history_of(problem.run(), outcomes[:count])
        told = [next_one(learned(problem, sources(sign=sign)), history) for sign in (1.0, -1.0)]
        assert (told[0].config == told[1].config) == is_exploring
        assert (told[0].source == "exploration") == is_exploring


# Adaptation


def test_every_result_changes_the_next_proposal():
    problem = Problem(100)
    controller = learned(problem, sources())
    first = next_one(controller, History(problem.run()))
    good, bad, failed = (
        history_of(problem.run(), [(first.config, value)]) for value in (1.0, 0.5, None)
    )
    after = [next_one(controller, history) for history in (good, bad, failed)]
    assert len({SPACE.key(s.config) for s in [first, *after]}) >= 3
    assert after[0].mean > first.mean > after[1].mean
    near = [sum(s.config[name] != first.config[name] for name in first.config) for s in after]
    assert near[0] <= min(near[1:])


def test_predictions_are_in_the_units_of_the_task_and_honest():
    errors = []
    for problem, history in searches("warm"):
        for trial in history.trials[5:]:
            assert 0.6 < trial.suggestion.mean < 1.0
            assert 0.0 < trial.suggestion.std < 0.3
            errors.append((problem(trial.config) - trial.suggestion.mean) / trial.suggestion.std)
    assert abs(np.mean(errors)) < 1.0
    assert 0.3 < np.std(errors) < 3.0


def test_predictions_of_a_minimised_task_keep_its_sign():
    problem = Problem(100)
    lower = [
        history_of(problem.run("minimize"), [(t.config, -t.value) for t in source.trials])
        for source in sources()
    ]
    controller = MetaController()
    controller.learn(problem.run("minimize"), lower, np.random.default_rng(0))
    suggestion = next_one(controller, History(problem.run("minimize")))
    assert suggestion.config == next_one(learned(problem, sources()), History(problem.run())).config
    assert -1.0 < suggestion.mean < -0.7


@pytest.mark.parametrize("given", [(), "sources"])
def test_there_is_no_prediction_of_what_nothing_is_known_about(given):
    problem = Problem(100)
    controller = learned(problem, sources() if given else ())
    suggestion = next_one(controller, History(problem.run()))
    assert (suggestion.mean is None) == (suggestion.std is None) == (not given)
    measured = history_of(problem.run(), [(c, problem(c)) for c in CONFIGS[::40]])
    assert next_one(controller, measured).mean is not None
    failed = history_of(problem.run(), [(c, None) for c in CONFIGS[::40]])
    assert (next_one(controller, failed).mean is None) == (not given)


def test_failures_keep_it_away_from_configs_like_them():
    problem = Problem(100)
    controller = learned(problem, ())
    measured = [(config, problem(config)) for config in CONFIGS[::30]]
    best = max(measured, key=lambda entry: entry[1])[0]
    # All that shares the best config's `op` fails from here on.
    crashed = [
        (config, None)
        for config in CONFIGS
        if config["op"] == best["op"] and config["act"] != best["act"] and config["width"] > 1
    ]
    before = controller.propose(history_of(problem.run(), measured), 6, np.random.default_rng(0))
    history = history_of(problem.run(), [*measured, *crashed[:12]])
    after = controller.propose(history, 6, np.random.default_rng(0))
    before_count, after_count = (
        sum(suggestion.config["op"] == best["op"] for suggestion in suggestions)
        for suggestions in (before, after)
    )
    assert before_count >= 4
    assert after_count < before_count


def test_a_batch_spreads_and_pending_trials_count_as_part_of_it():
    problem = Problem(100)
    controller = learned(problem, sources())
    history = history_of(problem.run(), [(c, problem(c)) for c in CONFIGS[::60]])
    batch = controller.propose(history, 3, np.random.default_rng(0))
    pending = [Trial(str(90 + i), 5 + i, s) for i, s in enumerate(batch[:2])]
    one_more = History(history.run, (*history.trials, *pending))
    assert next_one(controller, one_more).config == batch[2].config
    # A config that was abandoned tells nothing, but is not proposed again.
    lost = [Trial(t.trial_id, t.number, t.suggestion, "lost") for t in pending]
    other = next_one(controller, History(history.run, (*history.trials, *lost)))
    assert other.config not in [trial.config for trial in pending]


# Duration


def timed(problem, factor, count, seed, run=None):
    """A history whose trials take `factor * 2 ** width` seconds."""
    history = problem.history(count, seed)
    trials = [
        Trial(t.trial_id, t.number, Suggestion(t.config, "random")).with_result(
            Result(t.value, seconds=factor * 2.0 ** t.config["width"])
        )
        for t in history.trials
    ]
    return History(run or history.run, tuple(trials))


def test_predicted_seconds_follow_the_law_of_cost_and_this_machine():
    problem = Problem(100)
    controller = learned(problem, [timed(Problem(k), 10.0, 60, k) for k in range(3)])
    new = controller.propose(History(problem.run()), 12, np.random.default_rng(0))
    expected = np.array([10.0 * 2.0 ** s.config["width"] for s in new])
    assert np.array([s.seconds for s in new]) == pytest.approx(expected, rel=0.35)

    slower = timed(problem, 50.0, 6, 9, problem.run())
    more = controller.propose(slower, 12, np.random.default_rng(0))
    expected = np.array([50.0 * 2.0 ** s.config["width"] for s in more])
    assert np.array([s.seconds for s in more]) == pytest.approx(expected, rel=0.35)


def untimed(history):
    trials = [
        Trial(t.trial_id, t.number, t.suggestion).with_result(Result(t.value))
        for t in history.trials
    ]
    return History(history.run, tuple(trials))


def test_seconds_are_unknown_where_nothing_was_timed():
    problem = Problem(100)
    controller = learned(problem, [untimed(problem.history(10))])
    assert next_one(controller, History(problem.run())).seconds is None


def test_about_equally_promising_configs_are_tried_cheapest_first():
    problem = Problem(100)
    # `width` is worth nothing here and costs much.
    flat = [
        History(
            source.run,
            tuple(
                Trial(t.trial_id, t.number, t.suggestion).with_result(
                    Result(float(t.config["depth"]), seconds=2.0 ** t.config["width"])
                )
                for t in source.trials
            ),
        )
        for source in sources()
    ]
    first = next_one(learned(problem, flat), History(problem.run()))
    assert first.config["width"] == min(config["width"] for config in CONFIGS)
    assert first.config["depth"] == max(config["depth"] for config in CONFIGS)


def test_improvement_per_second_prefers_cheaper_trials():
    problem = Problem(100)
    given = [timed(Problem(k), 10.0, 60, k) for k in range(3)]
    seconds = []
    for per_second in (False, True):
        controller = MetaController(per_second=per_second)
        controller.learn(problem.run(), given, np.random.default_rng(0))
        history = play(controller, problem.run(), problem, 8, sources=given, seed=0)
        seconds.append(sum(2.0 ** t.config["width"] for t in history.trials[1:]))
    assert seconds[1] < seconds[0]


def test_only_the_given_configs_are_proposed():
    problem = Problem(100)
    for given in ((), sources()):
        controller = MetaController(only=CONFIGS[5:15])
        controller.learn(problem.run(), given, np.random.default_rng(0))
        proposed = controller.propose(History(problem.run()), 12, np.random.default_rng(0))
        assert len(proposed) == 10
        assert {SPACE.key(s.config) for s in proposed} == {SPACE.key(c) for c in CONFIGS[5:15]}


def test_the_start_is_among_what_was_good_where_sources_are_sparse():
    run = Run("new", Task("new"), LARGE)
    given = [rated(f"task {k}", 20, k) for k in range(3)]
    good = {LARGE.key(t.config) for source in given for t in source.ranked[:10]}
    found = play(learned_for(run, given), run, rate, 7, sources=given, seed=0)
    keys = [LARGE.key(trial.config) for trial in found.trials]
    assert set(keys[:5]) <= good
    assert not set(keys[5:]) <= good
    rich = [rated(f"task {k}", 80, k) for k in range(3)]
    first = next_one(learned_for(run, rich), History(run))
    assert LARGE.key(first.config) not in {LARGE.key(t.config) for s in rich for t in s.trials}


def test_the_start_after_sparse_sources_has_the_best_predicted_values():
    problem, given = Problem(100), [untimed(Problem(k).history(20, seed=k)) for k in range(3)]
    policy = train(problem.run(), given, np.random.default_rng(0))
    controller = learned(problem, given)
    history = History(problem.run())
    greedy = []
    for number in range(8):
        suggestion = next_one(controller, history)
        tried = [trial.config for trial in history.trials]
        left = [config for config in CONFIGS if config not in tried]
        observed = Observed.of(history, policy, EncodedTrials(SPACE, policy))
        x = vectors(SPACE, left)
        mean = observed.posterior.predict(x, policy.features(x)).mean
        greedy.append(suggestion.config == left[int(np.argmax(mean))])
        trial = Trial(str(number), number, suggestion)
        result = Result(problem(suggestion.config))
        history = History(history.run, (*history.trials, trial.with_result(result)))
    assert greedy[:5] == [True] * 5
    assert not all(greedy[5:])


# Evidence


def warped_prediction(policy, config, run_id=None, numbers=()):
    """Of a config before any result, if a source had never had the trials of these numbers."""
    sources = []
    for source in policy.sources:
        removed = source.history.run.run_id == run_id
        keep = [i for i, t in enumerate(source.trials) if not (removed and t.number in numbers)]
        trials = tuple(source.trials[i] for i in keep)
        sources.append(replace(source, trials=trials, x=source.x[keep], y=source.y[keep]))
    left = replace(policy, sources=tuple(sources))
    x = vectors(SPACE, [config])
    nothing = Evidence(x[:0], np.zeros((0, len(sources))), np.zeros(0))
    posterior = Posterior(left.kernels, left.weights, nothing)
    return float(posterior.predict(x, left.features(x)).mean[0])


def test_the_named_evidence_is_what_the_prediction_rests_on():
    named_changes, other_changes = [], []
    for seed in range(4):
        problem = Problem(100 + seed)
        policy = train(problem.run(), sources(), np.random.default_rng(seed))
        suggestion = next_one(learned(problem, sources(), seed), History(problem.run()))
        config, named = suggestion.config, suggestion.evidence["tasks"][0]
        numbers = {trial["number"] for trial in named["trials"]}
        (source,) = (s for s in policy.sources if s.history.run.run_id == named["run_id"])
        others = [t.number for t in source.trials if t.number not in numbers]
        whole = warped_prediction(policy, config)
        named_changes.append(
            abs(warped_prediction(policy, config, named["run_id"], numbers) - whole)
        )
        other_changes += [
            abs(warped_prediction(policy, config, named["run_id"], set(drawn)) - whole)
            for drawn in np.random.default_rng(seed).permutation(others)[:36].reshape(-1, 3)
        ]
    assert min(named_changes) > 0.0
    assert np.mean(named_changes) > 3.0 * np.mean(other_changes)


def test_evidence_names_decisions_that_matter_and_the_runs_own_trials():
    problem = Problem(100)
    history = history_of(problem.run(), [(c, problem(c)) for c in CONFIGS[::25]])
    suggestion = next_one(learned(problem, sources()), history)
    evidence = suggestion.evidence
    assert len(evidence["tasks"]) == 3
    assert evidence["own"]
    assert {entry["number"] for entry in evidence["own"]} <= set(range(len(history.trials)))
    assert evidence["no_transfer"] == pytest.approx(no_transfer(suggestion), abs=0.006)
    assert {one["parameter"] for one in evidence["decisions"]} <= set(CONFIGS[0])
    effects = {one["parameter"]: one["effect"] for one in evidence["decisions"]}
    alternatives = [
        problem(c)
        for c in CONFIGS
        if sum(c[k] != suggestion.config[k] for k in c) == 1 and c["op"] != suggestion.config["op"]
    ]
    true_effect = problem(suggestion.config) - np.mean(alternatives)
    assert effects["op"] == pytest.approx(true_effect, abs=0.1)

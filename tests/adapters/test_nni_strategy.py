"""Strategies, model spaces and engines of NNI's NAS, without starting NNI."""

import meta_nni.adapters.nni_nas_framework  # noqa: F401  before nni.nas

# isort: split
import json
import threading
import time
from pathlib import Path

import nni
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nni.common.hpo_utils import OptimizeMode
from nni.mutable import Categorical, CategoricalMultiple, MutableDict, Numerical
from nni.nas.execution import SequentialExecutionEngine
from nni.nas.space import BaseModelSpace, SimplifiedModelSpace, model_context
from nni.runtime.tuner_command_channel import CommandType

from meta_nni.adapters.nni_nas import FunctionalEvaluator, JsonModelSpace
from meta_nni.adapters.nni_nas_space import Samples
from meta_nni.adapters.nni_strategy import MetaStrategy
from meta_nni.adapters.nni_strategy_tuner import StrategyTuner
from meta_nni.controllers import RandomController
from meta_nni.space import SearchSpace, SpaceError
from meta_nni.store import ExperienceStore
from meta_nni.task import Task
from meta_nni.testing import play
from meta_nni.trial import Run

ROOT = Path(__file__).parents[2]
CHOICES = {
    "x": {"_type": "randint", "_value": [0, 4]},
    "group/op": {
        "_type": "choice",
        "_value": [{"_name": "a", "k": {"_type": "choice", "_value": [1, 3]}}, {"_name": "b"}],
    },
}
EVERYTHING = {
    **CHOICES,
    "wide": {"_type": "randint", "_value": [-5, 5000]},
    "u": {"_type": "uniform", "_value": [0.5, 1.5]},
    "q": {"_type": "quniform", "_value": [0, 1, 0.25]},
    "log": {"_type": "loguniform", "_value": [1e-4, 0.1]},
    "qlog": {"_type": "qloguniform", "_value": [1, 64, 1]},
    "n": {"_type": "normal", "_value": [1, 2]},
    "qn": {"_type": "qnormal", "_value": [10, 5, 0.5]},
    "ln": {"_type": "lognormal", "_value": [0, 1]},
    "flag": {"_type": "choice", "_value": [True, False]},
}


@nni.trace
class OwnSpace(BaseModelSpace):
    """What a user writes who has no search_space.json."""

    def __init__(self):
        self.own = MutableDict(
            {
                "op": Categorical(["conv", "pool"], label="op"),
                "rate": Numerical(0.001, 1.0, log_distributed=True, label="rate"),
                "drop": Numerical(0.0, 0.5, quantize=0.25, label="drop"),
            }
        )

    def leaf_mutables(self, is_leaf):
        return self.own.leaf_mutables(is_leaf)


def executable(spec, evaluate=None):
    return SimplifiedModelSpace.from_model(JsonModelSpace(spec), FunctionalEvaluator(evaluate))


def score(config):
    return config["x"] / 10 + (config["group/op"]["_name"] == "b") / 2


@pytest.fixture
def strategy(tmp_path, monkeypatch):
    """Makes a strategy on one store."""
    monkeypatch.delenv("NNI_CHECKPOINT_DIRECTORY", raising=False)

    def make(**arguments):
        defaults = {"store": str(tmp_path / "e.db"), "knowledge": "none", "controller": "random"}
        return MetaStrategy(**{**defaults, "seed": 1, "task": "t", **arguments})

    return make


class TestSamples:
    @settings(max_examples=50, deadline=None)
    @given(st.integers(0, 2**32 - 1))
    def test_configs_become_samples_and_back(self, seed):
        space = SearchSpace.from_nni(EVERYTHING)
        samples = Samples(space)
        config = space.sample(np.random.default_rng(seed))
        sample = samples.to_sample(config)
        executable(EVERYTHING).validate(sample)
        assert samples.to_config(sample) == config

    @settings(max_examples=50, deadline=None)
    @given(st.integers(0, 2**32 - 1))
    def test_what_nni_draws_is_a_config_of_the_space(self, seed):
        sample = {}
        executable(EVERYTHING).random(sample, np.random.RandomState(seed))
        space = SearchSpace.from_nni(EVERYTHING)
        config = Samples(space).to_config(sample)
        space.validate(config)
        assert type(config["x"]) is int
        assert type(config["u"]) is float

    def test_inactive_values_change_nothing(self):
        samples = Samples(SearchSpace.from_nni(CHOICES))
        assert samples.to_config({"x": 1, "group.op": "b", "group.op.a.k": 3}) == {
            "x": 1,
            "group/op": {"_name": "b"},
        }

    def test_a_wrong_value_is_named(self):
        samples = Samples(SearchSpace.from_nni(CHOICES))
        with pytest.raises(SpaceError, match=r'"group/op" is \'c\', expected choice'):
            samples.to_config({"x": 1, "group.op": "c"})

    def test_labels_that_would_be_equal_are_refused(self):
        spec = {name: {"_type": "choice", "_value": [1]} for name in ("a/b", "a.b")}
        with pytest.raises(SpaceError, match="rename"):
            Samples(SearchSpace.from_nni(spec))

    def test_a_model_space_of_the_users_own_is_read_from_its_mutables(self):
        assert Samples.of(SimplifiedModelSpace.from_model(OwnSpace())).space.to_nni() == {
            "op": {"_type": "choice", "_value": ["conv", "pool"]},
            "rate": {"_type": "loguniform", "_value": [0.001, 1.0]},
            "drop": {"_type": "quniform", "_value": [0.0, 0.5, 0.25]},
        }

    def test_other_mutables_are_refused(self):
        model_space = SimplifiedModelSpace(OwnSpace(), {"many": CategoricalMultiple([1, 2])}, None)
        with pytest.raises(SpaceError, match="CategoricalMultiple, expected a Categorical"):
            Samples.of(model_space)

    def test_a_json_space_keeps_its_conditions(self):
        assert Samples.of(executable(EVERYTHING)).space == SearchSpace.from_nni(EVERYTHING)


class TestJsonModelSpace:
    def test_in_a_trial_it_is_one_config(self):
        with model_context({"x": 2, "group.op": "a", "group.op.a.k": 3}):
            model = JsonModelSpace(CHOICES)
        assert model.config == {"x": 2, "group/op": {"_name": "a", "k": 3}}

    def test_outside_it_has_none(self):
        assert JsonModelSpace(CHOICES).config is None


def evaluate(model):
    if model.config["x"] == 0:
        raise ValueError("x is zero")
    nni.report_intermediate_result(score(model.config) / 2)
    nni.report_final_result(score(model.config))


def explore(strategy, count, evaluate=evaluate, spec=CHOICES):
    """Runs a strategy in this process, models that fail included."""
    engine = SequentialExecutionEngine(max_model_count=count, continue_on_failure=True)
    strategy(executable(spec, evaluate), engine)
    return strategy.history.trials


class TestMetaStrategy:
    def test_it_proposes_what_its_controller_proposes(self, strategy):
        run = Run("r", Task("t"), SearchSpace.from_nni(CHOICES))
        expected = play(RandomController(), run, score, 6, seed=1).trials
        trials = explore(strategy(), 6)
        assert [trial.config for trial in trials] == [trial.config for trial in expected]

    def test_results_go_to_the_store_and_failures_end_nothing(self, strategy, tmp_path):
        explorer = strategy()
        explore(explorer, 8)
        history = ExperienceStore.open(tmp_path / "e.db").history(explorer.run_id)
        assert len(history.trials) == 8
        assert {trial.state for trial in history.trials} == {"completed", "failed"}
        for trial in history.trials:
            assert (trial.state == "failed") == (trial.config["x"] == 0)
        for trial in history.completed:
            assert trial.value == score(trial.config)
            assert trial.result.curve == (trial.value / 2,)
            assert 0 <= trial.result.seconds < 60

    def test_it_ends_when_the_space_is_exhausted(self, strategy):
        assert len(explore(strategy(), 100)) == 12

    def test_isomorphic_cells_are_measured_once(self, strategy):
        spec = json.loads((ROOT / "search_spaces" / "nasbench201.json").read_text())
        for name, entry in spec.items():
            entry["_value"] = entry["_value"][: 1 if name != "edge_0_1" else 2]
        assert len(explore(strategy(), 10, lambda model: nni.report_final_result(1.0), spec)) == 1

    def test_the_best_models_are_those_of_the_history_in_its_direction(self, strategy):
        for mode, best in (("maximize", max), ("minimize", min)):
            explorer = strategy(optimize_mode=mode, task=mode)
            trials = [t for t in explore(explorer, 8) if t.value is not None]
            first, second = explorer.list_models(limit=2)
            assert first.metric == best(trial.value for trial in trials)
            assert first.sample in [
                Samples.of(explorer.model_space).to_sample(t.config) for t in trials
            ]
            assert best([first.metric, second.metric]) == first.metric

    def test_the_state_names_the_run_and_the_store_has_the_rest(self, strategy):
        first = strategy(task=None)
        before = explore(first, 5)
        state = json.loads(json.dumps(first.state_dict()))
        second = strategy(task=None)
        second.load_state_dict(state)
        after = explore(second, 4)
        assert second.run_id == first.run_id
        assert [t.config for t in after[:5]] == [t.config for t in before]
        assert [t.config for t in after] == [t.config for t in explore(strategy(task="u"), 9)]

    def test_unknown_arguments_are_named(self, strategy):
        with pytest.raises(ValueError, match=r"'stor'.*did you mean 'store'"):
            strategy(stor="e.db")


class Dispatcher:
    """NNI's side of a tuner: keeps what is sent."""

    def __init__(self, tuner, spec=CHOICES, rerun=()):
        self.tuner = tuner
        self.recovered_trial_params = dict(enumerate(rerun))
        self.sent = {}
        self.no_more = threading.Event()
        self.errors = []
        self.next_id = len(rerun)
        tuner.update_search_space(spec)

    def callback(self, parameter_id, config):
        self.sent[parameter_id] = config

    def send(self, command, data):
        assert command is CommandType.NoMoreTrialJobs
        self.no_more.set()

    def report_error(self, message):
        self.errors.append(message)

    def ask(self, count=1):
        """Asks for trials; returns the ids of those that are started soon."""
        ids = [*range(self.next_id, self.next_id + count)]
        self.next_id += count
        later = self.tuner.generate_multiple_parameters(ids, st_callback=self.callback)
        assert len(later) == count
        assert list(later) == []  # NNI starts none itself
        wait_for(lambda: set(ids) <= set(self.sent) or self.no_more.is_set() or self.errors)
        return [i for i in ids if i in self.sent]

    def play(self, count, value=score):
        """Lets trials run one after the other; returns their configs."""
        configs = []
        for _ in range(count):
            for i in self.ask():
                configs.append(self.sent[i])
                self.tuner.receive_trial_result(i, None, value(self.sent[i]))
                self.tuner.trial_end(i, True)
        return configs


def wait_for(condition):
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("waited ten seconds")


@pytest.fixture
def tuner(tmp_path, monkeypatch):
    """Makes strategy tuners, and ends them."""
    monkeypatch.setenv("NNI_CHECKPOINT_DIRECTORY", "/nni/experiment/checkpoint")
    made = []

    def make(strategy, **arguments):
        if strategy == "meta":
            store = {"store": str(tmp_path / "e.db"), "knowledge": "none", "controller": "random"}
            arguments = {**store, **arguments}
        made.append(StrategyTuner(strategy, seed=1, **arguments))
        return made[-1]

    yield make
    for each in made:
        each._on_exit()


SMALL = {"population_size": 2, "sample_size": 1}
ARGUMENTS = {"meta": {}, "regularized_evolution": SMALL, "tpe": {}, "random": {}, "grid_search": {}}


class TestStrategyTuner:
    @pytest.mark.parametrize("name", ARGUMENTS)
    def test_trials_get_plain_configs_and_strategies_their_values(self, tuner, name):
        dispatcher = Dispatcher(tuner(name, **ARGUMENTS[name]))
        configs = dispatcher.play(2 if name == "tpe" else 5)  # tpe sleeps a second each time
        space = SearchSpace.from_nni(CHOICES)
        assert len({space.key(config) for config in configs}) > 1
        models = dispatcher.tuner._opened.list_models()
        assert [model.metric for model in models] == [score(config) for config in configs]

    def test_tpe_looks_for_larger_values_which_is_not_its_default(self, tuner):
        assert tuner("tpe")._strategy.tuner.optimize_mode is OptimizeMode.Maximize
        minimizing = tuner("tpe", optimize_mode="minimize")
        assert minimizing._strategy.tuner.optimize_mode is OptimizeMode.Minimize

    def test_results_and_failures_of_meta_go_to_the_store(self, tuner, tmp_path):
        dispatcher = Dispatcher(tuner("meta"))
        first, second, third = dispatcher.ask(3)
        final = {"default": 0.5, "curve": [0.25, 0.5], "seconds": 3.0, "f1": 0.75}
        dispatcher.tuner.receive_trial_result(second, None, final)
        dispatcher.tuner.trial_end(second, True)
        dispatcher.tuner.receive_trial_result(first, None, {"reason": "out of memory"})
        dispatcher.tuner.trial_end(first, False)
        dispatcher.tuner.trial_end(third, True)
        dispatcher.tuner.receive_trial_result(third, None, 0.25)  # after its end
        history = ExperienceStore.open(tmp_path / "e.db").history("nni-experiment")
        assert [trial.config for trial in history.trials] == [dispatcher.sent[i] for i in range(3)]
        assert [trial.value for trial in history.trials] == [None, 0.5, 0.25]
        assert history.trials[0].result.reason == "out of memory"
        result = history.trials[1].result
        assert (result.curve, result.seconds, result.metrics) == ((0.25, 0.5), 3.0, {"f1": 0.75})

    @pytest.mark.parametrize("name", ["meta", "regularized_evolution", "random"])
    def test_a_resumed_run_goes_on_where_it_stopped(self, tuner, tmp_path, name):
        def named(store):
            return {"store": str(tmp_path / store)} if name == "meta" else {}

        whole = Dispatcher(tuner(name, **ARGUMENTS[name], **named("whole"))).play(7)
        begun = Dispatcher(tuner(name, **ARGUMENTS[name], **named("two")))
        begun.play(4)
        (interrupted,) = begun.ask()
        begun.tuner._on_exit()

        resumed = tuner(name, **ARGUMENTS[name], **named("two"))
        dispatcher = Dispatcher(resumed, rerun=[begun.sent[interrupted]])
        done = [{"parameter": begun.sent[i], "value": score(begun.sent[i])} for i in range(4)]
        resumed.import_data(done)
        ids = dispatcher.ask()
        # NNI runs the interrupted trial again by itself: the strategy goes on with the next.
        (new,) = [dispatcher.sent[i] for i in ids]
        assert new not in begun.sent.values()
        # Evolution would have known the interrupted trial's result before the next proposal.
        assert new == whole[5] or name == "regularized_evolution"
        again = begun.sent[interrupted]
        resumed.import_data([{"parameter": again, "value": score(again)}])
        resumed.receive_trial_result(ids[0], None, score(new))
        resumed.trial_end(ids[0], True)
        models = resumed._opened.list_models()
        assert [model.metric for model in models[-2:]] == [score(again), score(new)]

    def test_a_result_that_nni_may_have_mixed_up_is_measured_again(self, tuner):
        first = Dispatcher(tuner("random")).play(1)
        dispatcher = Dispatcher(tuner("random"))
        uncertain = [{"parameter": first[0], "value": 1.0, "trialJobId": "a"}]
        dispatcher.tuner.import_data(uncertain)
        assert dispatcher.play(1) == first

    @pytest.mark.parametrize("name", ["meta", "grid_search"])
    def test_an_exhausted_space_ends_the_experiment(self, tuner, name):
        dispatcher = Dispatcher(tuner(name), {"x": {"_type": "choice", "_value": [1, 2]}})
        configs = dispatcher.play(2, lambda config: 1.0)
        assert sorted(config["x"] for config in configs) == [1, 2]
        assert dispatcher.ask() == []
        assert dispatcher.no_more.is_set()

    def test_the_end_of_the_experiment_ends_the_strategy(self, tuner, tmp_path):
        dispatcher = Dispatcher(tuner("meta"))
        dispatcher.ask()
        dispatcher.tuner._on_exit()
        assert not dispatcher.tuner._thread.is_alive()
        history = ExperienceStore.open(tmp_path / "e.db").history("nni-experiment")
        assert [trial.state for trial in history.trials] == ["lost"]

    def test_an_error_of_the_strategy_is_reported(self, tuner):
        explorer = tuner("meta", data=None)
        dispatcher = Dispatcher(explorer)
        explorer._strategy._tuner.update_search_space = failing
        dispatcher.ask()
        assert dispatcher.errors == ["strategy meta stopped: OSError: no space left"]

    @pytest.mark.parametrize(
        ("strategy", "arguments", "message"),
        [
            ("evolution", {}, "'regularized_evolution'"),
            ("random", {"sed": 1}, "has no argument 'sed', .* did you mean 'seed'"),
            ("meta", {"stor": "x"}, "did you mean 'store'"),
        ],
    )
    def test_wrong_arguments_are_named(self, strategy, arguments, message):
        with pytest.raises(ValueError, match=message):
            StrategyTuner(strategy, **arguments)

    def test_tpe_says_what_it_cannot_search(self, tuner):
        with pytest.raises(SpaceError, match=r"choices only, and \['wide', 'u'"):
            tuner("tpe").update_search_space(EVERYTHING)

    def test_the_space_cannot_change(self, tuner):
        explorer = tuner("random")
        explorer.update_search_space(CHOICES)
        explorer.update_search_space(CHOICES)
        with pytest.raises(SpaceError, match="changed"):
            explorer.update_search_space({"x": CHOICES["x"]})


def failing(space):
    raise OSError("no space left")

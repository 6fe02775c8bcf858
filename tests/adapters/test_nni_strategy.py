"""Strategies, model spaces and engines of NNI's NAS, without starting NNI."""

import meta_nni.adapters.nni_nas_framework  # noqa: F401  before nni.nas

# isort: split
import json
from pathlib import Path

import nni
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nni.mutable import Categorical, CategoricalMultiple, MutableDict, Numerical
from nni.nas.execution import SequentialExecutionEngine
from nni.nas.space import BaseModelSpace, SimplifiedModelSpace, model_context
from nni_strategies import CHOICES, EVERYTHING, score

from meta_nni.adapters.nni_nas import FunctionalEvaluator, JsonModelSpace, nas_config
from meta_nni.adapters.nni_nas_space import Samples
from meta_nni.adapters.nni_strategy import MetaStrategy
from meta_nni.controllers import RandomController
from meta_nni.space import SearchSpace, SpaceError
from meta_nni.store import ExperienceStore
from meta_nni.task import Task
from meta_nni.testing import play
from meta_nni.trial import Run

ROOT = Path(__file__).parents[2]


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
    config = nas_config("sequential").execution_engine
    engine = SequentialExecutionEngine(count, continue_on_failure=config.continue_on_failure)
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

    def test_a_model_that_was_interrupted_runs_again(self, strategy):
        def interrupted(model):
            raise KeyboardInterrupt

        first = strategy(task=None)
        with pytest.raises(KeyboardInterrupt):
            explore(first, 1, interrupted)
        (before,) = first.history.trials
        second = strategy(task=None)
        second.load_state_dict(first.state_dict())
        (after,) = explore(second, 1, lambda model: nni.report_final_result(0.25))
        assert after.config == before.config
        assert after.value == 0.25

    def test_unknown_arguments_are_named(self, strategy):
        with pytest.raises(ValueError, match=r"'stor'.*did you mean 'store'"):
            strategy(stor="e.db")

"""StrategyTuner, told and asked as NNI does."""

import meta_nni.adapters.nni_nas_framework  # noqa: F401  before nni.nas

# isort: split
import threading
import time

import pytest
from nni.common.hpo_utils import OptimizeMode
from nni.runtime.tuner_command_channel import CommandType
from nni_strategies import CHOICES, EVERYTHING, score

from meta_nni.adapters.nni_strategy_tuner import StrategyTuner
from meta_nni.report import report_path
from meta_nni.space import SearchSpace, SpaceError
from meta_nni.store import ExperienceStore


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
    for _ in range(6000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("waited a minute")


@pytest.fixture
def tuner(tmp_path, monkeypatch):
    """Makes strategy tuners, and ends them."""
    monkeypatch.setenv("NNI_CHECKPOINT_DIRECTORY", "/nni/experiment/checkpoint")
    made = []

    def make(strategy, **arguments):
        ours = {"knowledge": "none", "controller": "random"} if strategy == "meta" else {}
        arguments = {"store": str(tmp_path / "e.db"), **ours, **arguments}
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
        assert minimizing._record._arguments.task.objective == "minimize"
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

    def test_results_of_nnis_own_strategies_go_to_the_store(self, tuner, tmp_path):
        dispatcher = Dispatcher(tuner("random", task="digits", recipe="quick"))
        ids = dispatcher.ask(3)
        dispatcher.tuner.receive_trial_result(ids[0], None, {"default": 0.5, "f1": 0.75})
        dispatcher.tuner.trial_end(ids[0], True)
        dispatcher.tuner.trial_end(ids[1], False)
        dispatcher.tuner.import_data([{"parameter": dispatcher.sent[ids[2]], "value": 0.25}])
        dispatcher.tuner._on_exit()
        store = ExperienceStore.open(tmp_path / "e.db")
        history = store.history("nni-experiment")
        assert (history.run.task.name, history.run.task.objective) == ("digits", "maximize")
        assert (history.run.recipe, store.seed("nni-experiment")) == ("quick", 1)
        assert [trial.config for trial in history.trials] == [dispatcher.sent[i] for i in ids]
        assert [trial.value for trial in history.trials] == [0.5, None, 0.25]
        assert [trial.suggestion.source for trial in history.trials] == 3 * ["random"]
        assert history.trials[0].result.metrics == {"f1": 0.75}
        assert "failed or was stopped" in history.trials[1].result.reason
        assert report_path(store.name, history).exists()

    @pytest.mark.parametrize("name", ["meta", "regularized_evolution", "random"])
    def test_a_resumed_run_goes_on_where_it_stopped(self, tuner, tmp_path, name):
        def named(store):
            return {"store": str(tmp_path / store)}

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
        assert report_path(str(tmp_path / "e.db"), history).exists()

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

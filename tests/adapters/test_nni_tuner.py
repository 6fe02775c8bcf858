import json
import logging

import nni
import numpy as np
import pytest
from nni.runtime.msg_dispatcher import MsgDispatcher
from nni.runtime.tuner_command_channel import CommandType

import meta_nni.adapters.nni_tuner
from meta_nni.adapters.nni_tuner import MetaTuner
from meta_nni.store import ExperienceStore

SPACE = {"x": {"_type": "choice", "_value": [1, 2, 3, 4]}}


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Makes a tuner as plain Python would; `experiment` makes it one of that experiment."""
    monkeypatch.delenv("NNI_CHECKPOINT_DIRECTORY", raising=False)

    def make(experiment=None, space=SPACE, **arguments):
        if experiment:
            monkeypatch.setenv("NNI_CHECKPOINT_DIRECTORY", f"/nni/{experiment}/checkpoint")
        defaults = {"store": str(tmp_path / "e.db"), "knowledge": "none", "controller": "random"}
        tuner = MetaTuner(**{**defaults, "seed": 1, **arguments})
        if space:
            tuner.update_search_space(space)
        return tuner

    return make


@pytest.fixture
def history(tmp_path):
    """Reads the only run of the store, or the one named."""

    def history(run_id=None):
        store = ExperienceStore.open(tmp_path / "e.db")
        return store.history(run_id or store.runs()[0].run_id)

    return history


def values(history):
    return {trial.config["x"]: trial.value for trial in history.trials}


def test_plain_python_needs_nothing_of_nni(make, history):
    tuner = make()
    first, second = tuner.generate_multiple_parameters([0, 1])
    third = tuner.generate_parameters(2)
    tuner.receive_trial_result(1, second, 0.25)
    tuner.receive_trial_result(0, first, {"default": 0.5, "curve": [0.1, 0.5], "f1": 0.75})
    tuner.trial_end(0, True)
    tuner.trial_end(2, False)
    trials = history().trials
    assert [trial.config for trial in trials] == [first, second, third]
    assert [trial.value for trial in trials] == [0.5, 0.25, None]
    assert [trial.state for trial in trials] == ["completed", "completed", "failed"]
    assert trials[0].result.curve == (0.1, 0.5)
    assert trials[0].result.metrics == {"f1": 0.75}


def test_the_same_seed_proposes_the_same(make):
    assert make().generate_multiple_parameters([0, 1, 2]) == make().generate_multiple_parameters(
        [0, 1, 2]
    )


def test_a_result_belongs_to_its_id_whatever_the_parameters_say(make, history):
    tuner = make()
    first, second = tuner.generate_multiple_parameters([0, 1])
    tuner.receive_trial_result(0, second, 0.5)
    tuner.receive_trial_result(1, "", 0.25)  # as NNI does after a partial list
    assert values(history()) == {first["x"]: 0.5, second["x"]: 0.25}


def test_a_value_beats_an_end_that_came_before_it(make, history):
    tuner = make()
    config = tuner.generate_parameters(0)
    tuner.trial_end(0, True)
    assert history().trials[0].state == "failed"
    tuner.receive_trial_result(0, config, 0.5)
    assert history().trials[0].state == "completed"


def test_a_dict_without_default_is_a_failure_and_the_search_goes_on(make, history, caplog):
    tuner = make()
    config = tuner.generate_parameters(0)
    tuner.receive_trial_result(0, config, {"accuracy": 0.5})
    assert "report one with nni.report_final_result" in caplog.text
    assert 'without "default"' in history().trials[0].result.reason
    assert tuner.generate_parameters(1) != config


def test_changing_a_proposal_changes_nothing_that_is_remembered(make, history):
    tuner = make()
    config = tuner.generate_parameters(0)
    x = config["x"]
    config["x"] = 99
    tuner.receive_trial_result(0, config, 0.5)
    tuner.generate_multiple_parameters([1, 2, 3])
    assert values(history())[x] == 0.5


def test_an_exhausted_space_gives_what_is_left(make):
    tuner = make()
    assert len(tuner.generate_multiple_parameters([0, 1, 2])) == 3
    assert len(tuner.generate_multiple_parameters([3, 4])) == 1
    assert tuner.generate_multiple_parameters([5]) == []
    with pytest.raises(nni.NoMoreTrialError):
        tuner.generate_parameters(6)


def test_a_trial_that_the_user_added_on_the_page_is_none_of_ours(make, history):
    make().trial_end(None, True)
    assert history().trials == ()


def test_each_proposal_is_explained_in_the_log(make, caplog):
    caplog.set_level(logging.INFO)
    tuner = make()
    config = tuner.generate_parameters(0)
    assert "trial 0: random" in caplog.text
    assert json.dumps(config) in caplog.text


def test_the_space_may_be_sent_again_but_not_changed(make):
    tuner = make()
    tuner.update_search_space(json.loads(json.dumps(SPACE)))
    with pytest.raises(ValueError, match="start a new experiment"):
        tuner.update_search_space({"x": {"_type": "choice", "_value": [1, 2]}})


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"stor": "e.db"}, "no argument 'stor'.*did you mean 'store'"),
        ({"store": 7}, "store is 7, expected a path"),
        ({"store": "mysql://host/x"}, "begins with 'mysql'"),
        ({"store": "/proc/none/e.db"}, "/proc/none"),
        ({"knowledge": "all"}, "knowledge is 'all', expected one of"),
        ({"controller": "metta"}, "controller is 'metta'.*did you mean 'meta'"),
        ({"optimize_mode": "max"}, "optimize_mode is 'max', expected one of"),
        ({"optimize_mode": ["maximize"]}, "optimize_mode is"),
        ({"metric": "acuracy"}, "metric is 'acuracy'.*did you mean 'accuracy'"),
        ({"metric": "mae", "optimize_mode": "maximize"}, "is to minimize; leave optimize_mode out"),
        ({"limits": {"parameters": "few"}}, "the limit of parameters is 'few'"),
        ({"objectives": ["value"]}, "objectives is"),
        ({"seed": "1"}, "seed is '1', expected an integer"),
        ({"seed": True}, "seed is True, expected an integer"),
        ({"seed": -1}, "seed is -1, expected an integer"),
        ({"task": 7}, "task is 7"),
        ({"task": {"metafeatures": {}}}, "no 'name'"),
        ({"data": "digits.npz"}, "data is 'digits.npz', expected a mapping"),
        ({"data": {"npz": "/none/digits.npz"}}, "/none/digits.npz.*no such file"),
        ({"data": {"npz": 7}}, "data npz is 7"),
        ({"data": {"h5": __file__}}, r"the keys \['h5'\], expected exactly one of"),
        ({"recipe": 1}, "recipe is 1"),
    ],
)
def test_the_constructor_refuses_bad_arguments(make, arguments, expected):
    with pytest.raises((ValueError, TypeError), match=expected):
        make(space=None, **arguments)


def test_a_call_before_the_space_says_so(make):
    with pytest.raises(RuntimeError, match="update_search_space first"):
        make(space=None).generate_parameters(0)


def test_the_run_says_what_it_is_about(make, history, tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "data.npz", x_train=rng.random((40, 3)), y_train=np.arange(40) % 2)
    task = {"name": "toy", "metafeatures": {"n_classes": 7.0}}
    make(task=task, data={"npz": str(tmp_path / "data.npz")}, recipe="toy-v1")
    run = history().run
    assert run.recipe == "toy-v1"
    assert run.environment["cores"] >= 1
    assert run.task.name == "toy"
    assert run.task.metafeatures["n_train"] == 40.0
    assert run.task.metafeatures["n_classes"] == 7.0  # the user's word counts


def test_a_resumed_run_does_not_compute_metafeatures_again(make, history, tmp_path, monkeypatch):
    np.savez(tmp_path / "data.npz", x_train=np.zeros((4, 3)), y_train=np.arange(4) % 2)
    data = {"npz": str(tmp_path / "data.npz")}
    make("exp1", data=data)
    computed = history().run.task.metafeatures
    monkeypatch.setattr(meta_nni.adapters.nni_tuner, "load_data", None)
    make("exp1", data=data)
    assert computed["n_train"] == 4.0
    assert history().run.task.metafeatures == computed


class TestResume:
    """A tuner that was stopped or killed, and another one of the same experiment."""

    @pytest.fixture
    def configs(self, make):
        """Three proposals, the first of them measured; then the tuner is gone."""
        tuner = make("exp1")
        configs = tuner.generate_multiple_parameters([0, 1, 2])
        tuner.receive_trial_result(0, configs[0], 0.5)
        return configs

    def test_what_was_interrupted_is_proposed_again_and_nothing_else(self, make, history, configs):
        tuner = make("exp1")
        again = tuner.generate_multiple_parameters([1, 2, 3])  # NNI counts anew
        assert again[:2] == configs[1:]
        assert again[2] not in configs
        tuner.receive_trial_result(1, again[0], 0.25)
        assert history("nni-exp1").trials[1].value == 0.25
        assert len(history("nni-exp1").trials) == 4

    def test_stopping_marks_what_is_awaited_as_lost(self, make, history):
        tuner = make("exp1")
        tuner.generate_multiple_parameters([0, 1])
        tuner.receive_trial_result(0, None, 0.5)
        tuner._on_exit()
        assert [trial.state for trial in history().trials] == ["completed", "lost"]

    def test_what_nni_runs_again_is_left_to_it(self, make, history, configs):
        dispatcher = Dispatcher(make("exp1", space=None))
        dispatcher.handle_initialize(SPACE)
        dispatcher.handle_import_data(
            [{"parameter": configs[0], "value": "0.5", "trialJobId": "a"}]
        )
        dispatcher.handle_add_customized_trial([{"parameter_id": 1, "parameters": configs[1]}])
        dispatcher.handle_request_trial_jobs(2)
        first, second = dispatcher.proposed
        assert first["parameters"] == configs[2]
        assert second["parameters"] not in configs
        assert history().trials[1].state == "running"
        metric = {"parameter_id": 1, "type": "FINAL", "value": "0.25"}
        dispatcher.handle_report_metric_data(metric)
        assert history().trials[1].value == 0.25

    def test_a_result_that_only_nni_kept_is_taken_over(self, make, history, configs):
        final = json.dumps({"default": 0.25, "config": configs[2]})
        entry = {"parameter": configs[1], "value": final, "trialJobId": "a"}  # mixed up by NNI
        make("exp1").import_data([entry])
        assert values(history()) == {configs[0]["x"]: 0.5, configs[1]["x"]: None} | {
            configs[2]["x"]: 0.25
        }

    def test_a_result_of_doubtful_origin_is_measured_again(self, make, history, configs):
        tuner = make("exp1")
        tuner.import_data([{"parameter": configs[1], "value": "0.25", "trialJobId": "a"}])
        assert history().trials[1].value is None
        assert tuner.generate_parameters(0) == configs[1]

    def test_another_space_is_refused(self, make, configs):
        with pytest.raises(ValueError, match="space"):
            make("exp1", space={"x": {"_type": "choice", "_value": [1, 2]}})


class TestImport:
    """Results that the user brings along."""

    def test_they_are_trials_of_the_run_and_not_proposed_again(self, make, history):
        tuner = make()
        tuner.import_data(
            [{"parameter": {"x": 1}, "value": 0.5}, {"parameter": {"x": 2}, "value": 0.25}]
        )
        assert values(history()) == {1: 0.5, 2: 0.25}
        proposed = tuner.generate_multiple_parameters([0, 1])
        assert sorted(config["x"] for config in proposed) == [3, 4]

    def test_one_bad_entry_stores_nothing(self, make, history):
        entries = [{"parameter": {"x": 1}, "value": 0.5}, {"parameter": {"x": 9}, "value": 0.25}]
        with pytest.raises(ValueError, match=r'imported result 2 .*"x" is 9'):
            make().import_data(entries)
        assert history().trials == ()

    def test_within_an_experiment_it_is_left_out_and_logged(self, make, history, caplog):
        entries = [{"parameter": {"x": 1}, "value": 0.5}, {"parameter": {"x": 9}, "value": 0.25}]
        make("exp1").import_data(entries)
        assert values(history()) == {1: 0.5}
        assert "imported result 2 is left out: its config does not belong" in caplog.text


class Dispatcher(MsgDispatcher):
    """NNI's own dispatcher without a connection."""

    def __init__(self, tuner):
        super().__init__("ws://_unittest_", tuner)
        self.sent = []

    def send(self, command, data):
        self.sent.append((command, data))

    @property
    def proposed(self):
        return [json.loads(data) for command, data in self.sent if command.name == "NewTrialJob"]


@pytest.mark.parametrize(
    "call",
    [
        lambda dispatcher: dispatcher.handle_initialize({"x": {"_type": "no such type"}}),
        lambda dispatcher: dispatcher.handle_request_trial_jobs(1),
        lambda dispatcher: dispatcher.handle_import_data([]),
    ],
)
def test_an_error_reaches_the_manager_whichever_callback_it_is_in(make, call):
    dispatcher = Dispatcher(make(space=None))
    with pytest.raises((ValueError, RuntimeError)):
        call(dispatcher)
    command, text = dispatcher.sent[-1]
    assert command is CommandType.Error
    assert text.startswith("MetaTuner stopped: ")


def test_the_dispatcher_learns_that_no_more_trials_are_left(make):
    dispatcher = Dispatcher(make())
    dispatcher.handle_request_trial_jobs(6)
    assert len(dispatcher.proposed) == 4
    assert dispatcher.sent[-1][0] is CommandType.NoMoreTrialJobs


def test_a_metric_by_name_has_its_direction_and_is_the_value(make, history):
    tuner = make(metric="mae")
    config = tuner.generate_parameters(0)
    tuner.receive_trial_result(0, config, {"default": 0.9, "mean_absolute_error": 2.5})
    assert history().run.task.objective == "minimize"
    assert history().run.metric == "val_mean_absolute_error"
    assert history().trials[0].value == 2.5


def test_limits_are_kept_with_the_run_and_what_they_lack_is_said(make, history, caplog):
    tuner = make(controller="meta", limits={"latency_ms": 5})
    for number, outcome in enumerate([{"default": 0.9}, {"default": 0.4, "latency_ms": 2.0}]):
        tuner.receive_trial_result(number, tuner.generate_parameters(number), outcome)
    assert history().best.value == 0.4
    assert "trial 0 reported no latency_ms" in caplog.text
    assert "trial 1 reported no" not in caplog.text

"""AshaAssessor: who goes on at a rung, and what the tuner is told of those who do not."""

import base64
import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nni.assessor import AssessResult
from nni.common.serializer import dump, load
from nni.runtime import msg_dispatcher
from nni.runtime.tuner_command_channel import CommandType

from meta_nni.adapters.nni_assessor import AshaAssessor
from meta_nni.adapters.nni_tuner import MetaTuner
from meta_nni.store import ExperienceStore


@pytest.fixture(autouse=True)
def unchanged(monkeypatch):
    """Leaves NNI as it was."""
    tell = msg_dispatcher.MsgDispatcher._earlystop_notify_tuner
    monkeypatch.setattr(msg_dispatcher.MsgDispatcher, "_earlystop_notify_tuner", tell)
    monkeypatch.setattr(msg_dispatcher, "dispatcher_env_vars", msg_dispatcher.dispatcher_env_vars)
    monkeypatch.setattr(msg_dispatcher, "_trial_history", {})


def lived(assessor, name, curve):
    """How many epochs of a curve are trained."""
    for epoch in range(1, len(curve) + 1):
        if assessor.assess_trial(name, curve[:epoch]) is AssessResult.Bad:
            return epoch
    assessor.trial_end(name, True)
    return len(curve)


def test_the_best_third_goes_on_at_each_rung():
    assessor = AshaAssessor(min_epochs=1, reduction_factor=3)
    lives = [lived(assessor, str(i), [value] * 9) for i, value in enumerate([5, 1, 3, 4, 6, 2])]
    # The first three at a rung go on; then the best third of all that reached it, rounded down.
    assert lives == [9, 9, 9, 1, 9, 1]


def test_later_rungs_are_as_hard_as_the_first():
    assessor = AshaAssessor(min_epochs=1, reduction_factor=2)
    curves = [[1, 1, 1, 1], [2, 2, 2, 2], [3, 0, 0, 0]]
    assert [lived(assessor, str(i), curve) for i, curve in enumerate(curves)] == [4, 4, 4]
    assert lived(assessor, "best so far", [4, 1.5, 1, 1]) == 4  # 4 counts, it was reached
    assert lived(assessor, "between", [3.5, 3.5, 3.5, 3.5]) == 4
    assert lived(assessor, "behind", [2.5, 2.5, 2.5, 2.5]) == 1


@pytest.mark.parametrize(
    ("minimum", "factor", "rungs"), [(1, 3, [1, 3, 9]), (2, 1.5, [2, 3, 5, 7])]
)
def test_rungs(minimum, factor, rungs):
    assessor = AshaAssessor(minimum, factor)
    assert [assessor._epochs(i) for i in range(len(rungs))] == rungs
    assert [assessor._reached(epochs) for epochs in rungs] == [*range(1, len(rungs) + 1)]
    assert assessor._reached(minimum - 1) == 0


@pytest.mark.parametrize(("max_epochs", "goes_on"), [(None, False), (3, False), (2, True)])
def test_no_training_is_stopped_at_its_end(max_epochs, goes_on):
    assessor = AshaAssessor(1, 2, max_epochs=max_epochs)
    for name in "ab":
        assert lived(assessor, name, [0, 9]) == 2
    assert assessor.assess_trial("behind", [1]) is AssessResult.Good
    assert (assessor.assess_trial("behind", [1, 1]) is AssessResult.Good) == goes_on


def test_results_that_come_together_are_judged_at_every_rung():
    one, other = AshaAssessor(1, 2), AshaAssessor(1, 2)
    for i in range(4):
        curve = [float(i)] * 4
        lived(one, str(i), curve)
        other.assess_trial(str(i), curve)
    assert one._rungs == other._rungs


def test_minimizing_is_maximizing_the_negative():
    values = [0.5, 0.1, 0.9, 0.3, 0.7, 0.2]
    up, down = AshaAssessor(1, 2), AshaAssessor(1, 2, "minimize")
    for i, value in enumerate(values):
        assert lived(up, str(i), [value] * 4) == lived(down, str(i), [-value] * 4)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_the_best_trial_so_far_is_never_stopped(values):
    assessor = AshaAssessor(1, 3)
    for i, value in enumerate(values):
        if value > max(values[:i], default=-1.0):
            assert lived(assessor, str(i), [value] * 3) == 3
        else:
            lived(assessor, str(i), [value] * 3)


@pytest.mark.parametrize("factor", [2, 3, 4.5])
def test_of_equal_trials_the_share_goes_on(factor):
    assessor = AshaAssessor(1, factor)
    lives = [lived(assessor, str(i), [0.1] * 2) for i in range(100)]
    assert lives.count(2) == int(100 / factor)
    assert lived(assessor, "better", [0.2] * 2) == 2
    assert lived(assessor, "worse", [0.0] * 2) == 1


def test_what_is_no_number_is_worst():
    assessor = AshaAssessor(1, 2)
    lives = [lived(assessor, str(v), [v] * 2) for v in (0.5, {"default": 0.4}, float("nan"), "x")]
    assert lives == [2, 2, 1, 1]


class Dispatcher(msg_dispatcher.MsgDispatcher):
    """NNI's own, without its channel."""

    def __init__(self, assessor):
        self.assessor = assessor
        self.sent, self.queued = [], []

    def send(self, command, data):
        self.sent.append((command, load(data)))

    def enqueue_command(self, command, data):
        self.queued.append((command, data))


def report(dispatcher, trial, curve):
    history = msg_dispatcher._trial_history.setdefault(trial, {})
    for sequence, value in enumerate(curve):
        assert len(history) == sequence
        dispatcher._handle_intermediate_metric_data(
            {
                "type": "PERIODICAL",
                "trial_job_id": trial,
                "parameter_id": 7,
                "sequence": sequence,
                "value": value,
            }
        )


def test_the_tuner_is_told_what_a_stopped_trial_reached():
    dispatcher = Dispatcher(AshaAssessor(2, 2))
    for i, value in enumerate((0.8, 0.9)):
        report(dispatcher, f"good{i}", [value, value])
    assert dispatcher.sent == dispatcher.queued == []
    report(dispatcher, "bad", [0.3, 0.2, 0.1])  # the third comes before NNI ends the trial
    assert dispatcher.sent == [(CommandType.KillTrialJob, "bad")]
    ((command, told),) = dispatcher.queued
    assert (command, told["type"], told["parameter_id"]) == (
        CommandType.ReportMetricData,
        "FINAL",
        7,
    )
    assert told["value"] == dump({"default": 0.3, "curve": [0.3, 0.2], "budget": {"epochs": 2.0}})


@pytest.fixture
def beside(monkeypatch, tmp_path):
    """Lets an assessor be made in an experiment whose tuner has these classArgs."""

    def make(tuner, **arguments):
        config = {"tuner": {"classArgs": tuner}, "trialCodeDirectory": str(tmp_path)}
        params = base64.b64encode(json.dumps(config).encode()).decode()
        monkeypatch.setattr(sys, "argv", ["nni", "--exp_params", params])
        return AshaAssessor(**arguments)

    return make


class TestBesideATuner:
    @pytest.mark.parametrize(
        ("tuner", "arguments", "sign"),
        [
            ({}, {}, 1),
            ({"optimize_mode": "minimize"}, {}, -1),
            ({"metric": "mae"}, {}, -1),
            ({"metric": "log_loss"}, {"metric": "log_loss"}, -1),
            ({"metric": "log_loss"}, {"metric": "accuracy"}, 1),
            ({"metric": "log_loss"}, {"optimize_mode": "maximize"}, 1),
            ({"optimize_mode": "minimize"}, {"metric": "mae"}, -1),
            ({"optimize_mode": "least", "metric": 3}, {}, 1),  # another tuner's own
        ],
    )
    def test_its_direction_is_taken_where_nothing_else_is_said(
        self, beside, tuner, arguments, sign
    ):
        assert beside(tuner, **arguments)._sign == sign

    @pytest.mark.parametrize(
        "arguments", [{"optimize_mode": "maximize"}, {"metric": "accuracy"}], ids=str
    )
    def test_another_direction_is_named(self, beside, arguments):
        with pytest.raises(ValueError, match=r"to maximize, but the tuner's .* is 'minimize'"):
            beside({"optimize_mode": "minimize"}, **arguments)

    @pytest.mark.parametrize("own", [None, "accuracy"])
    def test_what_is_in_another_metric_is_a_failure(self, beside, monkeypatch, tmp_path, own):
        monkeypatch.chdir(tmp_path)
        monkeypatch.delenv("NNI_CHECKPOINT_DIRECTORY", raising=False)
        assessor = beside({"metric": "log_loss"}, metric=own)
        tuner = MetaTuner(store="e.db", knowledge="none", controller="random", metric="log_loss")
        tuner.update_search_space({"x": {"_type": "choice", "_value": [1, 2]}})
        tuner.generate_multiple_parameters([0, 1])
        tuner.receive_trial_result(0, None, {"default": 0.9, "log_loss": 0.35})
        tuner.receive_trial_result(1, None, assessor._partial([0.05, 0.1]))
        history = ExperienceStore.open("e.db").history(tuner._run_id)
        assert history.best.value == 0.35
        (stopped,) = history.failed
        assert "is no log_loss, the tuner's metric" in stopped.result.reason
        assert stopped.result.reason.endswith(f"is {own!r}")
        assert stopped.result.budget == {"epochs": 2.0}

    def test_what_is_in_the_tuners_metric_is_a_short_training(self, beside):
        final = beside({"metric": "mae"}, metric="mean_absolute_error")._partial([0.5, 0.3, 0.4])
        assert final == {"default": 0.3, "curve": [0.5, 0.3, 0.4], "budget": {"epochs": 3.0}}


def test_a_stopped_trial_without_a_number_is_a_failure():
    final = AshaAssessor()._partial([float("nan"), "x"])
    assert "default" not in final
    assert "no result was a finite number" in final["reason"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"min_epochs": 0}, "min_epochs is 0, expected a whole number"),
        ({"min_epochs": 1.5}, "min_epochs is 1.5"),
        ({"reduction_factor": 1}, "reduction_factor is 1, expected a number above 1"),
        ({"optimize_mode": "max"}, "optimize_mode is 'max', expected 'maximize' or"),
        ({"metric": "acuracy"}, "metric is 'acuracy'.* did you mean 'accuracy'"),
        ({"metric": "f1", "optimize_mode": "minimize"}, "'f1' is to maximize; leave optimize_mode"),
        ({"min_epochs": float("nan")}, "min_epochs is nan"),
        ({"min_epochs": float("inf")}, "min_epochs is inf"),
        ({"max_epochs": 1}, "max_epochs is 1, expected a whole number from 2 on"),
        ({"epochs": 3}, r"no arguments \['epochs'\], only"),
    ],
)
def test_wrong_arguments_are_named(wrong, message):
    with pytest.raises(ValueError, match=message):
        AshaAssessor(**wrong)

import os
import threading
import time

import nni
import pytest

from meta_nni.adapters.nni_trial import run_trial
from meta_nni.trial import Result

CONFIG = {"x": 3}


class Channel(nni.runtime.trial_command_channel.TrialCommandChannel):
    """NNI's side of a trial: hands out one config and keeps what is reported."""

    def __init__(self, record):
        self.record = record
        self.sent = []

    def receive_parameter(self):
        return self.record

    def send_metric(self, type, parameter_id, trial_job_id, sequence, value):
        self.sent.append((type, value))

    @property
    def final(self):
        return dict(self.sent)["FINAL"]


@pytest.fixture
def channel(monkeypatch):
    channel = Channel({"parameter_id": 7, "parameters": dict(CONFIG)})
    monkeypatch.setattr(nni.runtime.trial_command_channel, "_channel", channel)
    monkeypatch.setattr(nni.trial, "_trial_id", "abcde")
    monkeypatch.setattr(nni.trial, "_params", None)
    monkeypatch.setattr(nni.trial, "_intermediate_seq", 0)
    return channel


def test_reports_the_curve_and_one_final_dict(channel):
    def evaluate(config, report):
        report(0, 0.25)
        report(1, float("nan"))
        report(2, 0.5)
        config["x"] = 4  # an evaluator may do with its config what it likes
        return Result(0.5, curve=[0.25, 0.5], metrics={"f1": 0.75}, budget={"epochs": 2})

    run_trial(evaluate)
    assert channel.sent[:-1] == [("PERIODICAL", 0.25), ("PERIODICAL", 0.5)]
    assert channel.final["seconds"] > 0
    assert {**channel.final, "seconds": 0} == {
        "default": 0.5,
        "curve": [0.25, 0.5],
        "seconds": 0,
        "f1": 0.75,
        "budget": {"epochs": 2},
        "config": CONFIG,
        "parameter_id": 7,
    }


def raising(error):
    def evaluate(config, report):
        raise error

    return evaluate


@pytest.mark.parametrize(
    ("evaluate", "reason"),
    [
        (raising(ValueError("bad\nvery bad")), "ValueError: bad"),
        (raising(MemoryError()), "MemoryError"),
        (lambda config, report: Result.failed("too many parameters"), "too many parameters"),
        (lambda config, report: Result(float("nan")), "the value is nan, expected a finite number"),
        (lambda config, report: 0.5, "TypeError: the evaluator returned 0.5, expected a"),
    ],
)
def test_failures_are_reported_with_their_reason(channel, evaluate, reason):
    with pytest.raises(SystemExit, match="1"):
        run_trial(evaluate)
    assert channel.final["reason"].startswith(reason)
    assert channel.final["config"] == CONFIG
    assert "default" not in channel.final


def test_a_cancelled_trial_reports_nothing(channel):
    with pytest.raises(KeyboardInterrupt):
        run_trial(raising(KeyboardInterrupt()))
    assert channel.sent == []


def test_outside_nni_it_says_so():
    with pytest.raises(RuntimeError, match="nnictl create"):
        run_trial(raising(ValueError("not to be called")))


def test_a_closed_connection_ends_the_trial(channel):
    channel.record = None
    with pytest.raises(SystemExit, match="closed the connection"):
        run_trial(raising(ValueError("not to be called")))


def test_a_trial_whose_time_is_up_reports_that_itself(channel, monkeypatch):
    ended = threading.Event()

    def end(status):  # the process would end here
        assert status == 1
        ended.set()
        time.sleep(60)

    monkeypatch.setattr(os, "_exit", end)
    with pytest.raises(SystemExit, match="1"):
        run_trial(lambda config, report: late(ended), max_seconds=0.01)
    assert [kind for kind, _ in channel.sent] == ["FINAL"]  # not the value that came later
    assert channel.final["reason"] == "the trial took longer than max_seconds=0.01"
    assert channel.final["seconds"] == 0.01


def late(ended):
    assert ended.wait(10)
    raise ValueError("never reported")


def test_a_trial_without_memory_is_a_failure(channel):
    with pytest.raises(SystemExit, match="1"):
        run_trial(lambda config, report: Result(len(bytearray(2**32))), max_memory_mb=2**10)
    assert channel.final["reason"].startswith("MemoryError")

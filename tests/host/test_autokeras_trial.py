"""The limits of a trial, and what is recorded of it."""

from types import SimpleNamespace

import keras_tuner
import pytest
from autokeras_projects import tabular

from meta_nni.adapters.autokeras_trial import (
    DeadlineCallback,
    TrialCallback,
    TrialRecord,
    failure_reason,
)
from meta_nni.trial import Suggestion

pytestmark = pytest.mark.host

OBJECTIVE = keras_tuner.Objective("val_loss", "min")
FAILED = keras_tuner.errors.FailedTrialError


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def watching(clock, limit=10.0, steps=100):
    callback = TrialCallback(OBJECTIVE, clock, limit)
    callback.set_params({"steps": steps})
    callback.set_model(SimpleNamespace(stop_training=False))
    return callback


def test_a_trial_without_an_epoch_fails_when_time_is_up(clock):
    callback = watching(clock)
    clock.now = 9.0
    callback.on_train_batch_end(0)
    clock.now = 11.0
    for on_batch in (callback.on_train_batch_end, callback.on_test_batch_end):
        with pytest.raises(FAILED, match="no epoch ended within the limit of 10 s"):
            on_batch(1)


def test_a_trial_with_an_epoch_ends_and_counts(clock):
    callback = watching(clock)
    callback.on_epoch_end(0, {"val_loss": 0.5})
    clock.now = 11.0
    callback.on_train_batch_end(0)
    assert callback.model.stop_training
    assert callback.curve == [0.5]


def test_a_trial_whose_pace_is_hopeless_fails_at_once(clock):
    callback = watching(clock)
    for batch in range(8):
        clock.now = 1.0 + 0.2 * batch
        callback.on_train_batch_end(batch)
    clock.now = 1.0 + 0.2 * 8
    with pytest.raises(FAILED, match="one epoch would take about 21 s, the limit is 10 s"):
        callback.on_train_batch_end(8)


def test_a_slow_first_batch_is_no_pace(clock):
    callback = watching(clock)
    for batch in range(50):  # tracing took 5 s
        clock.now = 5.0 + 0.05 * batch
        callback.on_train_batch_end(batch)
    assert not callback.model.stop_training


def test_no_limit_is_none(clock):
    callback = watching(clock, limit=None)
    clock.now = 1e9
    callback.on_train_batch_end(0)
    callback.on_test_batch_end(0)
    assert not callback.model.stop_training


def test_a_value_that_is_not_finite_ends_the_trial(clock):
    callback = watching(clock)
    with pytest.raises(FAILED, match="val_loss is nan after the first epoch: training diverged"):
        callback.on_epoch_end(0, {"val_loss": float("nan")})
    callback.on_epoch_end(0, {"val_loss": 1.0})
    callback.on_epoch_end(1, {"val_loss": float("inf")})
    assert callback.model.stop_training
    assert callback.curve == [1.0]


def test_a_deadline_stops_a_training():
    left = [1.0]
    callback = DeadlineCallback(lambda: left[0])
    callback.set_model(SimpleNamespace(stop_training=False))
    callback.on_train_batch_end(0)
    assert not callback.model.stop_training
    left[0] = 0.0
    callback.on_train_batch_end(1)
    assert callback.model.stop_training


def test_a_record_comes_back(tmp_path):
    record = TrialRecord(
        3.5, [0.5, float("nan"), 0.4], {"a": 1.0, "b": float("inf")}, {"epochs": 2.0}
    )
    record.write(tmp_path)
    result = TrialRecord.read(tmp_path).result(0.5)
    assert (result.value, result.seconds, result.curve) == (0.5, 3.5, (0.5,))
    assert (result.metrics, result.budget, result.reason) == ({"a": 1.0}, {"epochs": 2.0}, None)


def test_a_missing_or_damaged_record_is_an_empty_one(tmp_path):
    assert TrialRecord.read(tmp_path) == TrialRecord()
    (tmp_path / "meta_nni.json").write_text('{"seconds": 1, "of_another_version": 2}')
    assert TrialRecord.read(tmp_path) == TrialRecord()
    (tmp_path / "meta_nni.json").write_text('{"seconds": 1')
    assert TrialRecord.read(tmp_path) == TrialRecord()
    assert "no reason known" in TrialRecord().result(None).reason


class ResourceExhaustedError(Exception):
    """As TensorFlow's."""


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError(), "out of memory: no details"),
        (ResourceExhaustedError("OOM when allocating\nmore"), "out of memory: OOM when allocating"),
        (FAILED("Oversized model: 9 parameters."), "Oversized model: 9 parameters."),
        (ValueError("negative size\nof a layer"), "ValueError: negative size"),
    ],
)
def test_a_failure_has_a_reason(error, reason):
    assert failure_reason(error) == reason


def test_the_last_fit_keeps_its_time(tmp_path):
    """Ten seconds for five epochs, so 40 for the twenty of the last fit."""
    tuner = tabular(tmp_path, max_total_seconds=100, seconds_per_trial=50).tuner
    tuner._epochs = 20
    for remaining, limit in ((95, 50), (70, 50)):
        tuner._remaining = lambda remaining=remaining: remaining
        assert tuner._trial_limit() == limit
    trial = keras_tuner.engine.trial.Trial(
        keras_tuner.HyperParameters(), trial_id="0", status="COMPLETED"
    )
    trial.score = 0.5
    tuner.oracle.trials["0"] = trial
    TrialRecord(10.0, [0.5] * 5).write(tuner.get_trial_dir("0"))
    assert tuner._trial_limit() == 30
    assert not tuner._is_over()
    for remaining in (39, 49):  # no trial was shorter than ten seconds
        tuner._remaining = lambda remaining=remaining: remaining
        assert tuner._is_over()


def test_what_is_predicted_to_take_too_long_is_not_proposed(tmp_path):
    tuner = tabular(tmp_path, seconds_per_trial=50).tuner
    objection = tuner._objection(None, None, Suggestion({}, "adapted", seconds=500.0), 120)
    assert objection == "predicted to take 500 s, the limit is 50 s"

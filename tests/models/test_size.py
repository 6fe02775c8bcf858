"""What models cost to use; a clock of its own instead of the machine's."""

import itertools

import numpy as np
import pytest

from meta_nni.models.problem import Problem
from meta_nni.models.size import few_rows, latency_ms, model_mb
from meta_nni.models.training import Candidate

pytestmark = pytest.mark.host


def candidate(decode=None):
    import keras

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8)])
    model.compile("sgd", "mse")
    x, y = np.zeros((3, 4), np.float32), np.zeros(3)
    return Candidate(model, x, y, x, y, lambda rows: rows, 2, decode=decode)


def clock(*durations):
    """Shows when three predictions begin, and begin and end of those that take so long."""
    now, shown = 0.0, [0.0] * 3
    for seconds in itertools.islice(itertools.cycle(durations), 30):
        shown += [now, now + seconds]
        now += seconds
    return iter(shown).__next__


def test_latency_is_the_median_after_warm_up():
    decoded = []
    given = candidate(lambda raw: decoded.append(raw.shape) or raw)
    assert latency_ms(given, 5, clock(0.002, 0.001, 0.009)) == pytest.approx(2.0)
    assert len(decoded) == 3 + 30
    assert set(decoded) == {(5, 8)}


def test_a_slow_model_is_measured_five_times():
    decoded = []
    given = candidate(lambda raw: decoded.append(raw.shape) or raw)
    assert latency_ms(given, 2, clock(1.0)) == pytest.approx(1000.0)
    assert len(decoded) == 3 + 5


def test_a_batch_without_rows_is_refused():
    with pytest.raises(ValueError, match="latency_batch is 0, expected 1 or more"):
        latency_ms(candidate(), 0)


def test_megabytes_are_those_of_the_weights():
    assert model_mb(candidate().model) == (4 * 8 + 8) * 4 / 2**20


@pytest.mark.parametrize("kind", ["image", "text"])
def test_few_rows_keep_every_class_but_texts_need_all(kind):
    x, y = np.arange(50), np.repeat(np.arange(5), 10)
    few = few_rows(Problem(kind, "classification", x, y, x, y, np.arange(5)))
    assert np.unique(few.y).tolist() == [0, 1, 2, 3, 4]
    assert len(few.y) == (5 if kind == "image" else 50)

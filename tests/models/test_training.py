"""Training with a small network and a clock of its own."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from meta_nni.metrics import METRICS
from meta_nni.models.training import Budget, Candidate, Failure, fit

pytestmark = pytest.mark.host

ACCURACY = METRICS["accuracy"]
BUDGET = Budget(epochs=4, patience=4)


def ignore(epoch, value):
    pass


def make(learning_rate=0.05, rows=64, **kwargs):
    import keras

    keras.utils.set_random_seed(1)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows + 40, 4)).astype(np.float32)
    y = (x[:, 0] > 0).astype(np.int64)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, activation="softmax")])
    model.compile(keras.optimizers.Adam(learning_rate), "sparse_categorical_crossentropy")
    parts = (x[:rows], y[:rows], x[rows:], y[rows:])
    return Candidate(model, *parts, transform=lambda x: x, batch_size=8, **kwargs)


def ticks(*seconds):
    """A clock that shows these seconds, then the last one for ever."""
    shown = itertools.chain(seconds, itertools.repeat(seconds[-1]))
    return lambda: next(shown)


def test_the_best_epoch_counts_and_its_weights_stay():
    candidate, reports = make(), []
    fitted = fit(candidate, ACCURACY, BUDGET, lambda *r: reports.append(r), lambda: 0.0)
    assert reports == list(enumerate(fitted.curve))
    assert len(fitted.curve) == 4
    assert fitted.parameters == 10
    predicted = candidate.model.predict(candidate.x_val, verbose=0)
    assert np.allclose(predicted, fitted.predicted, atol=1e-6)
    accuracy = np.mean(predicted.argmax(axis=1) == candidate.y_val)
    assert accuracy == pytest.approx(max(fitted.curve))
    assert accuracy > 0.7


def test_the_same_seed_gives_the_same_curve():
    curves = [fit(make(), ACCURACY, BUDGET, ignore, lambda: 0.0).curve for _ in range(2)]
    assert curves[0] == curves[1]


def test_training_stops_when_patience_ends():
    budget = replace(BUDGET, epochs=20, patience=2)
    fitted = fit(make(learning_rate=0.0), ACCURACY, budget, ignore, lambda: 0.0)
    assert len(fitted.curve) == 3


def test_too_many_parameters_fail_before_training():
    budget = replace(BUDGET, max_parameters=9)
    with pytest.raises(Failure, match="10 parameters, the limit is 9"):
        fit(make(), ACCURACY, budget, ignore, lambda: 0.0)


def test_without_an_epoch_in_time_the_candidate_fails():
    budget = replace(BUDGET, max_seconds=5.0)
    with pytest.raises(Failure, match="no epoch ended within the limit of 5 s"):
        fit(make(), ACCURACY, budget, ignore, ticks(0.0, 6.0))


def test_when_time_is_up_the_best_epoch_so_far_counts():
    # 8 batches an epoch, each read twice in the first one, and one batch of predictions.
    budget = replace(BUDGET, max_seconds=5.0)
    clock = ticks(*[0.0] * 20, 6.0)
    fitted = fit(make(), ACCURACY, budget, ignore, clock)
    assert len(fitted.curve) == 1


def test_a_hopeless_pace_fails_early():
    budget = replace(BUDGET, max_seconds=100.0)
    clock = itertools.count(step=0.5)  # a second a batch, as each batch reads it twice
    with pytest.raises(Failure, match=r"one epoch would take about 12\d+ s, the limit is 100 s"):
        fit(make(rows=10_000), ACCURACY, budget, ignore, lambda: next(clock))
    assert next(clock) < 20


def test_divergence_is_a_failure():
    candidate = make()
    candidate.x[:] = np.nan
    with pytest.raises(Failure, match="not finite after the first epoch"):
        fit(candidate, ACCURACY, BUDGET, ignore, lambda: 0.0)


@pytest.mark.parametrize(
    ("metric", "y_val", "expected"),
    [
        ("auc", np.ones(40, np.int64), "auc is undefined on the 40 rows .* one target only"),
        ("r2", np.ones(40), "r2 is undefined on the 40 rows .* one target only"),
        ("map_50", np.full((40, 1, 5), -1.0), "map_50 is undefined on the 40 rows .* no box"),
    ],
)
def test_an_undefined_metric_is_no_divergence(metric, y_val, expected):
    candidate = replace(make(), y_val=y_val)
    with pytest.raises(Failure, match=expected):
        fit(candidate, METRICS[metric], BUDGET, ignore, lambda: 0.0)


def test_the_best_epoch_of_a_loss_is_the_smallest():
    fitted = fit(make(), METRICS["log_loss"], BUDGET, ignore, lambda: 0.0)
    assert fitted.curve[fitted.best_epoch] == min(fitted.curve)
    assert fitted.curve[0] > fitted.curve[-1]


def test_predictions_are_decoded_before_they_are_scored():
    shown = fit(make(decode=lambda raw: 1 - raw), ACCURACY, BUDGET, ignore, lambda: 0.0)
    plain = fit(make(), ACCURACY, BUDGET, ignore, lambda: 0.0)
    assert np.allclose(1 - np.array(shown.curve), plain.curve)


def test_given_batches_are_trained_on():
    import keras

    class Batches(keras.utils.PyDataset):
        drawn = 0

        def __len__(self):
            return 2

        def __getitem__(self, index):
            self.drawn += 1
            return np.zeros((8, 4), np.float32), np.ones(8, np.int64)

    candidate = make(batches=Batches())
    fit(candidate, ACCURACY, BUDGET, ignore, lambda: 0.0)
    assert candidate.batches.drawn >= 2 * BUDGET.epochs
    assert (candidate.predict(np.zeros((1, 4), np.float32)).argmax(axis=1) == 1).all()

"""Whole searches on a task that one operation alone can solve, and how they resume."""

import itertools
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from stripes import FEW, SmallDarts, SmallEnas

from meta_nni.checkpoint import CheckpointError, write_checkpoint
from meta_nni.models.problem import load_problem
from meta_nni.oneshot import DartsSearch, EnasSearch
from meta_nni.oneshot.engine import Score
from meta_nni.oneshot.space import softmax

CONV = FEW.operations.index("nor_conv_3x3")


def sees_stripes(config):
    """Whether a path from the input to the output of the cell has a 3x3 convolution."""
    for path in ((0, 3), (0, 1, 3), (0, 2, 3), (0, 1, 2, 3)):
        operations = [config[f"edge_{a}_{b}"] for a, b in itertools.pairwise(path)]
        if "nor_conv_3x3" in operations and "none" not in operations:
            return True
    return False


def make_darts(data, **settings):
    return SmallDarts(
        "nasbench201",
        data,
        **{"epochs": 8, "batch_size": 16, "rate": 0.1, "alpha_rate": 0.1, **settings},
    )


def make_enas(data, **settings):
    return SmallEnas(
        "nasbench201",
        data,
        **{"epochs": 6, "batch_size": 16, "rate": 0.1, "candidates": 6, **settings},
    )


@pytest.mark.host
def test_darts_derives_the_operation_that_the_task_needs(stripes):
    found = make_darts(stripes, max_skips=None).run()
    assert found.config["edge_0_3"] == "nor_conv_3x3"
    assert found.curve[-1] > 0.9
    assert found.children[-1][0] == found.config


@pytest.mark.host
def test_enas_learns_the_operation_that_the_task_needs(stripes):
    found = make_enas(stripes).run()
    values = {True: [], False: []}
    for config, result in found.children:
        values[sees_stripes(config)].append(result.value)
    assert sees_stripes(found.config)
    assert max(values[True]) > 0.9
    assert np.mean(values[False]) < 0.7  # what cannot see them guesses


def test_architecture_gradients_are_the_slopes_of_the_validation_loss(stripes):
    """On a supernet: central differences of each of the 24 architecture weights."""
    import tensorflow as tf

    search = make_darts(stripes)
    engine = search._engine(FEW, load_problem(stripes, None, 0.5))
    engine.alphas.assign(np.random.default_rng(1).normal(0, 0.5, engine.alphas.shape))
    shared, at = engine._shared, engine.alphas.numpy().astype(np.float64)
    (train, valid), *_ = zip(
        *(shared.batches(half, np.random.default_rng(0)) for half in ("train", "valid")),
        strict=True,
    )
    loss = tf.function(lambda gates: shared.loss(valid, gates))
    expected = np.zeros_like(at)
    for place in np.ndindex(*at.shape):
        move = np.zeros_like(at)
        move[place] = 0.05
        above, below = (loss(tf.constant(softmax(at + sign * move))) for sign in (1, -1))
        expected[place] = (above - below) / 0.1
    np.testing.assert_allclose(
        engine.gradient(train, valid), expected, atol=0.02 * np.abs(expected).max()
    )


class _Stop(Exception):
    pass


@pytest.mark.host
@pytest.mark.parametrize(
    ("make", "settings"), [(make_darts, {"order": 2, "warmup": 0}), (make_enas, {})]
)
def test_a_resumed_search_ends_as_one_that_ran_through(stripes, tmp_path, make, settings):
    search = make(stripes, epochs=3, samples=64, **settings)
    whole = search.run()

    def stop(epoch, epochs, accuracy):
        if epoch == 1:
            raise _Stop

    broken = replace(search, checkpoint=tmp_path / "search.npz")
    with pytest.raises(_Stop):
        broken.run(stop)
    epochs = []
    resumed = broken.run(lambda epoch, epochs_, accuracy: epochs.append(epoch))
    assert epochs == [2, 3]
    assert replace(resumed, seconds=whole.seconds) == whole
    again = broken.run(stop)  # nothing is left to train
    assert again.config == whole.config


@pytest.mark.host
def test_a_resumed_search_keeps_the_start_that_it_began_with(stripes, tmp_path):
    starts = []

    class Watched(SmallEnas):
        def _engine(self, cells, problem):
            starts.append(self.initial)
            return super()._engine(cells, problem)

    settings = {"epochs": 1, "steps": 1, "candidates": 1, "checkpoint": tmp_path / "search.npz"}
    begun = Watched("nasbench201", stripes, initial={"edge_0_3": np.full(4, 0.25)}, **settings)
    found = begun.run()
    text = {"npz": str(stripes["npz"])}
    for initial in (None, {"edge_0_1": [0.7, 0.1, 0.1, 0.1]}):
        again = replace(begun, initial=initial, data=text)
        assert again.run().children == found.children
        assert again.initial is initial
    assert starts[1:] == [{"edge_0_3": [0.25] * 4}] * 2


@pytest.mark.host
def test_a_checkpoint_of_another_search_is_refused(stripes, tmp_path):
    file = tmp_path / "search.npz"
    make_enas(stripes, epochs=1, steps=1, candidates=1, checkpoint=file).run()
    with pytest.raises(ValueError, match=r"is of a search with \{'rate': '0.1'\}, expected"):
        make_enas(stripes, epochs=1, steps=1, candidates=1, checkpoint=file, rate=0.2).run()
    file.write_bytes(b"no archive")
    with pytest.raises(ValueError, match=r"search\.npz is no checkpoint .*remove it"):
        make_enas(stripes, epochs=1, steps=1, candidates=1, checkpoint=file).run()


CHILD = {"config": {}, "accuracy": 0.5, "budget": {"epochs": 1.0, "validation_rows": 9.0}}
LOG = {"curve": [0.5], "seconds": 1.0, "children": {}}


@pytest.mark.parametrize(
    "change",
    [
        {"settings": None},
        {"settings": []},
        {"initial": {"edge_0_3": ["__import__('os')"]}},
        {"initial": [0.5]},
        {"facts": None},
        {"log": {**LOG, "curve": ["x"]}},
        {"log": {**LOG, "children": {"a": CHILD}}},
        {"log": {**LOG, "own": 1}},
        {"arrays": {"0": np.zeros((9, 9))}},
        {"arrays": {}},
    ],
)
def test_a_sealed_checkpoint_that_does_not_fit_is_refused(stripes, tmp_path, monkeypatch, change):
    class Variable:
        def assign(self, value):
            np.zeros(3)[:] = value

    class Fake(SimpleNamespace):
        stopped = "before its first epoch"
        variables = (Variable(),)
        facts = property(lambda self: {}, lambda self, facts: facts["baseline"])

        def finish(self, rng):
            return [Score(make_enas(stripes).cell_space.space.sample(rng), 0.5, 9)]

    search = make_enas(stripes, epochs=1, checkpoint=tmp_path / "search.npz")
    monkeypatch.setattr(type(search), "_engine", lambda self, cells, problem: Fake())
    settings = {**search._settings(), "initial": None}
    whole = {"settings": settings, "facts": {"baseline": 0.5}, "log": LOG}
    write_checkpoint(search.checkpoint, {"0": np.zeros(3)}, whole)
    assert search.run().stopped == Fake.stopped
    change = dict(change)
    arrays = change.pop("arrays", {"0": np.zeros(3)})
    if "initial" in change:
        change = {"settings": {**settings, **change}}
    write_checkpoint(search.checkpoint, arrays, {**whole, **change})
    with pytest.raises(CheckpointError, match=r"search\.npz does not fit this search .*remove it"):
        search.run()


@pytest.mark.host
def test_darts_stops_when_skip_connections_take_over(stripes):
    names = ["nor_conv_3x3", "skip_connect"] + ["avg_pool_3x3"] * 4
    one = {f"edge_{p.source}_{p.target}": n for p, n in zip(FEW.places, names, strict=True)}
    two = {**one, "edge_2_3": "skip_connect"}
    engines = []

    class Watched(SmallDarts):
        def _engine(self, cells, problem):
            engines.append(super()._engine(cells, problem))
            engines[0].alphas.assign(5 * FEW.gates(two))  # before the first epoch: by chance
            return engines[0]

    def turn(epoch, epochs, accuracy):
        assert engines[0].stopped is None or epoch == 3
        engines[0].alphas.assign(5 * FEW.gates({1: one, 2: two, 3: one}[epoch]))

    found = Watched("nasbench201", stripes, epochs=9, samples=64, warmup=0, max_skips=2).run(turn)
    assert len(found.curve) == 3
    assert found.stopped == "the normal cell has 2 skip connections, the limit is 2"
    assert found.config == one


@pytest.mark.host
def test_a_search_ends_in_time(stripes):
    found = make_darts(stripes, samples=64, max_seconds=1e-9).run()
    assert len(found.curve) == 1
    assert found.stopped == "the limit of 1e-09 seconds was reached"


def test_the_start_decides_what_is_likely_first(stripes):
    start = {"edge_0_3": [0.05, 0.05, 0.85, 0.05]}
    problem = load_problem(stripes, 64, 0.5)
    darts = make_darts(stripes, initial=start)._engine(FEW, problem)
    np.testing.assert_allclose(softmax(darts.alphas.numpy())[3], start["edge_0_3"], atol=5e-3)
    enas = make_enas(stripes, initial=start)._engine(FEW, problem)
    share = np.mean(enas.sampler.draw(500, np.random.default_rng(0))[:, 3] == CONV)
    assert share == pytest.approx(0.85, abs=0.06)


def test_a_start_with_skip_connections_moves_the_limit():
    skips = {f"edge_{p.source}_{p.target}": [0.01, 0.97, 0.01, 0.01] for p in FEW.places}
    search = DartsSearch("nasbench201", {}, initial=skips)
    assert search._skip_limit(FEW, FEW.alphas(skips)) == 7
    assert DartsSearch("nasbench201", {})._skip_limit(FEW, FEW.alphas(None)) == 2


@pytest.mark.parametrize(
    ("kind", "setting", "message"),
    [
        (DartsSearch, {"epochs": 0}, "epochs is 0, expected an integer from 1 on; .* for 20"),
        (EnasSearch, {"epochs": "20"}, "epochs is '20', expected an integer from 1 on"),
        (EnasSearch, {"rate": -1}, "rate is -1, expected a number above 0; leave it out for 0.025"),
        (DartsSearch, {"rate": "0.1"}, "rate is '0.1', expected a number above 0"),
        (DartsSearch, {"seed": -1}, "seed is -1, expected an integer from 0 on"),
        (DartsSearch, {"max_skips": 0}, "max_skips is 0, expected an integer from 1 on, or None"),
        (DartsSearch, {"temperature": -1}, "temperature is -1, expected a number above 0; 1 leave"),
        (EnasSearch, {"temperature": "1"}, "temperature is '1', expected a number above 0"),
        (DartsSearch, {"initial": [0.2]}, r"start is \[0.2\], expected probabilities by parameter"),
        (EnasSearch, {"initial": {"edge_0_1": "abc"}}, "\"edge_0_1\" is 'abc', expected 5 prob"),
        (DartsSearch, {"order": 3}, "order is 3, expected an integer from 1 on and below 3"),
        (DartsSearch, {"warmup": 20}, "warmup is 20, expected less than the 20 epochs; take fewer"),
        (EnasSearch, {"draws": 0}, "draws is 0, expected an integer from 1 on"),
        (EnasSearch, {"decay": 1.0}, "decay is 1.0, expected a number from 0 on and below 1"),
    ],
)
def test_settings_out_of_range_are_refused(kind, setting, message):
    with pytest.raises(ValueError, match=message):
        kind("nasbench201", {}, **setting).run()


def test_data_must_be_labelled_images(tmp_path):
    np.savez(tmp_path / "table.npz", x_train=np.zeros((20, 3)), y_train=np.arange(20) % 2)
    with pytest.raises(ValueError, match="tabular classification, expected image classification"):
        DartsSearch("nasbench201", {"npz": tmp_path / "table.npz"}).run()

import json

import numpy as np
import pytest
from networks import encoded, make_network
from sample_spaces import DEEP, SHAPES, choice

import meta_nni
from meta_nni.checkpoint import CheckpointError, read_checkpoint, write_checkpoint
from meta_nni.policy import neural
from meta_nni.policy.head import Head
from meta_nni.policy.neural import NeuralPolicy
from meta_nni.space import SearchSpace
from meta_nni.task import Task
from meta_nni.testing import history_of
from meta_nni.trial import Run

SPACE = SearchSpace.from_nni(
    {
        "op": choice("a", "b", "c"),
        "width": {"_type": "randint", "_value": [1, 9]},
        "rate": {"_type": "loguniform", "_value": [0.0001, 1.0]},
    }
)
WORTH = {"a": 1.0, "b": 0.0, "c": -1.0}


def history(seed, count=30, sign=1.0, space=SPACE, **metafeatures):
    """Option "a" is best, and wide ones; the other way round where `sign` is -1."""
    rng = np.random.default_rng(seed)
    configs = [space.sample(rng) for _ in range(count)]
    values = [WORTH[c["op"]] + 0.1 * c["width"] + 0.1 * rng.standard_normal() for c in configs]
    run = Run(f"run {seed}", Task(f"task {seed}", metafeatures=metafeatures), space)
    return history_of(run, [(c, sign * v) for c, v in zip(configs, values, strict=True)])


def share(policy, task, op="a"):
    drawn = policy.sample(task, 1000, np.random.default_rng(0))
    return np.mean([config["op"] == op for config in drawn])


def zero_shot(policy, task):
    """Predictions for a good config, a middling and a bad one."""
    configs = [("a", 8), ("b", 4), ("c", 1)]
    rows = encoded(SPACE, [{"op": op, "width": w, "rate": 0.01} for op, w in configs])
    return policy.features(rows, task) @ policy.head.mean


@pytest.fixture
def policy():
    """Untrained, but with a distinct value everywhere."""
    space = SearchSpace.from_nni({**SHAPES, **DEEP})
    head = Head(np.linspace(-1, 1, neural.NUM_FEATURES), 2.5, 0.125)
    return NeuralPolicy(make_network(space), head, 120, 7, {"run ü": 12})


def test_without_experience_everything_is_equally_likely_and_worth_nothing():
    for histories in ([], [history(0, 2)]):
        policy = NeuralPolicy.train(SPACE, histories, seed=0)
        assert policy.trained_on == {}
        assert policy.steps == 0
        assert not zero_shot(policy, Task("new")).any()
        assert share(policy, Task("new")) == pytest.approx(1 / 3, abs=0.05)
    assert NeuralPolicy.train(SPACE, [], seed=0, start=policy) is policy


def test_log_prob_takes_configs(policy):
    configs = policy.sample(Task("t"), 5, np.random.default_rng(0))
    assert policy.log_prob(configs, Task("t")).shape == (5,)
    assert (policy.log_prob(configs, Task("t")) < 0).all()
    assert policy.log_prob([], Task("t")).shape == (0,)


def test_start_must_be_of_the_same_space(policy):
    with pytest.raises(ValueError, match="leave it out to train from random weights"):
        NeuralPolicy.train(SPACE, [], seed=0, start=policy)


# Checkpoints


def test_a_policy_is_the_same_after_saving_and_loading(policy, tmp_path):
    policy.save(tmp_path / "policy.npz")
    space = policy.network.decisions.space
    loaded = NeuralPolicy.load(tmp_path / "policy.npz", space)
    assert (loaded.steps, loaded.seed, loaded.trained_on) == (120, 7, {"run ü": 12})
    assert (loaded.head.precision, loaded.head.noise) == (2.5, 0.125)
    task = Task("t", metafeatures={"n_train": 10.0})
    configs = [p.sample(task, 20, np.random.default_rng(0)) for p in (policy, loaded)]
    assert configs[0] == configs[1]
    rows = encoded(space, configs[0])
    for p in (policy, loaded):
        assert np.array_equal(p.features(rows, task), policy.features(rows, task))
    assert np.array_equal(loaded.head.mean, policy.head.mean)
    _, about = read_checkpoint(tmp_path / "policy.npz")
    assert about["package"] == meta_nni.__version__


def test_a_checkpoint_of_another_space_is_refused(policy, tmp_path):
    path = tmp_path / "policy.npz"
    policy.save(path)
    with pytest.raises(CheckpointError, match="was trained for another search space") as caught:
        NeuralPolicy.load(path, SPACE)
    assert str(path) in str(caught.value)
    turned = dict(reversed(policy.network.decisions.space.to_nni().items()))
    with pytest.raises(CheckpointError, match="another order of its parameters"):
        NeuralPolicy.load(path, SearchSpace.from_nni(turned))


@pytest.mark.parametrize(
    ("arrays", "about", "match"),
    [
        ({"bias": np.zeros(3)}, {}, r"other shapes than this version expects: \['bias'\]"),
        ({"more": np.zeros(3)}, {}, r"other shapes than this version expects: \['more'\]"),
        ({"scales": np.array([0.0, np.nan, 0.0])}, {}, r"not all finite floats: \['scales'\]"),
        ({"scales": np.array([1, 2, 3])}, {}, r"not all finite floats: \['scales'\]"),
        ({}, {"noise": -1.0}, "expected positive numbers"),
        ({}, {"precision": "much"}, "expected positive numbers"),
        ({}, {"trained_on": [1]}, "lacks its steps"),
        ({}, {"trained_on": {"r": "x"}}, "lacks its steps"),
        ({}, {"steps": None}, "lacks its steps"),
    ],
)
def test_a_sealed_checkpoint_with_other_content_is_refused(policy, tmp_path, arrays, about, match):
    path = tmp_path / "policy.npz"
    policy.save(path)
    own_arrays, own_about = read_checkpoint(path)
    write_checkpoint(path, own_arrays | arrays, own_about | about)
    with pytest.raises(CheckpointError, match=match) as caught:
        NeuralPolicy.load(path, policy.network.decisions.space)
    assert str(path) in str(caught.value)
    assert "train again" in str(caught.value)


def test_the_text_of_a_checkpoint_is_json_for_people(policy, tmp_path):
    policy.save(tmp_path / "policy.npz")
    with np.load(tmp_path / "policy.npz") as file:
        text = json.loads(file["about"].tobytes())
    assert text["trained_on"] == {"run ü": 12}
    assert set(text) >= {"format", "package", "space", "seed", "steps", "sha256"}


# Training


@pytest.mark.host
def test_it_learns_which_configs_are_good():
    policy = NeuralPolicy.train(SPACE, [history(seed) for seed in range(4)], seed=0)
    new = Task("new")
    assert share(policy, new) > 0.85
    good, middling, bad = zero_shot(policy, new)
    assert good > 1.0
    assert abs(middling) < 0.7
    assert bad < -1.0
    assert policy.trained_on == {f"run {seed}": 30 for seed in range(4)}
    assert policy.log_prob([{"op": "a", "width": 8, "rate": 0.1}], new) > policy.log_prob(
        [{"op": "c", "width": 1, "rate": 0.1}], new
    )


@pytest.mark.host
def test_metafeatures_tell_apart_tasks_of_opposite_optimum():
    few = [history(seed, n_classes=2.0 + seed, n_train=1000.0) for seed in range(5)]
    many = [
        history(seed, sign=-1.0, n_classes=90.0 + seed, n_train=1000.0) for seed in range(5, 10)
    ]
    policy = NeuralPolicy.train(SPACE, few + many, seed=0)
    one = Task("one", metafeatures={"n_classes": 4.0, "n_train": 1000.0})
    other = Task("other", metafeatures={"n_classes": 80.0, "n_train": 1000.0})
    assert share(policy, one, "a") > 0.7
    assert share(policy, other, "c") > 0.7
    good, _, bad = zero_shot(policy, one)
    assert good > bad + 0.4
    good, _, bad = zero_shot(policy, other)
    assert good < bad - 0.4


@pytest.mark.host
def test_a_few_trials_of_the_new_task_correct_it_without_further_training():
    policy = NeuralPolicy.train(SPACE, [history(seed) for seed in range(4)], seed=0)
    own = history(99, count=12, sign=-1.0)
    task = own.run.task
    rows = encoded(SPACE, [trial.config for trial in own.trials])
    scores = neural.Lesson.from_history(own, policy.network.decisions).scores
    good, bad = encoded(
        SPACE, [{"op": op, "width": w, "rate": 0.01} for op, w in (("a", 8), ("c", 1))]
    )
    candidates = policy.features(np.stack([good, bad]), task)
    before, _ = policy.head.predict(candidates, np.zeros((0, 64)), np.zeros(0))
    after, std = policy.head.predict(candidates, policy.features(rows, task), scores)
    assert before[0] > before[1]
    assert after[0] < after[1]
    assert (std < 1.5).all()


@pytest.mark.host
def test_training_is_the_same_each_time_and_goes_on_from_start(tmp_path):
    histories = [history(0), history(1)]
    first, same = (NeuralPolicy.train(SPACE, histories, seed=0, steps=10) for _ in range(2))
    assert np.array_equal(first.head.mean, same.head.mean)
    first.save(tmp_path / "first.npz")
    loaded = NeuralPolicy.load(tmp_path / "first.npz", SPACE)
    news = [history(2)]
    on, again = (
        NeuralPolicy.train(SPACE, news, seed=1, start=start, steps=10) for start in (first, loaded)
    )
    assert np.array_equal(on.head.mean, again.head.mean)
    assert on.steps == 20
    assert on.trained_on == {"run 0": 30, "run 1": 30, "run 2": 30}
    fresh = NeuralPolicy.train(SPACE, news, seed=1, steps=10)
    kept = np.linalg.norm(on.network.weights["value"] - first.network.weights["value"])
    assert (
        0
        < kept
        < 0.5 * np.linalg.norm(fresh.network.weights["value"] - first.network.weights["value"])
    )


@pytest.mark.host
def test_experience_of_other_spaces_counts_where_they_agree():
    partly = SearchSpace.from_nni({"op": choice("a", "c", "x"), "width": choice(1, 2, 8, 9)})
    WORTH.setdefault("x", 2.0)
    policy = NeuralPolicy.train(SPACE, [history(seed, space=partly) for seed in range(3)], seed=0)
    assert share(policy, Task("new")) > 0.6
    drawn = policy.sample(Task("new"), 1000, np.random.default_rng(0))
    rates = np.log10([config["rate"] for config in drawn])
    assert np.mean(rates) == pytest.approx(-2.0, abs=0.15)  # never seen: still uniform
    assert np.std(rates) == pytest.approx(4 / np.sqrt(12), abs=0.1)

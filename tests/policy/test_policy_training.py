import numpy as np
import pytest
from sample_spaces import choice
from synthetic import CONFIGS, SPACE, Problem

from meta_nni.policy.kernel import vectors
from meta_nni.policy.training import train
from meta_nni.space import SearchSpace
from meta_nni.task import Task
from meta_nni.testing import history_of
from meta_nni.trial import Run

RNG = np.random.default_rng


def new_run(name="new", objective="maximize", metric=None, **metafeatures):
    return Run(name, Task(name, objective, metafeatures), SPACE, metric)


def test_without_sources_the_policy_is_neutral():
    policy = train(new_run(), [], RNG(0))
    assert policy.sources == ()
    assert policy.weights.shape == (0,)
    assert policy.prior is None
    assert np.ptp(policy.kernel.relevance) == 0.0
    assert policy.features(vectors(SPACE, CONFIGS[:3])).shape == (3, 0)


def test_sources_predict_their_tasks_and_ones_like_them():
    policy = train(new_run(), [Problem(k).history(60, k) for k in range(4)], RNG(0))
    features = policy.features(vectors(SPACE, CONFIGS))
    assert features.shape == (256, 4)
    for column, source in enumerate(policy.sources):
        seed = int(source.name.split(".")[1])
        assert np.corrcoef(features[:, column], Problem(seed).values)[0, 1] > 0.8
    assert np.corrcoef(features @ policy.weights, Problem(9).values)[0, 1] > 0.8


def test_runs_that_tell_nothing_are_left_out():
    strange = SearchSpace.from_nni({"z": choice(1, 2, 3)})
    outcomes = [({"z": z}, float(z)) for z in (1, 2, 3)]
    histories = [
        history_of(Run("z", Task("z"), strange), outcomes),
        Problem(0).history(2),
        Problem(1).history(20),
    ]
    assert [source.name for source in train(new_run(), histories, RNG(0)).sources] == ["task 0.1"]


def neighbourhoods():
    """Tasks of two families: of the first the small ones, of the second the large ones."""
    near = [Problem(k, family=0).history(40, k, n_train=200.0 + k) for k in range(4)]
    far = [Problem(k, family=1).history(40, k, n_train=50000.0 + k) for k in range(4)]
    return [*far, *near]


def test_where_only_near_tasks_agree_the_meta_loss_chooses_to_believe_the_near_ones():
    policy = train(new_run(n_train=230.0), neighbourhoods(), RNG(0))
    assert 0 < policy.temperature < np.inf
    near = [source.history.run.task.metafeatures["n_train"] < 1000 for source in policy.sources]
    assert near == [True] * 4 + [False] * 4  # the nearest first
    assert policy.weights[:4].sum() > 0.9
    assert policy.weights.sum() == pytest.approx(1.0)
    mean = policy.features(vectors(SPACE, CONFIGS)) @ policy.weights
    assert np.corrcoef(mean, Problem(9, family=0).values)[0, 1] > 0.8


def test_where_all_tasks_agree_no_source_is_cut_off():
    sizes = [200.0, 1000.0, 5000.0, 20000.0, 50000.0]
    histories = [Problem(k, own=0.6).history(25, k, n_train=size) for k, size in enumerate(sizes)]
    policy = train(new_run(n_train=200.0), histories, RNG(0))
    assert policy.temperature > 0.0
    assert policy.weights.min() > 0.05


def test_earlier_runs_of_the_same_task_are_believed_most():
    same = history_of(
        Run("earlier", Task("new"), SPACE),
        [(t.config, t.value) for t in Problem(0).history(30).trials],
    )
    others = [Problem(k).history(30, k) for k in range(1, 5)]
    policy = train(new_run("new"), [*others, same], RNG(0))
    assert policy.sources[0].name == "new"
    assert policy.weights[0] == policy.weights.max() > 2 * policy.weights[1]
    assert policy.weights[1:].max() < 1.5 * policy.weights[1:].min()  # little tells these apart


def test_a_source_that_contradicts_all_the_others_has_little_say():
    good = [Problem(k).history(40, k) for k in range(4)]
    wrong = Problem(4).history(40, 4, sign=-1.0)
    policy = train(new_run(), [*good, wrong], RNG(0))
    weight = {source.name: w for source, w in zip(policy.sources, policy.weights, strict=True)}
    assert weight.pop(wrong.run.task.name) < 0.2 * min(weight.values())


def test_the_network_has_a_say_of_its_own():
    class Network:
        """Predicts 2 where the first parameter's first option is chosen."""

        space = SPACE
        head = type("Head", (), {"mean": np.array([2.0])})

        def features(self, rows, task):
            assert task.name == "new"
            return rows[:, 0, [2]].astype(float)

    given = []

    def learn(histories):
        given.extend(histories)
        return Network()

    histories = [Problem(k).history(40, k) for k in range(3)]
    policy = train(new_run(), histories, RNG(0), learn)
    assert {h.run.run_id for h in given} == {h.run.run_id for h in histories}
    assert policy.weights.shape == (4,)
    assert policy.weights.sum() == pytest.approx(1.0)
    x = vectors(SPACE, CONFIGS)
    first = np.array([c == CONFIGS[0] for c in CONFIGS])
    assert policy.features(x).shape == (256, 4)
    assert set(policy.features(x)[:, 3].round(6)) == {0.0, 2.0}
    assert policy.features(x)[first, 3] == pytest.approx(2.0)
    assert np.array_equal(
        policy.features(x)[:, :3], train(new_run(), histories, RNG(0)).features(x)
    )


def test_the_prior_is_what_sources_of_the_same_metric_measured():
    def history(seed, offset, metric, objective="maximize"):
        problem = Problem(seed, offset=offset)
        outcomes = [(t.config, t.value) for t in problem.history(30, seed).trials]
        return history_of(Run(f"r{seed}", Task(f"t{seed}", objective), SPACE, metric), outcomes)

    histories = [
        history(0, 0.8, "accuracy"),
        history(1, 0.6, None),
        history(2, 99.0, "loss"),
        history(3, 55.0, "accuracy", "minimize"),
    ]
    prior = train(new_run(metric="accuracy"), histories, RNG(0)).prior
    assert 0.6 < prior.location < 0.8
    assert 0.01 < prior.scale < 0.1
    assert prior.low < 0.6
    assert 0.8 < prior.high < 1.2
    lower = train(new_run(objective="minimize"), histories, RNG(0)).prior
    assert lower.location == pytest.approx(-55.0, abs=0.1)
    assert train(new_run(metric="f1"), histories[:1], RNG(0)).prior is None


def test_the_number_of_sources_is_bounded_to_the_nearest():
    small = SearchSpace.from_nni({"a": choice(1, 2, 3, 4)})
    histories = [
        history_of(
            Run(f"r{k}", Task(f"t{k}", metafeatures={"n_train": 10.0 * 1.1**k}), small),
            [({"a": a}, float(a)) for a in (1, 2, 3, 4)],
        )
        for k in reversed(range(70))
    ]
    run = Run("new", Task("new", metafeatures={"n_train": 1.0}), small)
    policy = train(run, histories, RNG(0))
    assert [source.name for source in policy.sources] == [f"t{k}" for k in range(64)]


def test_training_depends_on_its_input_alone():
    histories = [Problem(0).history(150)]
    x = vectors(SPACE, CONFIGS[:9])
    first, again, other = (train(new_run(), histories, RNG(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first.features(x), again.features(x))
    assert not np.array_equal(first.features(x), other.features(x))

import numpy as np
import pytest
from sample_spaces import choice

from meta_nni.policy.decisions import Decisions
from meta_nni.policy.episodes import Lesson, allowed_options, draw_episode
from meta_nni.space import SearchSpace
from meta_nni.task import Task
from meta_nni.testing import history_of
from meta_nni.trial import Run

SPACE = SearchSpace.from_nni({"op": choice("a", "b", "c"), "width": choice(1, 2), "new": choice(1)})
FOREIGN = SearchSpace.from_nni({"op": choice("b", "x"), "width": choice(1, 2)})
DECISIONS = Decisions(SPACE)


def history(count=20, space=SPACE, objective="maximize", outcome=None, seed=0, **metafeatures):
    rng = np.random.default_rng(seed)
    configs = [space.sample(rng) for _ in range(count)]
    values = rng.standard_normal(count) if outcome is None else [outcome] * count
    task = Task(f"task {seed}", objective, metafeatures)
    return history_of(
        Run(f"run {seed}", task, space), zip(configs, map(_plain, values), strict=True)
    )


def _plain(value):
    return float(value) if isinstance(value, float) else value


def lessons(*histories):
    return [Lesson.from_history(one, DECISIONS) for one in histories]


def test_a_lesson_has_normal_scores_of_what_ended_failures_last():
    run = Run("r", Task("t", "minimize"), SPACE)
    config = {"op": "a", "width": 1, "new": 1}
    (lesson,) = lessons(history_of(run, [(config, o) for o in (3.0, None, 1.0, "running", 2.0)]))
    assert np.argsort(-lesson.scores).tolist() == [2, 3, 0, 1]
    assert lesson.scores.mean() == pytest.approx(0.0)
    assert lesson.rows.shape == (4, 3, 5)


def test_what_another_space_does_not_share_is_inactive():
    run = Run("r", Task("t"), FOREIGN)
    configs = [{"op": "b", "width": 2}, {"op": "x", "width": 1}, {"op": "b", "width": 1}]
    (lesson,) = lessons(history_of(run, zip(configs, (1.0, 2.0, 3.0), strict=True)))
    assert lesson.codes.tolist() == [[1, 1, -1], [-1, 0, -1], [1, 0, -1]]
    assert not lesson.rows[1, 0].any()


@pytest.mark.parametrize(
    "useless",
    [
        history(2),
        history(9, outcome=None, space=SearchSpace.from_nni({"z": choice(1, 2)})),
        history(9, outcome="failed"),
        history(0),
    ],
    ids=["two trials", "nothing shared", "all failed", "no trial"],
)
def test_some_runs_teach_nothing(useless):
    assert lessons(useless) == [None]


@pytest.mark.parametrize("count", [1, 2, 5])
def test_episodes_of_the_same_lessons_have_the_same_shapes(count):
    given = lessons(*(history(10 * (seed + 1), seed=seed) for seed in range(count)))
    rng = np.random.default_rng(0)
    drawn = [draw_episode(given, DECISIONS, rng) for _ in range(20)]
    shapes = {tuple((name, array.shape, array.dtype) for name, array in e.items()) for e in drawn}
    assert len(shapes) == 1
    assert drawn[0]["rows"].shape == (3, len(drawn[0]["scores"]), 5)


def test_support_and_queries():
    given = lessons(history(10, seed=1), history(30, seed=2), history(6, seed=3))
    rng = np.random.default_rng(0)
    num_support = []
    for _ in range(200):
        episode = draw_episode(given, DECISIONS, rng)
        query = (episode["present"] > 0) & (episode["known"] == 0)
        assert query.any()
        assert (episode["groups"][query] == 0).all()
        assert not episode["known"][episode["present"] == 0].any()
        first = episode["groups"] == 0
        num_support.append(episode["known"][first].sum())
        assert episode["present"].sum() == 46
        for group in range(3):
            assert episode["shares"][episode["groups"] == group].sum() == pytest.approx(1.0)
        assert not episode["shares"][episode["present"] == 0].any()
    assert 0.3 < np.mean(np.array(num_support) == 0) < 0.6
    assert max(num_support) > 15


def test_shares_grow_with_the_score():
    (lesson,) = lessons(history(20))
    episode = draw_episode([lesson], DECISIONS, np.random.default_rng(0))
    order = np.argsort(episode["scores"])
    shares = episode["shares"][order]
    assert (np.diff(shares) >= 0).all()
    assert shares[-1] > 10 * shares[10]


def test_metafeatures_are_hidden_now_and_then():
    (lesson,) = lessons(history(20, n_train=100.0))
    rng = np.random.default_rng(0)
    drawn = [draw_episode([lesson], DECISIONS, rng)["tasks"] for _ in range(200)]
    hidden = [not tasks.any() for tasks in drawn]
    assert 0.1 < np.mean(hidden) < 0.4
    known = drawn[hidden.index(False)]
    assert np.array_equal(known[0], lesson.task.embedding())


def test_options_that_a_parameter_lacks_are_not_allowed():
    allowed = allowed_options(DECISIONS)
    assert allowed.shape == (3, 1, 3)
    assert (allowed == 0).sum(axis=(1, 2)).tolist() == [3, 2, 1]
    assert allowed.min() == -1e9

import numpy as np
from sample_spaces import choice

from meta_nni.controllers import PortfolioController
from meta_nni.space import SearchSpace
from meta_nni.task import Task
from meta_nni.testing import history_of
from meta_nni.trial import History, Run

SPACE = SearchSpace.from_nni({"a": choice(*range(20)), "b": choice("x", "y")})


def source(name, best_first, objective="maximize", space=SPACE, **metafeatures):
    """A run whose trials have the given values of `a`, the best one first."""
    sign = 1 if objective == "maximize" else -1
    task = Task(name, objective, metafeatures)
    outcomes = [({"a": a, "b": "x"}, -sign * rank) for rank, a in enumerate(best_first)]
    return history_of(Run(f"run of {name}", task, space), [*reversed(outcomes)])


def proposed(sources, count, task=None, tried=()):
    run = Run("new", task or Task("new"), SPACE)
    controller = PortfolioController()
    controller.learn(run, sources, np.random.default_rng(0))
    return controller.propose(history_of(run, tried), count, np.random.default_rng(0))


def values(suggestions):
    return [suggestion.config["a"] for suggestion in suggestions]


def test_each_source_gives_its_best_then_each_its_second_best():
    one, two = source("one", [1, 2, 3]), source("two", [11, 12], "minimize")
    suggestions = proposed([one, two], 5)
    assert values(suggestions) == [1, 11, 2, 12, 3]
    assert {s.source for s in suggestions} == {"portfolio"}
    assert suggestions[0].why == "trial 2 of one reached 0"


def test_the_most_related_task_comes_first():
    far = source("a far task", [1], n_train=60000, n_classes=100)
    near = source("near", [2], n_train=4100, n_classes=10)
    same = source("new", [3])
    task = Task("new", metafeatures={"n_train": 4000, "n_classes": 10})
    assert values(proposed([far, near, same], 3, task)) == [3, 2, 1]


def test_what_was_tried_or_comes_twice_is_left_out():
    one, two = source("one", [1, 2, 3]), source("two", [1, 3, 4])
    tried = [({"a": 3, "b": "x"}, "running")]
    assert values(proposed([one, two], 3, tried=tried)) == [1, 2, 4]


def test_a_used_up_portfolio_is_followed_by_random_configs():
    suggestions = proposed([source("one", [1, 2])], 4)
    assert [s.source for s in suggestions] == ["portfolio"] * 2 + ["random"] * 2
    assert [s.source for s in proposed([], 1)] == ["random"]


def test_only_the_first_places_of_a_source_count():
    one = source("one", range(20))
    b = [({"a": a, "b": "y"}, -100 - a) for a in range(20)]
    long = history_of(one.run, [*((t.config, t.value) for t in one.trials), *b])
    kinds = [s.source for s in proposed([long], 25)]
    assert kinds == ["portfolio"] * 20 + ["random"] * 5


def test_configs_of_other_spaces_are_adopted_and_strange_spaces_left_out():
    wider = SearchSpace.from_nni({"a": choice(*range(30)), "c": choice(1, 2)})
    outcomes = [({"a": 7, "c": 1}, 1.0), ({"a": 25, "c": 2}, 2.0), ({"a": 8, "c": 1}, None)]
    strange = SearchSpace.from_nni({"z": choice(1)})
    sources = [
        history_of(Run("w", Task("w"), wider), outcomes),
        history_of(Run("z", Task("z"), strange), [({"z": 1}, 5.0)]),
        History(Run("e", Task("e"), SPACE)),
    ]
    suggestions = proposed(sources, 3)
    assert [s.source for s in suggestions] == ["portfolio"] * 2 + ["random"]
    assert suggestions[1].config["a"] == 7
    for suggestion in suggestions:
        SPACE.validate(suggestion.config)

from dataclasses import replace

import pytest
from searches import Recorder, open_search

from meta_nni.metrics import METRICS, find_metric, in_metric, measured_by, metric_of
from meta_nni.space import SearchSpace
from meta_nni.task import Task
from meta_nni.trial import History, Result, Run, Suggestion, Trial

SPACE = SearchSpace.from_nni({"units": {"_type": "choice", "_value": [1, 2, 3, 4]}})
LOG_LOSS, F1 = METRICS["log_loss"], METRICS["f1"]


def result(accuracy, **metrics):
    return Result(accuracy, curve=(accuracy,), metrics={"accuracy": accuracy, **metrics})


def history(*results, metric="val_accuracy"):
    run = Run("r", Task("digits"), SPACE, metric)
    trials = [
        Trial(f"t{i}", i, Suggestion({"units": i + 1}, "random")).with_result(each)
        for i, each in enumerate(results)
    ]
    return History(run, tuple(trials))


@pytest.mark.parametrize(
    ("said", "meant"), [("mae", "mean_absolute_error"), ("f1_macro", "f1"), ("auc", "auc")]
)
def test_users_names_and_aliases(said, meant):
    assert find_metric(said).name == meant


def test_an_unknown_name_gets_the_nearest():
    with pytest.raises(ValueError, match=r"metric is 'acuracy', expected .* mean 'accuracy'\?"):
        find_metric("acuracy")


@pytest.mark.parametrize(
    ("run_metric", "name"), [("val_accuracy", "accuracy"), ("r2", "r2"), ("val_loss", None)]
)
def test_a_runs_metric_is_recognised(run_metric, name):
    found = metric_of(run_metric)
    assert (found and found.name) == name
    assert metric_of(None) is None


def test_a_history_is_read_by_another_metric_with_its_direction():
    seen = history(result(0.9, log_loss=0.7), result(0.8, log_loss=0.4), Result.failed("memory"))
    read = measured_by(seen, LOG_LOSS)
    assert [trial.value for trial in read.trials] == [0.7, 0.4, None]
    assert read.run.task.objective == "minimize"
    assert read.run.metric == "val_log_loss"
    assert read.best.number == 1
    assert seen.best.number == 0
    assert read.trials[0].result.curve == ()


def test_a_history_without_the_metric_stays():
    seen = history(result(0.9, log_loss=0.7), result(0.8))
    assert measured_by(seen, LOG_LOSS) is seen
    assert measured_by(history(), LOG_LOSS).run.metric == "val_accuracy"


def test_training_metrics_are_not_taken_for_validation():
    trained = Result(0.3, metrics={"accuracy": 0.99, "val_accuracy": 0.6, "f1": 0.99})
    assert in_metric(trained, METRICS["accuracy"]).value == 0.6
    assert in_metric(trained, F1) is trained


def test_a_search_learns_and_keeps_values_of_its_metric(store):
    source = history(result(0.9, f1=0.2), result(0.8, f1=0.5))
    store.add_run(source.run, seed=0, controller="random", origin="own")
    store.add_trials(
        "r", [replace(trial, result=None, state="proposed") for trial in source.trials]
    )
    for trial in source.trials:
        store.finish("r", trial.trial_id, trial.result)
    controller = Recorder()
    run = Run("new", Task("more"), SPACE, F1.on_validation)
    search = open_search(store, run, controller)
    search.ask(["0"])
    search.tell("0", result(0.9, f1=0.4))
    (learned,) = controller.learned[0][1]
    assert [trial.value for trial in learned.trials] == [0.2, 0.5]
    assert store.history("new").trials[0].value == 0.4

"""Runs and trials for tests, small and complete."""

from __future__ import annotations

from typing import Any

from meta_nni.space import SearchSpace
from meta_nni.store import ExperienceStore
from meta_nni.task import Task
from meta_nni.trial import History, Objective, Result, Run, State, Suggestion, Trial

EVIDENCE: dict[str, Any] = {
    "tasks": [
        {
            "task": "fashion",
            "run_id": "earlier",
            "weight": 0.7,
            "trials": [
                {"number": 3, "value": 0.8, "weight": 0.4},
                {"number": 1, "value": None, "weight": -0.1},
            ],
        }
    ],
    "own": [{"number": 0, "value": 0.7, "weight": 0.2}],
    "decisions": [{"parameter": "layer", "value": "conv", "effect": 0.03}],
    "no_transfer": 0.25,
}
"""What a proposal's evidence looks like."""

SPACE = SearchSpace.from_nni(
    {
        "block/depth": {"_type": "choice", "_value": [1, 2, 3]},
        "rate": {"_type": "loguniform", "_value": [0.0001, 1.0]},
        "layer": {
            "_type": "choice",
            "_value": [
                {"_name": "conv", "kernel": {"_type": "randint", "_value": [1, 8]}},
                {"_name": "pool"},
            ],
        },
    }
)


def make_config(depth: int = 1, rate: float = 0.01, kernel: int | None = 3) -> dict[str, Any]:
    layer = {"_name": "pool"} if kernel is None else {"_name": "conv", "kernel": kernel}
    return {"block/depth": depth, "rate": rate, "layer": layer}


def make_run(run_id: str = "run", objective: Objective = "maximize", **fields: Any) -> Run:
    task = Task(fields.pop("task", "digits"), objective, {"n_train": 4000.0})
    complete = {
        "metric": "val_accuracy",
        "recipe": "image-v1",
        "environment": {"device": "cpu", "cores": 2},
    }
    return Run(run_id, task, fields.pop("space", SPACE), **(complete | fields))


def make_trial(number: int, value: float | None = None, **fields: Any) -> Trial:
    """A proposed trial, or a completed one where there is a value."""
    config = fields.pop("config", make_config(rate=(number + 1) / 1000))
    suggestion = Suggestion(config, "adapted", 0.9, 0.05, 12.5, "like the best of 'digits'")
    trial = Trial(fields.pop("trial_id", str(number)), number, suggestion, **fields)
    if value is None:
        return trial
    measured = {"curve": (0.5, value), "metrics": {"precision": 0.8}, "budget": {"epochs": 2.0}}
    return trial.with_result(Result(value, seconds=10.0, **measured))


def make_history(run_id: str = "run", values: tuple[float, ...] = (0.7, 0.9)) -> History:
    """A run with two completed trials, a failed, a lost, a running and a proposed one."""
    trials = [make_trial(number, value) for number, value in enumerate(values)]
    trials.append(make_trial(len(trials)).with_result(Result.failed("out of memory", 3.0)))
    for state in ("lost", "running", "proposed"):
        unfinished: State = state  # type: ignore[assignment]
        trials.append(make_trial(len(trials), state=unfinished))
    return History(make_run(run_id), tuple(trials))


def fill(store: ExperienceStore, *histories: History) -> None:
    """Adds runs with all of their trials."""
    for history in histories:
        store.add_run(history.run)
        store.add_trials(history.run.run_id, history.trials)

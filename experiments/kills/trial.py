"""A trial of known value that says in a file when it started and ended."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable

from meta_nni import Result, run_trial

__all__ = ["expected"]


def expected(config: dict[str, int]) -> Result:
    """The result of a config, all of it, so that a half-stored one can be told."""
    value = float(config["x"] * 10 + config["y"])
    return Result(value, seconds=1.0, curve=[value - 1, value], metrics={"double": 2 * value})


def evaluate(config: dict[str, int], report: Callable[[int, float], None]) -> Result:
    """Takes up to half a second, by config, so that a kill can come at any stage."""
    log("start", config)
    time.sleep(config["y"] / 20)
    result = expected(config)
    for epoch, value in enumerate(result.curve):
        report(epoch, value)
    log("end", config)
    return result


def log(event: str, config: dict[str, int]) -> None:
    """Appends a line that stays when this process is killed."""
    line = json.dumps({"event": event, "job": os.environ["NNI_TRIAL_JOB_ID"], "config": config})
    with open(os.environ["META_NNI_KILLS_LOG"], "a", encoding="utf-8") as file:
        file.write(line + "\n")


if __name__ == "__main__":
    run_trial(evaluate)

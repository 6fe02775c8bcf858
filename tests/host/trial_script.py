"""The host tests' trial script: an analytic function, and ways to fail. No TensorFlow."""

import json
import os
import sys
import time
from pathlib import Path

MODE = sys.argv[1] if len(sys.argv) > 1 else "normal"


def score(config):
    """Best at x = 3 on branch "b"; 0 .. 1."""
    branch = config["branch"]
    bonus = 0.2 if branch["_name"] == "b" else 0.05 * branch["depth"]
    return 0.8 - 0.1 * abs(config["x"] - 3) + bonus


LOG = Path(os.environ.get("META_NNI_TEST_LOG", "ran.jsonl"))
HOLD = LOG.with_name("hold")


def log(event, config):
    record = {"event": event, "job": os.environ["NNI_TRIAL_JOB_ID"], "config": config}
    with LOG.open("a") as file:
        file.write(json.dumps(record) + "\n")


def held():
    """Whether the hold file says to wait: for as many ended trials as it names, from then on."""
    try:
        after = int(HOLD.read_text() or 0)
    except FileNotFoundError:
        return False
    return LOG.read_text().count('"event": "end"') >= after


def evaluate(config, report):
    from meta_nni.trial import Result

    log("start", config)
    while held():
        time.sleep(0.1)
    if MODE == "failing" and config["x"] == 0:
        raise ValueError("x is zero")
    if MODE == "failing" and config["x"] == 1:
        os._exit(3)
    value = float("nan") if MODE == "failing" and config["x"] == 2 else score(config)
    curve = [value * fraction for fraction in (0.5, 0.8, 1.0)]
    for epoch, point in enumerate(curve):
        report(epoch, point)
    log("end", config)
    return Result(value, curve=curve, metrics={"parameters": 10.0 * config["x"]})


def main():
    if MODE == "plain":  # a trial that knows nothing of meta_nni
        import nni

        config = nni.get_next_parameter()
        nni.report_final_result({"accuracy": score(config)})
        return
    from meta_nni.adapters.nni_trial import run_trial

    run_trial(evaluate)


if __name__ == "__main__":
    main()

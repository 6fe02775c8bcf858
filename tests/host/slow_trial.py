"""A trial whose epochs take a while, so that it can be stopped: reaches x, epoch by epoch."""

import time

from meta_nni.adapters.nni_trial import run_trial
from meta_nni.trial import Result

EPOCHS = 8


def evaluate(config, report):
    curve = [config["x"] + epoch / 100 for epoch in range(EPOCHS)]
    for epoch, value in enumerate(curve):
        report(epoch, value)
        time.sleep(0.5)
    return Result(curve[-1], curve=curve, budget={"epochs": float(EPOCHS)})


if __name__ == "__main__":
    run_trial(evaluate)

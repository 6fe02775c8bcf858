"""Trials that misbehave, one kind a config, under the limits of `run_trial`."""

import ctypes
import os
import signal
import time

KINDS = (
    "behaves",
    "hangs",
    "allocates at once",
    "allocates little by little",
    "prints megabytes",
    "returns text",
    "reports text",
    "ends without a result",
    "crashes",
)
MAX_SECONDS = 5
MAX_MEMORY_MB = 600
PRINTED = 20 * 2**20  # bytes


def evaluate(config, report):
    import nni

    from meta_nni.trial import Result

    kind = config["kind"]
    if kind == "hangs":
        time.sleep(3600)
    if kind == "allocates at once":
        bytearray(4 * 2**30)
    if kind == "allocates little by little":
        hoard = []
        while True:
            hoard.append(bytearray(2**20))
    if kind == "prints megabytes":
        print("x" * PRINTED)
    if kind == "returns text":
        return "0.9, I think"
    if kind == "reports text":
        nni.report_final_result("0.9, I think" * 1000)
        os._exit(0)
    if kind == "ends without a result":
        os._exit(0)
    if kind == "crashes":
        signal.signal(signal.SIGSEGV, signal.SIG_DFL)
        ctypes.string_at(0)
    return Result(0.5)


if __name__ == "__main__":
    from meta_nni.adapters.nni_trial import run_trial

    run_trial(evaluate, max_seconds=MAX_SECONDS, max_memory_mb=MAX_MEMORY_MB)

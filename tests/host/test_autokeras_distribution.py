"""KerasTuner's distribution: a chief that decides, and workers that train."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from meta_nni.store import ExperienceStore

pytestmark = pytest.mark.host

SCRIPT = Path(__file__).with_name("autokeras_worker.py")
SECONDS = 300  # then something hangs


def free_port():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return bound.getsockname()[1]


def start(folder, name, port):
    where = {"KERASTUNER_ORACLE_IP": "127.0.0.1", "KERASTUNER_ORACLE_PORT": str(port)}
    return subprocess.Popen(
        [sys.executable, SCRIPT, folder, name],
        env={**os.environ, **where, "KERASTUNER_TUNER_ID": name},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_chief_and_a_worker_share_a_search(tmp_path):
    port = free_port()
    processes = [start(tmp_path, name, port) for name in ("chief", "worker0")]
    try:
        said = [process.communicate(timeout=SECONDS) for process in processes]
    finally:
        for process in processes:
            process.kill()
    last = [(out.strip().splitlines() or [err])[-1] for out, err in said]
    assert last == ["best_model.keras 150", "best_model_worker0.keras 150"]
    store = ExperienceStore.open(tmp_path / "store.db")
    (run,) = store.runs()
    trials = store.history(run.run_id).trials
    store.close()
    assert [trial.state for trial in trials] == ["failed", "completed", "completed"]
    assert trials[0].result.reason == "out of memory: no 8 GiB"
    assert [len(trial.result.curve) for trial in trials] == [0, 2, 2]
    assert all(trial.result.seconds > 0 for trial in trials)

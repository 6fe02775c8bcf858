"""Kills two searches at once that write to one SQLite store."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from experiments.kills.trial import expected
from experiments.kills.victim import wait_for
from meta_nni.store import ExperienceStore

__all__ = ["kill_writers"]

ROOT = Path(__file__).parents[2]
RUNS = ("first", "second")
_LATEST = 1.0  # seconds of writing before the kill, at most


def kill_writers(folder: Path, rng: np.random.Generator, kills: int) -> list[dict[str, Any]]:
    """Starts two writers, kills both, judges the store, and starts them again on it.

    Returns:
        A record per kill. Of the trials that the writers say were committed: `lost`,
        `repeated` and `wrong` ones; `damaged` is 1 if SQLite finds the file damaged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    store, seed = folder / "experience.db", int(rng.integers(1 << 31))
    records = []
    for _ in range(kills):
        moment = rng.uniform(0, _LATEST)
        _write(folder, store, seed, moment)
        records.append({"moment": round(moment, 3), **_judge(folder, store)})
    return records


def _write(folder: Path, store: Path, seed: int, seconds: float) -> None:
    """Has two processes write at once, and kills both that long after each has begun."""
    before = [len(_lines(folder, run)) for run in RUNS]
    command = [sys.executable, "-m", "experiments.kills.writer", str(store)]
    writers = [
        subprocess.Popen([*command, run, str(seed + i), str(folder / f"{run}.jsonl")], cwd=ROOT)
        for i, run in enumerate(RUNS)
    ]
    try:
        wait_for(
            lambda: all(len(_lines(folder, r)) > n for r, n in zip(RUNS, before, strict=True)),
            "both writers to write",
        )
        time.sleep(seconds)
    finally:
        for writer in writers:
            os.kill(writer.pid, signal.SIGKILL)
    for writer in writers:
        if writer.wait() != -signal.SIGKILL:
            raise RuntimeError(f"a writer ended by itself with status {writer.returncode}")


def _judge(folder: Path, path: Path) -> dict[str, Any]:
    counts = {"finished": 0, "lost": 0, "repeated": 0, "wrong": 0}
    store = ExperienceStore.open(path)
    try:
        for run in RUNS:
            trials = store.history(run).trials
            known = {_key(trial.config): trial for trial in trials}
            said = _lines(folder, run)
            told = {_key(each["config"]) for each in said if each["event"] == "told"}
            counts["finished"] += len(told)
            counts["lost"] += sum(_key(each["config"]) not in known for each in said)
            counts["lost"] += sum(key in known and known[key].result is None for key in told)
            counts["repeated"] += len(trials) - len(known)
            counts["wrong"] += sum(
                trial.result is not None and trial.result != expected(trial.config)
                for trial in trials
            )
    finally:
        store.close()
    with sqlite3.connect(path) as connection:
        (answer,) = connection.execute("PRAGMA integrity_check").fetchone()
    connection.close()
    return counts | {"damaged": int(answer != "ok")}


def _lines(folder: Path, run: str) -> list[dict[str, Any]]:
    file = folder / f"{run}.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def _key(config: dict[str, int]) -> str:
    return json.dumps(config, sort_keys=True)

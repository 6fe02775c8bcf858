"""Kills of one kind in a row, and what they did to the store.

Each kind has a function of the same form: it gets a folder, a generator and a number of
kills, and returns a record per kill, all of whose counts but the first must be 0.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from experiments.kills.trial import expected
from experiments.kills.victim import Victim, kill, wait_for
from experiments.kills.writers import kill_writers
from meta_nni.trial import History, Trial

__all__ = ["KINDS", "judge"]

Record = dict[str, Any]
_PORTS = (18600, 20000)  # drawn from, so that experiments at once do not meet
_LATEST = 4.0  # seconds between a result and the kill, at most: two trials' time


def kill_tuner(folder: Path, rng: np.random.Generator, kills: int) -> list[Record]:
    """Kills the tuner's process; some time later the experiment is stopped and resumed."""

    def strike(victim: Victim) -> None:
        (tuner,) = victim.processes("-m", "nni")
        kill(tuner)
        time.sleep(rng.uniform(0, 2))
        victim.stop()
        victim.resume()

    return _session(folder, rng, kills, strike)


def kill_manager(folder: Path, rng: np.random.Generator, kills: int) -> list[Record]:
    """Kills NNI's manager, which leaves tuner and trials behind, and resumes."""

    def strike(victim: Victim) -> None:
        (manager,) = victim.processes("main.js")
        kill(manager)
        victim.resume()

    return _session(folder, rng, kills, strike)


def kill_trial(folder: Path, rng: np.random.Generator, kills: int) -> list[Record]:
    """Kills one of the trials; the experiment goes on by itself."""

    def strike(victim: Victim) -> None:
        wait_for(lambda: any(victim.processes("trial.py")), "a trial to run")
        kill(rng.choice(list(victim.processes("trial.py"))))

    return _session(folder, rng, kills, strike, may_fail=kills)


KINDS: dict[str, Callable[[Path, np.random.Generator, int], list[Record]]] = {
    "tuner": kill_tuner,
    "manager": kill_manager,
    "trial": kill_trial,
    "writers": kill_writers,
}
"""Who is killed: the function that does it."""


def _session(
    folder: Path,
    rng: np.random.Generator,
    kills: int,
    strike: Callable[[Victim], None],
    may_fail: int = 0,
) -> list[Record]:
    """Strikes one experiment at random moments, lets it end and judges its store."""
    records: list[Record] = []
    with Victim(folder, int(rng.integers(1 << 31)), int(rng.integers(*_PORTS))) as victim:
        for _ in range(kills):
            seen = victim.num_results()
            # A kill counts only if the search went on after the one before.
            wait_for(lambda seen=seen: victim.num_results(alive=True) > seen, "the search to go on")
            moment = rng.uniform(0, _LATEST)
            time.sleep(moment)
            before = victim.history()
            strike(victim)
            record = {"moment": round(moment, 3), "finished": len(_results(before))}
            records.append(record | _changed(before, victim.history()))
        victim.finish()
        # What was proposed later may wait when the experiment ends: it was never interrupted.
        struck = {trial.trial_id for trial in before.trials}
        wait_for(lambda: not _awaited(victim.history(), struck), "results of interrupted trials")
        verdict = judge(victim.history(), victim.ended(), struck, may_fail)
    return [record | verdict for record in records]


def _results(history: History) -> list[Trial]:
    return [trial for trial in history.trials if trial.result is not None]


def _awaited(history: History, of: Collection[str]) -> list[Trial]:
    return [trial for trial in history.trials if trial.result is None and trial.trial_id in of]


def _changed(before: History, after: History) -> Record:
    """Compares the store right before a kill and after the resume."""
    now = {trial.trial_id: trial for trial in after.trials}
    kept = [(old, now[old.trial_id]) for old in before.trials if old.trial_id in now]
    changed = [
        old for old, new in kept if new.config != old.config or old.result not in (None, new.result)
    ]
    return {"lost": len(before.trials) - len(kept), "changed": len(changed)}


def judge(
    history: History,
    ended: Iterable[dict[str, int]],
    struck: Collection[str],
    may_fail: int = 0,
) -> Record:
    """Judges a finished run: is every result there, once and right?

    Args:
        history: The run, as the store has it.
        ended: The configs that trials measured to the end.
        struck: The trials that were known at the latest kill.
        may_fail: How many trials may have failed, since they were killed.

    Returns:
        Counts that must be 0: `missing` of the measured configs, `repeated` configs,
        `wrong` values, `unresolved` ones of the struck trials, and `failed` ones beyond
        those that may.
    """
    keys = Counter(_key(trial.config) for trial in history.trials)
    completed = {_key(t.config): t for t in history.trials if t.state == "completed"}
    wrong = [t for t in completed.values() if not _as_expected(t)]
    failed = sum(trial.state == "failed" for trial in history.trials)
    return {
        "missing": sum(_key(config) not in completed for config in ended),
        "repeated": sum(count - 1 for count in keys.values()),
        "wrong": len(wrong),
        "unresolved": len(_awaited(history, struck)),
        "failed": max(0, failed - may_fail),
    }


def _as_expected(trial: Trial) -> bool:
    should, result = expected(trial.config), trial.result
    return result is not None and (result.value, result.curve, result.metrics) == (
        should.value,
        should.curve,
        should.metrics,
    )


def _key(config: dict[str, int]) -> str:
    return json.dumps(config, sort_keys=True)

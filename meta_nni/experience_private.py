"""Runs as they may be shown to anybody: results, without names and free text.

An experience file never holds rows of a data set: of the data there are metafeatures, each
an average, a share, a count or the score of a simple learner over all rows
(`meta_nni.metafeatures`; no minimum, maximum or example). But names say what was worked on,
and free text can quote data, as the reason of a failure does: "could not convert string to
float: 'Jane Doe'". `Hidden` leaves such text out and replaces names by their HMAC-SHA256
(RFC 2104). Under one key a name always gives the same hash, so that one task stays one task
over all exports; without the key nobody can try names until one fits, as with a bare hash.

What stays readable: the search space with its parameters and options, configs, metric and
recipe, and metafeatures that the user added.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from dataclasses import replace
from pathlib import Path
from typing import Any

import platformdirs

from meta_nni.experience import ExperienceError
from meta_nni.task import Task
from meta_nni.trial import History, Result, Run, Suggestion, Trial

__all__ = ["Hidden", "load_key"]

_DIGITS = 16  # 64 bits: a billion names collide with a chance of 3 %
_KEY_BYTES = 32
_ENVIRONMENT = ("device", "cores", "package")
_RUN_FIELDS = {"seed": int, "controller": str}  # what an export adds to a run
_ERROR = re.compile(r"[A-Za-z_][A-Za-z_.]{0,80}(Error|Exception)\b")


def load_key(path: str | Path | None = None) -> bytes:
    """Returns the secret under which names are hashed, made at the first use.

    Args:
        path: A file of 64 hexadecimal digits, which a team may share; None is one in the
            user's data folder. A missing file is made, readable by its owner alone.

    Raises:
        ExperienceError: The file cannot be read or made, or holds something else.
    """
    file = Path(path) if path else Path(platformdirs.user_data_dir("meta_nni")) / "names.key"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            with file.open("rb") as existing:
                text = existing.read(4 * _KEY_BYTES).decode("ascii", "replace")
        else:
            text = secrets.token_hex(_KEY_BYTES)
            with os.fdopen(handle, "w") as created:
                created.write(text)
        key = bytes.fromhex(text)
    except OSError as error:
        raise ExperienceError(f"key {file}: {error.strerror or error}") from None
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        raise ExperienceError(
            f"key {file}: expected {2 * _KEY_BYTES} hexadecimal digits; name another file, or "
            "a missing one, which is then made"
        )
    return key


class Hidden:
    """Hides the names and the free text of runs.

    Args:
        key: Of the hashes, see `load_key`.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def name(self, kind: str, name: str) -> str:
        """Returns what a name of a kind ("task" or "run") is called, such as "task-0f3a…"."""
        digest = hmac.new(self._key, f"{kind}:{name}".encode("utf-8", "replace"), hashlib.sha256)
        return f"{kind}-{digest.hexdigest()[:_DIGITS]}"

    def history(self, history: History) -> History:
        """Returns a run as it may be shown; its trials are called by their numbers."""
        run = history.run
        task = Task(self.name("task", run.task.name), run.task.objective, run.task.metafeatures)
        environment = {name: run.environment.get(name) for name in _ENVIRONMENT}
        shown = Run(
            self.name("run", run.run_id),
            task,
            run.space,
            run.metric,
            run.recipe,
            {name: v for name, v in environment.items() if isinstance(v, str | int | float)},
            {name: v for name, kind in _RUN_FIELDS.items() if type(v := _of(run, name)) is kind},
        )
        return History(shown, tuple(map(_trial, history.trials)))


def _of(run: Run, name: str) -> Any:
    return run.extra.get(name)


def _trial(trial: Trial) -> Trial:
    told = trial.suggestion
    suggestion = Suggestion(told.config, told.source, told.mean, told.std, told.seconds)
    result = None if trial.result is None else _result(trial.result)
    return Trial(str(trial.number), trial.number, suggestion, trial.state, result)


def _result(result: Result) -> Result:
    return result if result.reason is None else replace(result, reason=_kind(result.reason))


def _kind(reason: str) -> str:
    """What kind of failure it was, without what it was about."""
    if "out of memory" in reason.lower():
        return "out of memory"
    error = _ERROR.match(reason)
    return error.group(0) if error else "failed"

"""A real NNI experiment as a context: started by nnictl, stopped whatever happens."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml

from meta_nni.store import ExperienceStore
from meta_nni.trial import History, Trial

__all__ = ["ENDED", "Experiment", "free_port", "load_config"]

ENDED = ("DONE", "ERROR", "STOPPED")
_FIRST_PORT = 8080


def load_config(path: Path) -> dict[str, Any]:
    """Reads an experiment's config.yml, its relative paths made absolute."""
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    config["searchSpaceFile"] = str((path.parent / config["searchSpaceFile"]).resolve())
    config["trialCodeDirectory"] = str(path.parent.resolve())
    return dict(config)


def free_port(first: int = _FIRST_PORT) -> int:
    """Returns the first port from `first` on that nothing listens on."""
    for port in range(first, first + 1000):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    raise RuntimeError(f"no free port between {first} and {first + 1000}")


class Experiment:
    """One experiment under `nnictl create`.

    Args:
        config: NNI's experiment config.
        folder: Where the config file, NNI's logs and its database go.
        port: Of the dashboard; a free one if None.

    Attributes:
        id: NNI's id of the experiment, after it started.
        port: Of the dashboard.
    """

    def __init__(self, config: dict[str, Any], folder: Path, port: int | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.id = ""
        self.port = port or free_port()
        self._folder = folder
        self._config = folder / "config.yml"
        working = {"experimentWorkingDirectory": str((folder / "nni").resolve())}
        self._config.write_text(yaml.safe_dump({**config, **working}), encoding="utf-8")
        # Trials start "python": let it be the one that has this package.
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        self._env = {**os.environ, "PATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"}

    def __enter__(self) -> Experiment:
        with _uninterrupted() as interrupts:
            output = self._nnictl("create", "--config", str(self._config), "--port", str(self.port))
            found = re.search(r'nnictl stop (\w+)"', output)
            if found is None:
                raise RuntimeError(f"nnictl create did not start the experiment:\n{output}")
            self.id = found[1]
            if interrupts:  # __exit__ is not called when __enter__ raises
                self._stop()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with _uninterrupted():
            self._stop()

    def _stop(self) -> None:
        self._nnictl("stop", self.id)
        end = time.monotonic() + 60
        while self.listening and time.monotonic() < end:
            time.sleep(0.2)
        if self.listening:
            raise RuntimeError(f"port {self.port} is still taken after nnictl stop {self.id}")

    @property
    def address(self) -> str:
        """Address of the dashboard."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def listening(self) -> bool:
        """Whether NNI's server still answers."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def status(self) -> dict[str, Any]:
        """NNI's status of the experiment, such as {"status": "RUNNING", "errors": []}."""
        try:
            with urllib.request.urlopen(f"{self.address}/api/v1/nni/check-status", timeout=20) as a:
                return dict(json.load(a))
        except urllib.error.URLError as error:
            return {"status": "ERROR", "errors": [f"NNI's manager does not answer: {error}"]}

    def watch(self, store: ExperienceStore, on_trial: Callable[[Trial], None]) -> History:
        """Waits for the end and returns the run that the tuner stored.

        Args:
            store: Where the tuner keeps its runs.
            on_trial: Called once with each trial that completed or failed, when it is certain.

        Raises:
            RuntimeError: the tuner did not start in the time that NNI gives it; try again.
            SystemExit: NNI ended with an error; says which.
        """
        run_id = f"nni-{self.id}"
        shown: set[str] = set()
        while True:
            state = self.status()
            known = any(run.run_id == run_id for run in store.runs())
            history = store.history(run_id) if known else None
            over = state["status"] in ENDED
            for trial in history.trials if history else ():
                # NNI may announce a trial's end before its value: failures are shown last.
                certain = trial.state == "completed" or (over and trial.state == "failed")
                if certain and trial.trial_id not in shown:
                    shown.add(trial.trial_id)
                    on_trial(trial)
            if over:
                if history is None and "did not connect" in str(state["errors"]):
                    raise RuntimeError(f"the tuner did not start: {state['errors']}")
                if state["status"] == "ERROR" or history is None:
                    raise SystemExit(f"the experiment failed: {state['errors']}\n{self.log()}")
                return history
            time.sleep(1)

    def log(self) -> str:
        """The end of the tuner's log."""
        file = self._folder / "nni" / self.id / "log" / "dispatcher.log"
        return file.read_text(encoding="utf-8")[-3000:] if file.exists() else "no log"

    def _nnictl(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "nni.tools.nnictl.nnictl", *arguments]
        # In its own session, so that Ctrl-C reaches us alone and we stop it in order.
        done = subprocess.run(
            command,
            env=self._env,
            capture_output=True,
            text=True,
            timeout=120,
            start_new_session=True,
            check=False,
        )
        return done.stdout + done.stderr


@contextmanager
def _uninterrupted() -> Iterator[list[int]]:
    """Defers Ctrl-C and SIGTERM to the end of the block; yields those that came.

    An interrupt while nnictl starts or stops an experiment would leave it running.
    """
    came: list[int] = []
    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(each, lambda number, frame: came.append(number)) for each in signals]
    try:
        yield came
    finally:
        for each, handler in zip(signals, before, strict=True):
            signal.signal(each, handler)
    if came:
        raise KeyboardInterrupt

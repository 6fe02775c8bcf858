"""A real NNI experiment that is killed, again and again, and goes on."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from experiments.experiment import free_port
from experiments.parameter_binding.run import LaunchedExperiment
from meta_nni.store import ExperienceStore
from meta_nni.trial import History

__all__ = ["SPACE", "Victim", "kill", "wait_for"]

HERE = Path(__file__).parent
SPACE = {
    "x": {"_type": "randint", "_value": [0, 1000]},
    "y": {"_type": "randint", "_value": [0, 10]},
}
_MAX_TRIALS = 10_000  # never reached: `finish` lowers it
_WAIT_SECONDS = 600.0  # on a busy machine a resume and a trial take minutes


class Victim(LaunchedExperiment):
    """One experiment with two trials at a time, in a home folder of its own.

    Attributes:
        log: What the trials did, see trial.py.
    """

    def __init__(self, folder: Path, seed: int, first_port: int) -> None:
        arguments = {
            "store": str(folder / "experience.db"),
            "seed": seed,
            "knowledge": "none",
            "task": "kills",
        }
        config = {
            "searchSpace": SPACE,
            "trialCommand": f"{sys.executable} {HERE / 'trial.py'}",
            "trialCodeDirectory": str(HERE),
            "trialConcurrency": 2,
            "maxTrialNumber": _MAX_TRIALS,
            "tuner": {
                "className": "meta_nni.MetaTuner",
                "codeDirectory": ".",
                "classArgs": arguments,
            },
            "trainingService": {"platform": "local"},
        }
        super().__init__(config, folder, free_port(first_port))
        self.log_file = folder / "ran.jsonl"
        self._store = arguments["store"]
        home = folder / "home"
        home.mkdir(exist_ok=True)
        self._env |= {"HOME": str(home), "META_NNI_KILLS_LOG": str(self.log_file)}

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self.processes():
            process.kill()
        wait_for(lambda: not any(self.processes()), "killed processes to end")

    def resume(self) -> None:
        """Goes on at another port: an orphaned tuner may still ask at the old one."""
        self.port = free_port(self.port + 2)
        output = self._nnictl("resume", self.id, "--port", str(self.port))
        if not self.listening:
            raise RuntimeError(f"the experiment did not resume:\n{output}")

    def stop(self) -> None:
        """Stops the experiment in order, whatever of it still runs."""
        self._nnictl("stop", self.id)
        wait_for(lambda: not any(self.processes("main.js")), "NNI's manager to end")

    def finish(self) -> None:
        """Lets all trials that were proposed, and two more, come to their end."""
        history = self.history()
        awaited = sum(t.result is None for t in history.trials) if history else 0
        total = str(len(self.jobs()) + awaited + 2)
        self._nnictl("update", "trialnum", self.id, "--value", total)
        wait_for(lambda: self.status()["status"] == "DONE", "the end of the experiment")

    def jobs(self) -> dict[str, Any]:
        """The config of each of NNI's trials by the job's id."""
        address = f"{self.address}/api/v1/nni/trial-jobs"
        with urllib.request.urlopen(address, timeout=20) as answer:
            jobs = json.load(answer)
        return {
            job["trialJobId"]: json.loads(job["hyperParameters"][0])["parameters"]
            for job in jobs
            if job.get("hyperParameters")
        }

    def history(self) -> History | None:
        """The run in the store; None before the tuner has opened it."""
        store = ExperienceStore.open(self._store)
        try:
            known = any(run.run_id == f"nni-{self.id}" for run in store.runs())
            return store.history(f"nni-{self.id}") if known else None
        finally:
            store.close()

    def num_results(self, alive: bool = False) -> int:
        """How many trials have a result in the store.

        Raises:
            RuntimeError: The experiment ended with an error, though it should be `alive`.
        """
        if alive and (state := self.status())["status"] == "ERROR":
            raise RuntimeError(f"the experiment failed: {state['errors']}\n{self.log()}")
        history = self.history()
        return sum(t.result is not None for t in history.trials) if history else 0

    def ended(self) -> list[dict[str, int]]:
        """The configs that trials measured to the end."""
        lines = self.log_file.read_text("utf-8").splitlines() if self.log_file.exists() else []
        return [record["config"] for record in map(json.loads, lines) if record["event"] == "end"]

    def processes(self, *words: str) -> Iterator[psutil.Process]:
        """This experiment's processes whose command line ends one of its parts so."""
        for process in psutil.process_iter():
            try:
                mine = process.environ().get("META_NNI_KILLS_LOG") == str(self.log_file)
                command = process.cmdline()
                alive = process.status() != psutil.STATUS_ZOMBIE
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
            if mine and alive and all(any(c.endswith(w) for c in command) for w in words):
                yield process


def kill(process: psutil.Process) -> None:
    """Kills a process with signal 9 and waits for its end."""
    os.kill(process.pid, signal.SIGKILL)
    psutil.wait_procs([process], timeout=10)


def wait_for(condition: Callable[[], bool], what: str, seconds: float = _WAIT_SECONDS) -> None:
    """Waits until the condition holds.

    Raises:
        TimeoutError: It did not within that time; says what was waited for.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds:.0f} seconds for {what}")
        time.sleep(0.1)

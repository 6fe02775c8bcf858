"""A real NNI experiment for tests: its own home, a free port, and nothing left behind."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import yaml

from meta_nni.store import ExperienceStore
from meta_nni.trial import History

ROOT = Path(__file__).parents[2]
PATIENCE = Path(__file__).with_name("patience.js")
SPACE = {
    "x": {"_type": "randint", "_value": [0, 8]},
    "branch": {
        "_type": "choice",
        "_value": [
            {"_name": "a", "depth": {"_type": "choice", "_value": [1, 2, 3]}},
            {"_name": "b"},
        ],
    },
}
"""Eight times four configs; see trial_script.py for their values."""


class NniExperiment:
    """Starts, kills, resumes and asks one experiment at a time.

    Attributes:
        log: What the trials did, written by trial_script.py.
        hold: While this file exists, trials wait before they measure.
        store: The store that the tuner is given, if a test does not say another.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "ran.jsonl"
        self.hold = folder / "hold"
        self.store = folder / "experience.db"
        self.id = ""
        self.port = 0
        self.env = {
            **os.environ,
            "HOME": str(folder / "home"),
            "NNI_CONFIG_DIR": str(folder / "home" / "nni-config"),
            "META_NNI_TEST_LOG": str(self.log),
            "META_NNI_STORE": str(folder / "default.db"),
            "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        }
        Path(self.env["HOME"]).mkdir()

    def nnictl(self, *arguments: str) -> str:
        """Runs nnictl and returns what it prints; fails with that text if it fails."""
        command = [sys.executable, "-m", "nni.tools.nnictl.nnictl", *arguments]
        patient = {**self.env, "NODE_OPTIONS": f"--require {json.dumps(str(PATIENCE))}"}
        done = subprocess.run(
            command, env=patient, cwd=self.folder, capture_output=True, text=True, timeout=90
        )
        assert done.returncode == 0, f"nnictl {arguments}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def create(
        self,
        *,
        trials: int = 6,
        mode: str = "normal",
        tuner: dict[str, Any] | None = None,
        space: dict[str, Any] = SPACE,
        **class_args: Any,
    ) -> None:
        """Starts an experiment of trial_script.py, two trials at once."""
        class_args = {"store": str(self.store), "knowledge": "none", "seed": 1, **class_args}
        script = Path(__file__).with_name("trial_script.py")
        named = tuner or {"className": "meta_nni.MetaTuner", "codeDirectory": "."}
        config = {
            "searchSpace": space,
            "trialCommand": f"{sys.executable} {script} {mode}",
            "trialCodeDirectory": ".",
            "trialConcurrency": 2,
            "maxTrialNumber": trials,
            "tuner": {**named, "classArgs": class_args},
            "trainingService": {"platform": "local"},
        }
        path = self.folder / "config.yml"
        path.write_text(yaml.safe_dump(config))
        self.port = free_port()
        output = self.nnictl("create", "--config", str(path), "--port", str(self.port))
        self.id = re.search(r'nnictl stop (\w+)"', output).group(1)

    def resume(self) -> None:
        """Resumes the experiment on a new port."""
        self.port = free_port()
        self.nnictl("resume", self.id, "--port", str(self.port))

    def stop(self) -> None:
        """Stops the experiment and waits for its end."""
        self.nnictl("stop", self.id)
        wait_for(lambda: not self.processes(), "all processes of the experiment to end")

    def close(self) -> None:
        """Ends whatever is left."""
        for process in self.processes():
            process.kill()
        wait_for(lambda: not self.processes(), "killed processes to end")

    def get(self, path: str) -> Any:
        """Asks NNI's REST interface."""
        url = f"http://localhost:{self.port}/api/v1/nni/{path}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)

    @property
    def status(self) -> str:
        return self.get("check-status")["status"]

    def wait(self, *states: str, timeout: float = 90) -> None:
        """Waits until the experiment is in one of these states."""
        wait_for(lambda: self.status in states, f"one of the states {states}", timeout)

    def history(self) -> History:
        """The experiment's run in the store."""
        return self._open_store().history(f"nni-{self.id}")

    def _open_store(self) -> ExperienceStore:
        return ExperienceStore.open(self.store)

    def wait_for_results(self, count: int) -> None:
        """Waits until the store has this many results, failures included."""

        def enough() -> bool:
            # The tuner opens its run some time after nnictl has started it.
            known = any(run.run_id == f"nni-{self.id}" for run in self._open_store().runs())
            return known and sum(t.result is not None for t in self.history().trials) >= count

        wait_for(enough, f"{count} results in the store", timeout=90)

    def jobs(self) -> dict[str, tuple[str, Any]]:
        """NNI's trials: state and proposed config by job id."""
        return {
            job["trialJobId"]: (job["status"], json.loads(job["hyperParameters"][0])["parameters"])
            for job in self.get("trial-jobs")
            if job.get("hyperParameters")
        }

    def ran(self, event: str = "end") -> list[Any]:
        """Configs for which the trial script logged this event, in order."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        records = [json.loads(line) for line in lines]
        return [record["config"] for record in records if record["event"] == event]

    def text(self, name: str) -> str:
        """A log file of the experiment."""
        file = Path(self.env["HOME"], "nni-experiments", self.id, "log", name)
        return file.read_text() if file.exists() else ""

    def processes(self, *words: str) -> list[psutil.Process]:
        """Processes of this experiment, those whose command line has all of the words."""
        return [
            process
            for process in psutil.process_iter()
            if _environment(process).get("META_NNI_TEST_LOG") == str(self.log)
            and all(word in process.cmdline() for word in words)
        ]

    def kill(self, *words: str) -> None:
        """Kills (signal 9) the one process whose command line has all of the words."""
        (process,) = self.processes(*words)
        process.send_signal(signal.SIGKILL)
        process.wait(10) if process.ppid() == os.getpid() else psutil.wait_procs([process], 10)


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ() if process.status() != psutil.STATUS_ZOMBIE else {}
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return {}


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


def wait_for(condition: Callable[[], bool], what: str, timeout: float = 60) -> None:
    """Waits until the condition holds; fails saying what was waited for."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, f"waited {timeout} seconds for {what}"
        time.sleep(0.2)

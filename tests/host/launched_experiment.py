"""A real NNI experiment started by `meta-nni launch`."""

import json
import re
import subprocess
import sys
from pathlib import Path

import yaml
from nni_experiment import NniExperiment, free_port


class LaunchedExperiment(NniExperiment):
    """The same, with the trials and the training service of a test's own."""

    def launch(self, script, space, *, trials, concurrency=2, service=None, **class_args):
        """Starts an experiment whose trials run a script of this folder."""
        given = {
            "store": str(self.store),
            "knowledge": "none",
            "seed": 1,
            "controller": "random",
            **class_args,
        }
        config = {
            "searchSpace": space,
            "trialCommand": f"{sys.executable} {Path(__file__).with_name(script)}",
            "trialCodeDirectory": ".",
            "trialConcurrency": concurrency,
            "maxTrialNumber": trials,
            "tuner": {"className": "meta_nni.MetaTuner", "codeDirectory": ".", "classArgs": given},
            "trainingService": service or {"platform": "local"},
        }
        path = self.folder / "config.yml"
        path.write_text(yaml.safe_dump(config))
        chosen = [] if self.port is None else ["--port", str(free_port())]
        output = self.meta_nni("launch", str(path), *chosen)
        self.port = int(re.search(r"page will be at http://127.0.0.1:(\d+)", output).group(1))
        self.id = re.search(r'nnictl stop (\w+)"', output).group(1)

    def meta_nni(self, *arguments):
        """Runs meta-nni and returns what it prints; fails with that text if it fails."""
        done = subprocess.run(
            [sys.executable, "-m", "meta_nni.cli", *arguments],
            env=self.env,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, f"meta-nni {arguments}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def shown_and_ran(self):
        """Of each trial with a final result: the config on NNI's page, and the one it ran."""
        return [
            (
                json.loads(job["hyperParameters"][0])["parameters"],
                json.loads(json.loads(job["finalMetricData"][0]["data"]))["config"],
            )
            for job in self.get("trial-jobs")
            if job.get("finalMetricData")
        ]

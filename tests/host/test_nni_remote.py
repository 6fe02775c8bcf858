"""NNI's remote training service: trials run over ssh, on this machine as a worker."""

import sys
from pathlib import Path

import psutil
import pytest
from launched_experiment import LaunchedExperiment
from nni_experiment import SPACE
from ssh_server import ssh_server
from trial_script import score

pytestmark = pytest.mark.host

WORKERS_PYTHON = """\
#!/bin/sh
# NNI upgrades itself on every worker; here that would change the environment under test.
case "$*" in *"-m pip install nni --upgrade"*) exit 0 ;; esac
{exports}
exec {python} "$@"
"""


def workers_python(folder, environment):
    """A folder with the worker's "python": this one, with a home folder of the worker's own."""
    folder.mkdir()
    script = folder / "python"
    exports = "\n".join(f"export {name}='{value}'" for name, value in environment.items())
    script.write_text(WORKERS_PYTHON.format(exports=exports, python=sys.executable))
    script.chmod(0o755)
    return str(folder)


def test_trials_on_a_worker_reach_a_manager_that_listens_on_loopback_alone(tmp_path):
    experiment = LaunchedExperiment(tmp_path)
    home = tmp_path / "worker"
    home.mkdir()
    named = ("PYTHONPATH", "META_NNI_TEST_LOG", "META_NNI_STORE")
    environment = {name: experiment.env[name] for name in named} | {"HOME": str(home)}
    python_path = workers_python(tmp_path / "bin", environment)
    try:
        with ssh_server(tmp_path) as address:
            machine = {**address, "pythonPath": python_path}
            service = {"platform": "remote", "machineList": [machine]}
            experiment.launch("trial_script.py", SPACE, trials=4, service=service)
            experiment.wait("DONE", timeout=180)
            experiment.wait_for_results(4)
            trials = experiment.history().trials
            rows = experiment.shown_and_ran()
            listening = {
                connection.laddr.ip
                for process in experiment.processes()
                for connection in process.net_connections("tcp")
                if connection.status == psutil.CONN_LISTEN
            }
    finally:
        experiment.close()
    assert [trial.state for trial in trials] == 4 * ["completed"]
    assert all(trial.value == pytest.approx(score(trial.config)) for trial in trials)
    assert [shown for shown, _ in rows] == [ran for _, ran in rows]
    assert len(rows) == 4
    assert listening == {"127.0.0.1"}  # of the manager and of the worker's trial keeper
    ran_there = list(Path(home).glob("nni-experiments/*/environments/*/trials/*/trial.stdout"))
    assert len(ran_there) == 4

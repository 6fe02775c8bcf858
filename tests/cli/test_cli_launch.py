import argparse
import json
import logging
import os
import socket
import subprocess
import sys

import pytest
from nni.experiment.config.utils import unset_base_path
from nni.tools.nnictl import nnictl

from meta_nni.adapters.nni_launch import mended
from meta_nni.adapters.nni_port import free_port, reserved_port
from meta_nni.cli import main


@pytest.fixture
def started(monkeypatch):
    """What nnictl is started with: its arguments and Node's options."""
    calls = []
    monkeypatch.delenv("NODE_OPTIONS", raising=False)
    monkeypatch.setattr(
        nnictl, "parse_args", lambda: calls.append((sys.argv, os.environ["NODE_OPTIONS"]))
    )
    return calls


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "my config.yml"
    path.touch()
    return path


def command(started):
    (((program, *arguments), options),) = started
    assert program == "nnictl"
    assert "nni_manager" in options
    return arguments


def test_does_what_nnictl_create_does(started, config, capsys):
    assert main(["launch", str(config), "--port", "8123"]) == 0
    assert command(started) == ["create", "--config", str(config), "--port", "8123"]
    said = capsys.readouterr().out
    assert "http://127.0.0.1:8123" in said
    assert "ssh -N -L 8123:127.0.0.1:8123" in said


def test_passes_nnictls_options_on(started, config):
    main(["launch", str(config), "-p", "8123", "-d", "-f", "--url_prefix", "a/b"])
    options = ["--url_prefix", "a/b", "--debug", "--foreground", "--port", "8123"]
    assert command(started) == ["create", "--config", str(config), *options]


def test_programs_get_the_experiment_alone(monkeypatch, config, capsys):
    from nni.experiment import launcher

    def create():
        print("Setting up...")
        launcher._start_rest_server(argparse.Namespace(experiment_id="abc123"), None)

    monkeypatch.setattr(launcher, "_start_rest_server", lambda nni_manager_args, run_mode: None)
    monkeypatch.setattr(nnictl, "parse_args", create)
    assert main(["launch", str(config), "--port", "8123", "--url-prefix", "a", "--json"]) == 0
    said = capsys.readouterr()
    page = "http://127.0.0.1:8123/a"
    assert json.loads(said.out) == {"experiment": "abc123", "run_id": "nni-abc123", "page": page}
    assert "Setting up..." in said.err


def test_a_misspelt_argument_of_the_tuner_is_told_before_nni_starts(started, config, capsys):
    config.write_text("tuner: {className: meta_nni.MetaTuner, classArgs: {tsk: digits, seed: 1}}")
    assert main(["launch", str(config)]) == 1
    assert "MetaTuner has no argument 'tsk'" in capsys.readouterr().err
    assert not started
    for right in ("tsk: digits", "tuner: [", "tuner: {className: my.Tuner, classArgs: {tsk: 1}}"):
        config.write_text(right)  # another's tuner, or for nnictl to say
        assert main(["launch", str(config)]) == 0


def test_resumes(started):
    main(["launch", "--resume", "abc123", "--port", "8123"])
    assert command(started) == ["resume", "abc123", "--port", "8123"]


def test_takes_a_free_port_by_default(started, config):
    main(["launch", str(config)])
    port = int(command(started)[-1])
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_a_port_whose_neighbour_is_taken_is_not_free():
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        assert free_port(taken - 1) > taken


def test_ports_of_launches_at_the_same_time_differ():
    with reserved_port() as (one, release), reserved_port() as (other, _):
        assert other > one + 1  # a remote service takes the next one, too
        release()
        with reserved_port() as (again, _):
            assert again == one


def test_a_reservation_ends_with_its_launch(started, config):
    main(["launch", str(config)])
    main(["launch", str(config)])
    first, second = (argv[-1] for argv, _ in started)
    assert first == second


SERVER = """
import socket, sys, time
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
time.sleep(60)
"""


def test_another_experiments_manager_is_not_taken_for_ones_own(monkeypatch, config, capsys):
    from nni.experiment import launcher

    code, processes = [SERVER], []

    def manager(arguments, mode):
        processes.append(subprocess.Popen([sys.executable, "-c", code[0], str(port)]))
        return processes[-1]

    def create():
        launcher._start_rest_server(argparse.Namespace(experiment_id="abc123"), None)
        launcher._check_rest_server(port, url_prefix=None)

    monkeypatch.setattr(launcher, "_check_rest_server", lambda port, retry, url_prefix: None)
    monkeypatch.setattr(launcher, "_start_rest_server", manager)
    monkeypatch.setattr(nnictl, "parse_args", create)
    before = launcher._start_rest_server, launcher._check_rest_server
    port = free_port(20000)
    try:
        assert main(["launch", str(config), "--port", str(port)]) == 0
        code[0] = "raise SystemExit(1)"  # as NNI's manager where the port is taken
        assert main(["launch", str(config), "--port", str(port)]) == 1
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert f"at port {port} another experiment answers" in capsys.readouterr().err
    assert (launcher._start_rest_server, launcher._check_rest_server) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.yml"], "there is no file missing.yml"),
        (["--resume", "abc", "--url-prefix", "a"], "cannot resume with --url-prefix"),
    ],
)
def test_refuses_in_one_line(started, capsys, arguments, message):
    assert main(["launch", *arguments]) == 1
    assert message in capsys.readouterr().err
    assert not started


@pytest.mark.parametrize("arguments", [[], ["config.yml", "--resume", "abc"]])
def test_wants_a_config_or_an_experiment(started, arguments):
    with pytest.raises(SystemExit) as error:
        main(["launch", *arguments])
    assert error.value.code == 2
    assert not started


def test_nodes_own_options_stay_and_ours_come_once():
    theirs = {"NODE_OPTIONS": "--max-http-header-size=9000", "A": "b"}
    once = mended(theirs)
    assert once["NODE_OPTIONS"].startswith("--max-http-header-size=9000 --require ")
    assert once["A"] == "b"
    assert mended(once) == once


def test_nothing_stays_changed(started, config):
    before = sys.argv
    main(["launch", str(config)])
    assert started
    assert sys.argv is before
    assert "NODE_OPTIONS" not in os.environ


def test_an_error_of_nnictl_is_one_line(monkeypatch, config, capsys):
    def fail():
        raise RuntimeError("Port 8123 is not idle")

    monkeypatch.setattr(nnictl, "parse_args", fail)
    assert main(["launch", str(config), "--port", "8123"]) == 1
    assert "nnictl failed: RuntimeError: Port 8123 is not idle" in capsys.readouterr().err


@pytest.fixture
def undone():
    """Undoes what nnictl leaves in this process: the level of all logs, a folder for paths."""
    level = logging.root.level
    yield
    logging.root.setLevel(level)
    unset_base_path()


@pytest.mark.usefixtures("undone")
def test_nnictl_itself_reads_the_config(tmp_path, capsys):
    wrong = tmp_path / "config.yml"
    wrong.write_text("trialConcurency: 2")
    assert main(["launch", str(wrong)]) == 1
    assert "trialconcurency" in capsys.readouterr().err

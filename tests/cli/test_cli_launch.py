import logging
import os
import socket
import sys

import pytest
from nni.experiment.config.utils import unset_base_path
from nni.tools.nnictl import nnictl

from meta_nni.adapters.nni_launch import free_port, mended
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
    options = ["--url_prefix", "a/b", "--port", "8123", "--debug", "--foreground"]
    assert command(started) == ["create", "--config", str(config), *options]


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

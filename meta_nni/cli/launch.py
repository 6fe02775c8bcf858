"""`meta-nni launch`: starts or resumes an NNI experiment with NNI's manager mended."""

from __future__ import annotations

import argparse
import contextlib
import getpass
import json
import socket
import sys
from pathlib import Path

from meta_nni.cli.arguments import CommandError, Commands

__all__ = ["add_command"]

_ABOUT = """\
Starts an NNI experiment as nnictl does, with defects of NNI 3.0 mended: every trial gets the
parameters that NNI's page shows for it, and the page, which has no password, is for this
machine alone (127.0.0.1)."""


def add_command(commands: Commands) -> None:
    """Adds the verb `launch`."""
    parser = commands.add_parser(
        "launch", help="start an NNI experiment, its page kept to this machine", description=_ABOUT
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("config", nargs="?", type=Path, help="NNI's config, such as config.yml")
    what.add_argument("--resume", metavar="ID", help="go on with a stopped experiment instead")
    add = parser.add_argument
    add("--port", "-p", type=int, help="of the page; default: the first free one from 8080")
    add("--debug", "-d", action="store_true", help="have NNI log more")
    add("--foreground", "-f", action="store_true", help="stay until the end and show NNI's log")
    add("--url-prefix", "--url_prefix", "-u", metavar="PREFIX", help="of the page's address")
    add("--json", action="store_true", help="for programs: one JSON object, all else to stderr")
    parser.set_defaults(verb=_launch)


def _launch(arguments: argparse.Namespace) -> None:
    aside = contextlib.redirect_stdout(sys.stderr) if arguments.json else contextlib.nullcontext()
    with aside:
        started = _run(arguments)
    if arguments.json:
        print(json.dumps(started))


def _run(arguments: argparse.Namespace) -> dict[str, str | None]:
    """Starts it; returns what `--json` prints."""
    from meta_nni.adapters.nni_launch import run_nnictl
    from meta_nni.adapters.nni_port import reserved_port

    command = _what(arguments)
    command += ["--debug"] * arguments.debug + ["--foreground"] * arguments.foreground
    try:
        with reserved_port(arguments.port) as (port, release):
            _say(port)
            name = run_nnictl([*command, "--port", str(port)], release)
    except Exception as error:
        raise CommandError(f"nnictl failed: {type(error).__name__}: {error}") from error
    prefix = f"/{arguments.url_prefix.strip('/')}" if arguments.url_prefix else ""
    return {
        "experiment": name,
        "run_id": None if name is None else f"nni-{name}",
        "page": f"http://127.0.0.1:{port}{prefix}",
    }


def _say(port: int) -> None:
    print(
        f"NNI's page will be at http://127.0.0.1:{port}, for this machine alone; to see it from "
        "another, run there:\n"
        f"  ssh -N -L {port}:127.0.0.1:{port} {getpass.getuser()}@{socket.gethostname()}",
        flush=True,
    )


def _what(arguments: argparse.Namespace) -> list[str]:
    """The part of nnictl's command that differs between a new and a resumed experiment."""
    from meta_nni.adapters.nni_arguments import ArgumentError
    from meta_nni.adapters.nni_config import check_class_args

    prefix = arguments.url_prefix
    if arguments.resume is not None:
        if prefix is not None:
            raise CommandError("nnictl cannot resume with --url-prefix; leave it out")
        return ["resume", arguments.resume]
    if not arguments.config.is_file():
        raise CommandError(
            f"there is no file {arguments.config}; expected NNI's config of an experiment, "
            "such as config.yml"
        )
    try:
        check_class_args(arguments.config)
    except ArgumentError as error:
        raise CommandError(f"{arguments.config}: {error}") from None
    prefixed = [] if prefix is None else ["--url_prefix", prefix]
    return ["create", "--config", str(arguments.config), *prefixed]

"""The command line, `meta-nni`: one module a verb.

Exit status: 0 done, 1 refused (one line on standard error says why), 2 wrong usage,
130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence

import meta_nni
from meta_nni.cli import (
    best,
    demo,
    doctor,
    experience,
    explain,
    launch,
    propose,
    register,
    report,
    train,
)
from meta_nni.cli.arguments import CommandError
from meta_nni.experience import ExperienceError
from meta_nni.store import StoreError

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command.

    Args:
        argv: Its arguments; None takes the process's.

    Returns:
        The exit status, 0, 1 or 130.

    Raises:
        SystemExit: with status 2 on wrong usage, 0 after `--help` and `--version`.
    """
    arguments = _parser().parse_args(argv)
    verb: Callable[[argparse.Namespace], None] = arguments.verb
    try:
        verb(arguments)
        sys.stdout.flush()
    except (StoreError, ExperienceError, CommandError) as error:
        print(f"meta-nni: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as interrupt:
        print("meta-nni:", ", ".join(["interrupted", *interrupt.args]), file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader has seen enough, as in `... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="meta-nni", description="Architecture search that remembers."
    )
    parser.add_argument("--version", action="version", version=meta_nni.__version__)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    verbs = (demo, doctor, launch, propose, explain, report, best, experience, train, register)
    for verb in verbs:
        verb.add_command(commands)
    return parser

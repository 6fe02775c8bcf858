"""The command line, `meta-nni`: one small function a verb.

Exit status: 0 done, 1 refused (one line on standard error says why), 2 wrong usage.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import asdict

import meta_nni
from meta_nni.experience import ExperienceError
from meta_nni.knowledge import shipped_knowledge
from meta_nni.store import ExperienceStore, RunSummary, StoreError

__all__ = ["main"]

_HEADINGS = ("RUN", "TASK", "SPACE", "TRIALS", "COMPLETED", "FAILED", "BEST", "ORIGIN")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command.

    Args:
        argv: Its arguments; None takes the process's.

    Returns:
        The exit status, 0 or 1.

    Raises:
        SystemExit: with status 2 on wrong usage, 0 after `--help` and `--version`.
    """
    arguments = _parser().parse_args(argv)
    verb: Callable[[argparse.Namespace], None] = arguments.verb
    try:
        verb(arguments)
        sys.stdout.flush()
    except (StoreError, ExperienceError) as error:
        print(f"meta-nni: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader has seen enough, as in `... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="meta-nni", description="Architecture search that remembers."
    )
    parser.add_argument("--version", action="version", version=meta_nni.__version__)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_experience(commands.add_parser("experience", help="what earlier searches left"))
    register = commands.add_parser("register", help="register the tuner with NNI as MetaNAS")
    register.set_defaults(verb=_register)
    return parser


def _add_experience(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    store = argparse.ArgumentParser(add_help=False)
    store.add_argument(
        "--store",
        help="path or URL (sqlite:///PATH, postgresql://USER@HOST/NAME); default "
        "$META_NNI_STORE, else a file in the user's data folder",
    )
    import_ = commands.add_parser("import", parents=[store], help="add a file's runs to a store")
    import_.add_argument("file", metavar="FILE", help="experience file, .jsonl or .jsonl.gz")
    import_.set_defaults(verb=_import)

    export = commands.add_parser("export", parents=[store], help="write a store's runs to a file")
    export.add_argument("file", metavar="FILE", help="file to write, .jsonl or .jsonl.gz")
    export.add_argument("--run", action="append", metavar="ID", help="only this run; repeatable")
    export.set_defaults(verb=_export)

    list_ = commands.add_parser("list", help="show the runs of a store")
    source = list_.add_mutually_exclusive_group()
    source.add_argument("--store", help="path or URL, as for import")
    source.add_argument("--knowledge", action="store_true", help="the experience that is shipped")
    list_.add_argument("--json", action="store_true", help="for programs: one JSON array")
    list_.set_defaults(verb=_list)


def _import(arguments: argparse.Namespace) -> None:
    with closing(ExperienceStore.open(arguments.store)) as store:
        done = store.import_(arguments.file)
        print(
            f"{store.name}: {done.runs_added} runs and {done.trials_added} trials added, "
            f"{done.trials_finished} trials finished, {done.trials_unchanged} unchanged"
        )


def _export(arguments: argparse.Namespace) -> None:
    with closing(ExperienceStore.open(arguments.store, create=False)) as store:
        count = store.export(arguments.file, arguments.run)
    print(f"{arguments.file}: {count} runs written")


def _list(arguments: argparse.Namespace) -> None:
    if arguments.knowledge:
        runs = [RunSummary.of(history, "shipped") for history in shipped_knowledge()]
    else:
        with closing(ExperienceStore.open(arguments.store, create=False)) as store:
            runs = store.runs()
    if arguments.json:
        print(json.dumps([asdict(run) for run in runs], indent=1))
    else:
        print(_table([_HEADINGS, *map(_row, runs)]))


def _row(run: RunSummary) -> tuple[str, ...]:
    best = "-" if run.best is None else f"{run.best:.6g}"
    counts = (str(run.trials), str(run.completed), str(run.failed))
    return (run.run_id, run.task, run.fingerprint[:8], *counts, best, run.origin)


def _table(rows: Iterable[Sequence[str]]) -> str:
    """Returns lines with aligned columns; whatever would break a line is escaped."""
    shown = [[cell if cell.isprintable() else repr(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    lines = (zip(row, widths, strict=True) for row in shown)
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in line).rstrip() for line in lines
    )


def _register(arguments: argparse.Namespace) -> None:
    from meta_nni.adapters.nni_register import NAME, register

    register()
    print(f"registered with NNI: tuner: {{name: {NAME}}}")

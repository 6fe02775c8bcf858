"""`meta-nni experience`: what earlier searches left."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict

from meta_nni.cli.arguments import CommandError, Commands, add_store
from meta_nni.cli.text import table
from meta_nni.experience_private import Hidden, load_key
from meta_nni.knowledge import Provenance, shipped_knowledge
from meta_nni.store import ExperienceStore, ImportSummary, RunSummary
from meta_nni.trial import History

__all__ = ["add_command"]

_HEADINGS = ("RUN", "TASK", "SPACE", "TRIALS", "COMPLETED", "FAILED", "BEST", "ORIGIN")
_KNOWLEDGE_HEADINGS = ("TASK", "KIND", "ROWS", "FAILED", "BEST", "METRIC", "RECIPE", "DATA SET")


def add_command(verbs: Commands) -> None:
    """Adds the verb and its own verbs: import, export, copy, list."""
    parser = verbs.add_parser("experience", help="what earlier searches left")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for add in (_add_import, _add_export, _add_copy, _add_list):
        add(commands)


def _add_import(commands: Commands) -> None:
    parser = commands.add_parser("import", help="add a file's runs to a store")
    add_store(parser)
    parser.add_argument("file", metavar="FILE", help="experience file, .jsonl or .jsonl.gz")
    _add_json(parser, "object")
    parser.set_defaults(verb=_import)


def _add_export(commands: Commands) -> None:
    parser = commands.add_parser("export", help="write a store's runs to a file")
    add_store(parser)
    parser.add_argument("file", metavar="FILE", help="file to write, .jsonl or .jsonl.gz")
    parser.add_argument("--run", action="append", metavar="ID", help="only this run; repeatable")
    parser.add_argument(
        "--hash-names",
        action="store_true",
        help="to share it: names of tasks and runs become hashes, the same in each export, and "
        "free text such as reasons and explanations is left out",
    )
    parser.add_argument(
        "--key",
        metavar="FILE",
        help="secret of these hashes, made if missing; default: one in the user's data folder",
    )
    _add_json(parser, "object")
    parser.set_defaults(verb=_export)


def _add_copy(commands: Commands) -> None:
    parser = commands.add_parser("copy", help="add all runs of a store to another one")
    parser.add_argument(
        "--from",
        dest="source",
        metavar="STORE",
        help="path or URL; default $META_NNI_STORE, else a file in the user's data folder",
    )
    parser.add_argument(
        "--to",
        dest="target",
        metavar="STORE",
        required=True,
        help="path or URL, such as postgresql://USER@HOST/NAME; copying again changes nothing",
    )
    _add_json(parser, "object")
    parser.set_defaults(verb=_copy)


def _add_list(commands: Commands) -> None:
    parser = commands.add_parser("list", help="show the runs of a store")
    source = parser.add_mutually_exclusive_group()
    add_store(source)
    source.add_argument("--knowledge", action="store_true", help="the experience that is shipped")
    _add_json(parser, "array")
    parser.set_defaults(verb=_list)


def _add_json(parser: argparse.ArgumentParser, kind: str) -> None:
    parser.add_argument("--json", action="store_true", help=f"for programs: one JSON {kind}")


def _import(arguments: argparse.Namespace) -> None:
    with closing(ExperienceStore.open(arguments.store)) as store:
        _print_done(store, store.import_(arguments.file), arguments.json)


def _print_done(store: ExperienceStore, done: ImportSummary, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"store": store.name, **asdict(done)}))
        return
    print(
        f"{store.name}: {done.runs_added} runs and {done.trials_added} trials added, "
        f"{done.trials_finished} trials finished, {done.trials_unchanged} unchanged"
    )


def _export(arguments: argparse.Namespace) -> None:
    if arguments.key and not arguments.hash_names:
        raise CommandError("--key came without --hash-names, which it belongs to; add that")
    with closing(ExperienceStore.open(arguments.store, create=False)) as store:
        if arguments.hash_names:
            hidden = Hidden(load_key(arguments.key))
            count = store.export(arguments.file, arguments.run, hidden.history)
        else:
            count = store.export(arguments.file, arguments.run)
    if arguments.json:
        print(json.dumps({"file": arguments.file, "runs": count}))
    else:
        print(f"{arguments.file}: {count} runs written")


def _copy(arguments: argparse.Namespace) -> None:
    with (
        closing(ExperienceStore.open(arguments.source, create=False)) as source,
        closing(ExperienceStore.open(arguments.target)) as target,
    ):
        _print_done(target, source.copy_to(target), arguments.json)


def _list(arguments: argparse.Namespace) -> None:
    if arguments.knowledge:
        _list_knowledge(shipped_knowledge(), arguments.json)
        return
    with closing(ExperienceStore.open(arguments.store, create=False)) as store:
        runs = store.runs()
    if arguments.json:
        print(json.dumps([asdict(run) for run in runs], indent=1))
    else:
        print("\n".join(table([_HEADINGS, *map(_row, runs)])))


def _row(run: RunSummary) -> tuple[str, ...]:
    counts = (str(run.trials), str(run.completed), str(run.failed))
    return (run.run_id, run.task, run.fingerprint[:8], *counts, _best(run), run.origin)


def _best(run: RunSummary) -> str:
    return "-" if run.best is None else f"{run.best:.6g}"


def _list_knowledge(histories: Sequence[History], as_json: bool) -> None:
    """Shows the shipped runs with where they come from, and how much it is in all."""
    runs = [(RunSummary.of(h, "shipped"), Provenance.of(h.run)) for h in histories]
    if as_json:
        print(json.dumps([asdict(run) | asdict(origin) for run, origin in runs], indent=1))
        return
    rows = (_knowledge_row(run, origin) for run, origin in runs)
    print("\n".join(table([_KNOWLEDGE_HEADINGS, *rows])))
    trials, failed = (sum(getattr(run, n) for run, _ in runs) for n in ("trials", "failed"))
    print(f"{len(runs)} runs, {trials} rows, {failed} of them failures; licences with --json")


def _knowledge_row(run: RunSummary, origin: Provenance) -> tuple[str, ...]:
    measured = (str(run.trials), str(run.failed), _best(run), origin.metric or "-")
    return (run.task, origin.kind or "-", *measured, origin.recipe or "-", origin.data_set or "-")

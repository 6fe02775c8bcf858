"""`meta-nni doctor`: what stands in the way of a search, and how to mend it."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from meta_nni.cli.arguments import CommandError, Commands, add_store
from meta_nni.cli.text import labelled, shown

__all__ = ["add_command"]

_MARKS = {"ok": "ok", "note": "note", "problem": "PROBLEM"}


def add_command(verbs: Commands) -> None:
    """Adds the verb."""
    parser = verbs.add_parser(
        "doctor",
        help="check this environment; each problem comes with its mend",
        description="Looks at versions and pins, NNI's manager, its port, the store, write "
        "rights and the GPU. Exit status 1 if there is a problem.",
    )
    add_store(parser)
    parser.add_argument("--json", action="store_true", help="for programs: one JSON array")
    parser.set_defaults(verb=_doctor)


def _doctor(arguments: argparse.Namespace) -> None:
    from meta_nni.cli.checks import examine

    findings = list(examine(arguments.store))
    if arguments.json:
        print(json.dumps([asdict(each) for each in findings], indent=1))
    else:
        for each in findings:
            print(f"{_MARKS[each.status]:<8} {each.check}: {shown(each.found)}")
            if each.mend:
                print("\n".join(labelled("mend", each.mend)))
    num_problems = sum(each.status == "problem" for each in findings)
    if num_problems:
        raise CommandError(f"{num_problems} to mend, see above")

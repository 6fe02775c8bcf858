"""`meta-nni register`: a name for the tuner in NNI's configs."""

from __future__ import annotations

import argparse
import json

from meta_nni.cli.arguments import Commands

__all__ = ["add_command"]


def add_command(verbs: Commands) -> None:
    """Adds the verb."""
    parser = verbs.add_parser(
        "register",
        help="register the tuner with NNI as MetaNAS",
        description="Lets NNI's configs say `tuner: {name: MetaNAS}` for `className: "
        "meta_nni.MetaTuner`. NNI keeps the name with this Python environment; doing it "
        "again changes nothing.",
    )
    parser.add_argument("--json", action="store_true", help="for programs: one JSON object")
    parser.set_defaults(verb=_register)


def _register(arguments: argparse.Namespace) -> None:
    from meta_nni.adapters.nni_register import NAME, register

    register()
    if arguments.json:
        print(json.dumps({"name": NAME}))
        return
    print(f"registered with NNI: tuner: {{name: {NAME}}}")

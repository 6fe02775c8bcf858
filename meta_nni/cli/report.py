"""`meta-nni report`: a run as one page for a browser."""

from __future__ import annotations

import argparse
import json
from contextlib import closing
from pathlib import Path

from meta_nni.cli.arguments import CommandError, Commands, add_store, known_history
from meta_nni.store import ExperienceStore

__all__ = ["add_command"]


def add_command(verbs: Commands) -> None:
    """Adds the verb."""
    parser = verbs.add_parser(
        "report",
        help="write a run as one page for a browser",
        description="Writes one self-contained HTML file: best value so far, predicted against "
        "measured, what each proposal was based on, which decisions matter, cost, the Pareto "
        "front, and how to get the model. It runs no script and asks no server.",
    )
    parser.add_argument("run", metavar="RUN", help="the run's id, see meta-nni experience list")
    add_store(parser)
    parser.add_argument(
        "--out", metavar="FILE", help="file to write; default STORE.reports/RUN.html"
    )
    parser.add_argument(
        "--pareto",
        metavar="NAME",
        help="what the Pareto front holds against the value, less being better: seconds, or a "
        "metric of the trials; default parameters, else seconds",
    )
    parser.add_argument("--json", action="store_true", help="for programs: one JSON object")
    parser.set_defaults(verb=_report)


def _report(arguments: argparse.Namespace) -> None:
    from meta_nni.report import ReportError, report_path, write_report
    from meta_nni.report.page import costs

    with closing(ExperienceStore.open(arguments.store, create=False)) as store:
        history, name = known_history(store, arguments.run), store.name
    known = list(costs(history))
    if arguments.pareto is not None and arguments.pareto not in known:
        raise CommandError(
            f"--pareto is {arguments.pareto!r}, expected one of {known}: what at least two "
            "measured trials have, above 0"
        )
    path = Path(arguments.out) if arguments.out else report_path(name, history)
    try:
        write_report(history, name, path, arguments.pareto)
    except ReportError as error:
        raise CommandError(str(error)) from None
    if arguments.json:
        print(json.dumps({"run_id": history.run.run_id, "report": str(path.absolute())}))
    else:
        print(path)

"""Does anything get lost when the tuner, NNI's manager, a trial or two writers are killed?

    python -m experiments.kills.run

Kills (signal 9) come at random moments, several in a row in one real experiment, and each
only after the search went on from the one before. Resumable: kills done are in kills.jsonl.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from experiments.kills.sessions import KINDS

__all__ = ["main", "read", "table"]

HERE = Path(__file__).parent
KILLS = HERE / "kills.jsonl"
RESULTS = HERE / "results.md"
_HARMLESS = ("kind", "seed", "session", "moment", "finished")


def main() -> int:
    """Kills until every kind has its number, writes results.md; fails if anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50, help="of each kind")
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--at-once", type=int, default=10, help="kills of one experiment")
    parser.add_argument("--seed", type=int, default=0, help="of moments and configs")
    parser.add_argument("--output", type=Path, default=KILLS, help="where kills are recorded")
    options = parser.parse_args()
    for kind in options.kinds:
        while (done := len(of_kind(read(options.output), kind))) < options.kills:
            kills = min(options.at_once, options.kills - done)
            append(session(kind, options.seed, done, kills), options.output)
            print(f"{kind}: {done + kills} of {options.kills} kills", flush=True)
    records = read(options.output)
    if options.output == KILLS:
        RESULTS.write_text(table(records), encoding="utf-8")
    print(table(records))
    return int(any(damage(record) for record in records))


def session(kind: str, seed: int, number: int, kills: int) -> list[dict[str, Any]]:
    """Kills of one kind in a row; its folder is kept if something is found lost."""
    folder = Path(tempfile.mkdtemp(prefix=f"kills-{kind}-"))
    rng = np.random.default_rng([seed, list(KINDS).index(kind), number])
    said = {"kind": kind, "seed": seed, "session": number}
    records = [said | record for record in KINDS[kind](folder, rng, kills)]
    if any(damage(record) for record in records):
        print(f"something was lost; see {folder}", file=sys.stderr)
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return records


def damage(record: dict[str, Any]) -> int:
    """How much a kill cost: the sum of all counts that must be 0."""
    return sum(count for name, count in record.items() if name not in _HARMLESS)


def of_kind(records: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """The kills of one kind."""
    return [record for record in records if record["kind"] == kind]


def read(path: Path) -> list[dict[str, Any]]:
    """The kills recorded so far."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def append(records: list[dict[str, Any]], path: Path) -> None:
    """Adds a session's kills."""
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(record) + "\n" for record in records)


def table(records: list[dict[str, Any]]) -> str:
    """The kills of each kind as Markdown."""
    lines = [
        "# Kills survived",
        "",
        "Written by `python -m experiments.kills.run` from kills.jsonl. Moment: seconds after the",
        "latest result (writers: after both began to write). Finished: results that were stored",
        "when the kills came, added up over all kills. Damage: results lost, changed, repeated or",
        "wrong, configs lost or unresolved, trials failed that were not killed.",
        "",
        "| killed | kills | in a row | moment, s | finished | damage |",
        "|---|---|---|---|---|---|",
    ]
    for kind in KINDS:
        those = of_kind(records, kind)
        if those:
            moments = [record["moment"] for record in those]
            sessions = [(record["seed"], record["session"]) for record in those]
            lines.append(
                f"| {kind} | {len(those)} | {max(map(sessions.count, sessions))} "
                f"| {min(moments):.2f} to {max(moments):.2f} "
                f"| {sum(record['finished'] for record in those)} "
                f"| {sum(map(damage, those))} |"
            )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())

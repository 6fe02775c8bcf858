"""Does any damaged or hostile input get in, get half in, or end in an unforeseen error?

Valid experience files, stores and checkpoints are changed by a seeded generator and read
again. Each input must be taken whole, or refused with one of the package's own errors that
names the place, the store unchanged. Every input depends on seed, kind and number alone, so
that a finding is repeated by `--only KIND --first NUMBER --inputs 1`.
"""

from __future__ import annotations

import argparse
import csv
import logging
import resource
import sys
import tempfile
import time
import traceback
import zlib
from pathlib import Path

import numpy as np

from experiments.fuzz.targets import TARGETS

HERE = Path(__file__).parent
_FOLDER = "/dev/shm" if Path("/dev/shm").is_dir() else None  # a disk is slow to sync
_MAX_GROWTH = 300  # MiB: the largest input takes 1 MB
_SHOWN = 5  # findings of each kind
_COLUMNS = ("kind", "inputs", "taken", "refused", "findings", "seconds", "peak_growth_mib")


def main() -> int:
    """Prints a row for each kind of input; the exit status is 1 if there is any finding."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=24_000, help="of all kinds together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=TARGETS, help="all inputs of this kind")
    parser.add_argument("--first", type=int, default=0, help="number of the first input of a kind")
    parser.add_argument("--out", type=Path, help="CSV file for the figures, such as results.csv")
    options = parser.parse_args()
    logging.disable(logging.WARNING)  # each run that is left out is logged
    rows = []
    for kind in [options.only] if options.only else TARGETS:
        share = 1.0 if options.only else TARGETS[kind][1]
        with tempfile.TemporaryDirectory(dir=_FOLDER) as folder:
            numbers = range(options.first, options.first + round(share * options.inputs))
            rows.append(fuzz(kind, numbers, options.seed, Path(folder)))
        print("  ".join(f"{name} {value}" for name, value in rows[-1].items()), flush=True)
    if options.out:
        with options.out.open("w", newline="") as file:
            writer = csv.DictWriter(file, _COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    print(f"{sum(int(row['inputs']) for row in rows)} inputs, seed {options.seed}")
    grew = any(float(row["peak_growth_mib"]) > _MAX_GROWTH for row in rows)
    return int(grew or any(row["findings"] for row in rows))


def fuzz(kind: str, numbers: range, seed: int, folder: Path) -> dict[str, str | int | float]:
    """Feeds the inputs of one kind, and returns how many were taken and refused."""
    target = TARGETS[kind][0](folder)
    began, before = time.perf_counter(), _peak()
    taken = findings = 0
    for number in numbers:
        try:
            taken += target.feed(np.random.default_rng([seed, zlib.crc32(kind.encode()), number]))
        except Exception:
            findings += 1
            if findings <= _SHOWN:
                print(f"--- {kind}, input {number}, seed {seed}")
                traceback.print_exc(limit=-6, file=sys.stdout)
    counts = (kind, len(numbers), taken, len(numbers) - taken - findings, findings)
    seconds = round(time.perf_counter() - began, 1)
    return dict(zip(_COLUMNS, (*counts, seconds, round(_peak() - before, 1)), strict=True))


def _peak() -> float:
    """Most memory that this process has held, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


if __name__ == "__main__":
    sys.exit(main())

"""A search that asks and tells until it is killed, and says what was committed.

python -m experiments.kills.writer STORE RUN_ID SEED LOG
"""

from __future__ import annotations

import json
import os
import sys

from experiments.kills.trial import expected
from experiments.kills.victim import SPACE
from meta_nni import ExperienceStore, Run, SearchSpace, Task
from meta_nni.controllers import make
from meta_nni.search import Search

__all__ = ["main"]


def main(address: str, run_id: str, seed: str, log: str) -> None:
    """Opens or resumes the run, and writes a line after each commit; never ends by itself."""
    store = ExperienceStore.open(address)
    run = Run(run_id, Task("kills"), SearchSpace.from_nni(SPACE))
    search = Search.open(store, run, make("random", None), seed=int(seed), knowledge="none")
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    number = 0
    while True:
        host_id = f"{os.getpid()}-{number}"
        (suggestion,) = search.ask([host_id])
        line("asked", suggestion.config, file)
        search.tell(host_id, expected(suggestion.config))
        line("told", suggestion.config, file)
        number += 1


def line(event: str, config: dict[str, int], file: int) -> None:
    """Writes one line in one call, so that a kill cannot split it."""
    os.write(file, (json.dumps({"event": event, "config": config}) + "\n").encode())


if __name__ == "__main__":
    main(*sys.argv[1:])

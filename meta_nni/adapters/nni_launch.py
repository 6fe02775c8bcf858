"""Starts NNI with the defects of its manager mended: `meta-nni launch`.

NNI 3.0's manager

- hands parameters to whichever trial asks first, so that its page shows the wrong ones,
- serves its page to all networks without a password, though it can start any command,
- gives a tuner ten seconds to start, too few on a busy machine, and waits for a dead one.

All is mended in the manager's process, a Node program, by the files in `nni_manager/` that
`NODE_OPTIONS` makes it load first; NNI's own files stay unchanged. Workers of NNI's remote
service reach the manager through the ssh connection that it has to them.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

__all__ = ["free_port", "mended", "run_nnictl"]

_PRELOAD = Path(__file__).parent / "nni_manager" / "index.js"
_FIRST_PORT = 8080  # nnictl's own
_PATIENCE_SECONDS = 20


def mended(environment: Mapping[str, str]) -> dict[str, str]:
    """Returns an environment in which nnictl starts a mended manager.

    Args:
        environment: Of the process that will start nnictl; its own NODE_OPTIONS stay.
    """
    ours = f"--require {json.dumps(str(_PRELOAD.resolve()), ensure_ascii=False)}"
    theirs = environment.get("NODE_OPTIONS", "").replace(ours, "").strip()
    return {**environment, "NODE_OPTIONS": f"{theirs} {ours}".strip()}


def free_port(first: int = _FIRST_PORT) -> int:
    """Returns the first port from `first` on that is free, and the next one too.

    NNI's remote services take two.

    Raises:
        OSError: None of the next thousand is free.
    """
    for port in range(first, min(first + 1000, 65535)):
        if not _taken(port) and not _taken(port + 1):
            return port
    raise OSError(f"no two free ports from {first} on; end what listens there")


def _taken(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def run_nnictl(arguments: Sequence[str]) -> None:
    """Does what nnictl does, with a mended manager and more patience on a busy machine.

    Args:
        arguments: Of nnictl, such as `["create", "--config", "config.yml"]`.

    Raises:
        SystemExit: nnictl refuses, or does not know the arguments; it has said why.
        Exception: whatever else nnictl raises.
    """
    from nni.experiment import launcher
    from nni.tools.nnictl import nnictl

    environment, argv = dict(os.environ), sys.argv
    # nnictl gives the manager three seconds to answer, then kills it.
    check, launcher._check_rest_server = (
        launcher._check_rest_server,
        partial(launcher._check_rest_server, retry=_PATIENCE_SECONDS),
    )
    os.environ.update(mended(environment))
    sys.argv = ["nnictl", *arguments]
    try:
        nnictl.parse_args()
    finally:
        launcher._check_rest_server = check
        sys.argv = argv
        os.environ.clear()
        os.environ.update(environment)

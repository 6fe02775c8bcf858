"""Starts NNI with the defects of its manager mended: `meta-nni launch`.

NNI 3.0's manager

- hands parameters to whichever trial asks first, so that its page shows the wrong ones,
- serves its page to all networks without a password, though it can start any command,
- gives a tuner ten seconds to start, too few on a busy machine, and waits for a dead one.

And nnictl gives an experiment to whichever manager answers at its port, see `nni_port`; that is
mended in nnictl's process, the rest in the manager's, a Node program, by the files in
`nni_manager/` that `NODE_OPTIONS` makes it load first; NNI's own files stay unchanged. Workers of
NNI's remote service reach the manager through the ssh connection that it has to them.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from meta_nni.adapters.nni_port import listens

__all__ = ["mended", "run_nnictl"]

_PRELOAD = Path(__file__).parent / "nni_manager" / "index.js"
_PATIENCE_SECONDS = 20


def mended(environment: Mapping[str, str]) -> dict[str, str]:
    """Returns an environment in which nnictl starts a mended manager.

    Args:
        environment: Of the process that will start nnictl; its own NODE_OPTIONS stay.
    """
    ours = f"--require {json.dumps(str(_PRELOAD.resolve()), ensure_ascii=False)}"
    theirs = environment.get("NODE_OPTIONS", "").replace(ours, "").strip()
    return {**environment, "NODE_OPTIONS": f"{theirs} {ours}".strip()}


def run_nnictl(
    arguments: Sequence[str], on_listening: Callable[[], None] = lambda: None
) -> str | None:
    """Does what nnictl does, with a mended manager and more patience on a busy machine.

    Args:
        arguments: Of nnictl, such as `["create", "--config", "config.yml"]`.
        on_listening: Called when the manager listens.

    Returns:
        The id of the experiment that it started; None if it started none.

    Raises:
        SystemExit: nnictl refuses, or does not know the arguments; it has said why.
        Exception: whatever else nnictl raises; RuntimeError if another experiment's manager
            answers at the port.
    """
    from nni.tools.nnictl import nnictl

    environment, argv = dict(os.environ), sys.argv
    os.environ.update(mended(environment))
    sys.argv = ["nnictl", *arguments]
    try:
        with _mended_check(on_listening) as ids:
            nnictl.parse_args()
        return ids[0] if ids else None
    finally:
        sys.argv = argv
        os.environ.clear()
        os.environ.update(environment)


@contextmanager
def _mended_check(on_listening: Callable[[], None]) -> Iterator[list[str]]:
    """Has nnictl wait longer for the manager, and find out whose manager answers.

    Yields:
        The ids of the experiments that it starts.
    """
    from nni.experiment import launcher

    start, check = launcher._start_rest_server, launcher._check_rest_server
    started: list[Any] = []
    ids: list[str] = []

    def start_and_note(nni_manager_args: Any, run_mode: Any) -> Any:
        ids.append(nni_manager_args.experiment_id)
        started.append(start(nni_manager_args, run_mode))
        return started[-1]

    def check_whose(port: int, url_prefix: str | None = None) -> None:
        # nnictl gives the manager three seconds to answer, then kills it.
        check(port, retry=_PATIENCE_SECONDS, url_prefix=url_prefix)
        if started and not listens(started[-1], port):
            raise RuntimeError(
                f"at port {port} another experiment answers, which was started at the same time; "
                "start this one again, at another --port"
            )
        on_listening()

    launcher._start_rest_server, launcher._check_rest_server = start_and_note, check_whose
    try:
        yield ids
    finally:
        launcher._start_rest_server, launcher._check_rest_server = start, check

"""What a tuner can learn of the NNI experiment that it runs in, if it runs in one.

NNI hands its tuner neither the experiment's id nor its folder, and a tuner that raises
leaves the experiment running for ever unless the manager is told of the error. Outside an
experiment every function here says so, and nothing else is needed.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nni

from meta_nni.trial import Config

__all__ = [
    "enter_trial_folder",
    "experiment_id",
    "recovered_configs",
    "reported",
    "tuner_arguments",
]


def experiment_id() -> str | None:
    """The id of the experiment that started this tuner; None outside of one."""
    checkpoints = os.environ.get("NNI_CHECKPOINT_DIRECTORY")
    return Path(checkpoints).parent.name if checkpoints else None


def enter_trial_folder() -> None:
    """Changes to the folder that the trials run in, if NNI started this process.

    NNI starts a tuner in a log folder of its own; its trials run in the experiment's
    `trialCodeDirectory`, by default the folder of the config file. After this call a
    relative path in the config means the same file to the tuner and to its trials, and
    the same again when the experiment is resumed.
    """
    if config := _experiment_config():
        os.chdir(config["trialCodeDirectory"])


def tuner_arguments() -> Mapping[str, Any]:
    """The classArgs of the experiment's tuner; none outside of an experiment."""
    return (_experiment_config().get("tuner") or {}).get("classArgs") or {}


def _experiment_config() -> dict[str, Any]:
    """The config of the experiment, if NNI started this process; else an empty one."""
    if "--exp_params" not in sys.argv:
        return {}
    encoded = sys.argv[sys.argv.index("--exp_params") + 1]
    return dict(json.loads(base64.b64decode(encoded)))


def recovered_configs() -> list[Config]:
    """Configs of interrupted trials that NNI itself runs again after a resume.

    To be called from within a callback of the tuner.
    """
    return list(getattr(_dispatcher(), "recovered_trial_params", {}).values())


@contextmanager
def reported() -> Iterator[None]:
    """Tells NNI's manager of an exception in a tuner's callback, then lets it pass.

    The experiment's state becomes ERROR; without this it would stay RUNNING. The message
    goes to nnimanager.log and dispatcher.log, and to what `nnictl log stderr` shows.
    """
    try:
        yield
    except nni.NoMoreTrialError:
        raise
    except Exception as error:
        dispatcher = _dispatcher()
        if dispatcher is not None:
            message = f"MetaTuner stopped: {type(error).__name__}: {error}"
            print(message, file=sys.stderr, flush=True)
            dispatcher.report_error(message)
        raise


def _dispatcher() -> Any | None:
    """The object of NNI that called the tuner, looked for on the stack.

    Only `generate_multiple_parameters` is given a way to it (`st_callback`), but the first
    callbacks, which read the space and earlier results, can fail as well.
    """
    frame = sys._getframe()
    while frame := frame.f_back:  # type: ignore[assignment]
        caller = frame.f_locals.get("self")
        if hasattr(caller, "report_error") and hasattr(caller, "recovered_trial_params"):
            return caller
    return None

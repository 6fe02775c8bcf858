"""Reading an experiment's config before NNI starts: what its tuner would refuse only later."""

from __future__ import annotations

from inspect import signature
from pathlib import Path

from nni.experiment.config import ExperimentConfig
from nni.experiment.config.utils import unset_base_path

from meta_nni.adapters.nni_arguments import refuse_unknown
from meta_nni.adapters.nni_tuner import MetaTuner

__all__ = ["check_class_args"]


def check_class_args(config: Path) -> None:
    """Refuses names of classArgs that MetaTuner does not have.

    NNI would start, and the experiment fail when its tuner does. Whatever else is wrong with
    the config, nnictl says itself.

    Args:
        config: NNI's config, a file.

    Raises:
        ArgumentError: naming the argument and the nearest known one.
    """
    try:
        tuner = ExperimentConfig.load(config).tuner
        given = dict(tuner.class_args or {}) if tuner.class_name == "meta_nni.MetaTuner" else {}
    except Exception:
        unset_base_path()  # NNI forgets it here, and can then read no other config
        return
    known = [name for name in signature(MetaTuner).parameters if name != "unknown"]
    refuse_unknown({name: given[name] for name in given if name not in known}, known)

"""Registers the tuner with NNI, so that a config can say `tuner: {name: MetaNAS}`."""

from __future__ import annotations

from nni.tools import package_utils

__all__ = ["NAME", "register"]

NAME = "MetaNAS"
"""The tuner's name in NNI's configs."""


def register() -> None:
    """Registers `meta_nni.MetaTuner` as `MetaNAS`; again changes nothing.

    Does what `nnictl algo register --meta FILE` does. NNI keeps the entry with the Python
    environment (in `<prefix>/nni/registered_algorithms.yml`, or below `$NNI_CONFIG_DIR`).
    """
    package_utils.register_algo_meta(
        package_utils.AlgoMeta.load(
            {"algoType": "tuner", "builtinName": NAME, "className": "meta_nni.MetaTuner"}
        )
    )

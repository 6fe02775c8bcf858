"""Architecture search that remembers: a meta-learned controller for NNI and AutoKeras.

Importing this package is light: every public name is resolved when it is first used
(PEP 562), so neither NNI nor AutoKeras nor TensorFlow is loaded before it is needed.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from meta_nni.adapters.autokeras_tuner import MetaAutoTuner
    from meta_nni.adapters.kerastuner_oracle import MetaOracle
    from meta_nni.adapters.nni_assessor import AshaAssessor
    from meta_nni.adapters.nni_strategy import MetaStrategy
    from meta_nni.adapters.nni_strategy_tuner import StrategyTuner
    from meta_nni.adapters.nni_trial import run_trial
    from meta_nni.adapters.nni_tuner import MetaTuner
    from meta_nni.controllers import Controller
    from meta_nni.data import load_data
    from meta_nni.metafeatures import compute_metafeatures
    from meta_nni.search import Search
    from meta_nni.space import SearchSpace
    from meta_nni.store import ExperienceStore
    from meta_nni.task import Task
    from meta_nni.trial import History, Result, Run, Suggestion, Trial

__version__ = "0.1.0"

__all__ = [
    "AshaAssessor",
    "Controller",
    "ExperienceStore",
    "History",
    "MetaAutoTuner",
    "MetaOracle",
    "MetaStrategy",
    "MetaTuner",
    "Result",
    "Run",
    "Search",
    "SearchSpace",
    "StrategyTuner",
    "Suggestion",
    "Task",
    "Trial",
    "__version__",
    "compute_metafeatures",
    "load_data",
    "run_trial",
]

_HOMES = {
    "AshaAssessor": "adapters.nni_assessor",
    "Controller": "controllers",
    "ExperienceStore": "store",
    "History": "trial",
    "MetaAutoTuner": "adapters.autokeras_tuner",
    "MetaOracle": "adapters.kerastuner_oracle",
    "MetaStrategy": "adapters.nni_strategy",
    "MetaTuner": "adapters.nni_tuner",
    "Result": "trial",
    "Run": "trial",
    "Search": "search",
    "SearchSpace": "space",
    "StrategyTuner": "adapters.nni_strategy_tuner",
    "Suggestion": "trial",
    "Task": "task",
    "Trial": "trial",
    "compute_metafeatures": "metafeatures",
    "load_data": "data",
    "run_trial": "adapters.nni_trial",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)

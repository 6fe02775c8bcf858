"""Candidates: from one config to a trained and measured Keras model.

`KerasEvaluator` is what a trial script needs. Importing this package loads no TensorFlow;
the first evaluation does.
"""

from meta_nni.models.evaluator import KerasEvaluator
from meta_nni.models.hyperparameters import to_hyperparameters

__all__ = ["KerasEvaluator", "to_hyperparameters"]

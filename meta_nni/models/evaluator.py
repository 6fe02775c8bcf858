"""The evaluator of Keras models: what a trial script hands to `run_trial`."""

from __future__ import annotations

import importlib
import inspect
import math
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from meta_nni.metrics import DEFAULT_METRICS, Metric, find_metric
from meta_nni.models.memory import out_of_memory
from meta_nni.models.problem import Problem, load_problem
from meta_nni.trial import Config, Result

if TYPE_CHECKING:
    from meta_nni.models.training import Candidate, Fitted

__all__ = ["KerasEvaluator", "check_fit"]

_PATIENCE = 3  # where neither the user nor the kind of task has one


class _Space(NamedTuple):
    """Which module's `build` makes a space's configs into models, and of what data."""

    module: str
    kind: str
    targets: tuple[str, ...]


_SPACES: dict[str, _Space] = {
    "cnn_small": _Space("cnn", "image", ("classification", "regression")),
    "nasbench201": _Space("cells.nasbench201", "image", ("classification",)),
    "darts_cell": _Space("cells.darts", "image", ("classification",)),
    "text": _Space("text", "text", ("classification", "regression")),
    "mlp": _Space("mlp", "tabular", ("classification", "regression")),
    "sequence": _Space("sequence", "sequence", ("classification", "regression")),
    "detection": _Space("detection.builder", "detection", ("detection",)),
}
for _kind in ("image", "text", "tabular"):
    _SPACES[f"autokeras_{_kind}"] = _Space("autokeras", _kind, ("classification",))
    _SPACES[f"autokeras_{_kind}_regression"] = _Space("autokeras", _kind, ("regression",))


def check_fit(space: str, kind: str, target: str) -> None:
    """Checks that a space is for a kind of data; one that does not ship is for any.

    Args:
        space: Its name.
        kind: Of the rows, such as "image".
        target: What is predicted, such as "regression".

    Raises:
        ValueError: It is not; the message names those that are.
    """
    known = _SPACES.get(space)
    fitting = [name for name, e in _SPACES.items() if e.kind == kind and target in e.targets]
    if known is not None and space not in fitting:
        raise ValueError(
            f"space {space!r} is for {known.kind} {' and '.join(known.targets)}, the data "
            f"is {kind} {target}; use one of {fitting}"
        )


@dataclass
class KerasEvaluator:
    """Trains the Keras model of a config and measures it on held-out training rows.

    The value is a metric of the validation rows at the best epoch. The test split is never
    read, except by `test`.

    Attributes:
        space: Name of the search space: the file's name in `search_spaces/`, without .json.
        data: Where the data is, such as `{"npz": file}`.
        metric: What the value is, by a name of `meta_nni.metrics.METRICS`, such as "f1" or
            "log_loss", in its own direction. None: accuracy, R2 for regression, or mAP@0.5.
        epochs: Most epochs.
        samples: Most training rows to take, validation rows included; None takes all.
        validation_fraction: Share of the taken rows to validate on.
        patience: Epochs without a better value after which training stops. None: 3, or as many
            as there are for detection, whose rate rises before it falls: its first values are
            near 0 whatever becomes of them.
        batch_size: Rows per step, unless the config has a `batch_size` of its own.
        balanced: Whether classes weigh alike in the loss however many rows they have.
            AutoKeras weighs rows alike, and so does the default. Part of the budget.
        max_parameters: Larger models fail before training; None is no limit.
        max_seconds: When time is up the best epoch so far counts, and a trial without one
            fails; None is no limit. Counted from the start of the build.
        clock: Measures seconds. `time.process_time` counts those of the processor, which
            do not depend on what else the machine does.
        seed: Seed of weights and order of rows; the choice of validation rows does not
            depend on it.
        latency_batch: Rows of a prediction whose latency is measured as `latency_ms`, see
            `models.size`; None measures none.
        model: What the space's builder takes besides a config and does not search for, such
            as `{"width": 16, "cells": 2}` of a cell space: channels of the first stage and
            cells per stage. It is recorded as part of the budget.
    """

    space: str
    data: Mapping[str, Any]
    metric: str | None = None
    epochs: int = 10
    samples: int | None = None
    validation_fraction: float = 0.2
    patience: int | None = None
    batch_size: int = 32
    balanced: bool = False
    max_parameters: int | None = None
    max_seconds: float | None = None
    clock: Callable[[], float] = time.monotonic
    seed: int = 0
    latency_batch: int | None = None
    model: Mapping[str, Any] = field(default_factory=dict)
    _problem: Problem | None = field(default=None, init=False, repr=False)
    _count: Callable[[Config], float] | None = field(default=None, init=False, repr=False)

    @property
    def problem(self) -> Problem:
        """The rows to fit and to validate on; read on first use."""
        if self._problem is None:
            self._problem = load_problem(self.data, self.samples, self.validation_fraction)
        return self._problem

    @property
    def measured(self) -> Metric:
        """The metric that values are.

        Raises:
            ValueError: `metric` is unknown, or does not measure the data's target.
        """
        target = self.problem.target
        metric = find_metric(self.metric or DEFAULT_METRICS[target])
        if metric.target != target:
            raise ValueError(
                f"metric {metric.name!r} measures {metric.target}, the data's target is {target}; "
                f"its default is {DEFAULT_METRICS[target]!r}"
            )
        return metric

    def __call__(
        self, config: Config, report: Callable[[int, float], None] = lambda epoch, value: None
    ) -> Result:
        """Trains and measures one config.

        Args:
            config: A config of the space.
            report: Called after each epoch with its number, from 0, and its value.

        Returns:
            The value with its curve, seconds, metrics (all that measure the target, and
            parameters, model_mb, best_epoch and, if asked for, latency_ms) and budget. A
            candidate that is too large, too slow, diverges or needs too much memory is a
            failure with that reason.

        Raises:
            ValueError: Space, data and config do not fit together.
        """
        return self._evaluate(config, report)[0]

    def test(self, config: Config) -> dict[str, float]:
        """Trains one config and measures it on the test split, the only use of that split.

        Returns:
            The metrics of `__call__`, for the test rows.

        Raises:
            ValueError: The config fails, or space, data and config do not fit together.
        """
        from meta_nni.data import load_data
        from meta_nni.models.metrics import score_all

        result, candidate = self._evaluate(config, lambda epoch, value: None)
        if candidate is None or result.value is None:
            raise ValueError(f"the config has no model to test: {result.reason}")
        dataset = load_data(self.data, "test")
        y = self.problem.encode(dataset.y, dataset.classes)
        predicted = candidate.predict(candidate.transform(dataset.x))
        return score_all(y, predicted, self.problem.target)

    def count_parameters(self, config: Config) -> float:
        """Builds the model of a config, without training it, and counts its parameters.

        Returns:
            The number; inf where the model cannot be built.

        Raises:
            ValueError: Space and data do not fit together.
        """
        if self._count is None:
            self._count = self._counter()
        try:
            return self._count(config)
        except (ValueError, MemoryError, RuntimeError):
            return math.inf

    def _counter(self) -> Callable[[Config], float]:
        """What counts a config's parameters: a way of the space's own, else a build."""
        from meta_nni.models.size import few_rows

        build, few = self._builder(), few_rows(self.problem)
        module = importlib.import_module(build.__module__)
        if hasattr(module, "counter"):
            own: Callable[[Config], float] = module.counter(few, **self.model)
            return own

        def count(config: Config) -> float:
            candidate = build(config, few, self.epochs, self.batch_size, **self.model)
            return float(candidate.model.count_params())

        return count

    def export(
        self,
        config: Config,
        file: str | Path,
        report: Callable[[int, float], None] = lambda epoch, value: None,
    ) -> Result:
        """Trains one config and saves its model together with its preprocessing.

        The file needs Keras alone: `keras.models.load_model(file).predict(x)` takes rows
        as the data has them, and gives probabilities in the order of `problem.classes` (for
        two classes of AutoKeras one column, of the second), or numbers [N, 1]. Texts need
        Keras on TensorFlow and come as its strings: `tf.constant(x)`.

        Args:
            config: A config of the space.
            file: Where to save, ending in .keras.
            report: As in `__call__`.

        Returns:
            The result of the training, as of `__call__`.

        Raises:
            ValueError: The config fails, or space, data and config do not fit together.
            OSError: The file cannot be written.
        """
        result, candidate = self._evaluate(config, report)
        if candidate is None or result.value is None:
            raise ValueError(f"the config has no model to save: {result.reason}")
        from meta_nni.models.standalone import standalone

        file = Path(file)
        # An earlier model stays where this one does not fit on the disk.
        with tempfile.TemporaryDirectory(dir=file.parent, prefix=f".{file.name}") as folder:
            part = Path(folder) / file.name
            standalone(candidate, self.problem).save(part)
            os.replace(part, file)
        return result

    def _evaluate(
        self, config: Config, report: Callable[[int, float], None]
    ) -> tuple[Result, Candidate | None]:
        self._check_settings()
        build, problem, metric = self._builder(), self.problem, self.measured
        import keras

        from meta_nni.models.training import Budget, Failure, fit

        patience = self.patience or (self.epochs if problem.target == "detection" else _PATIENCE)
        budget = Budget(self.epochs, patience, self.max_parameters, self.max_seconds)
        keras.backend.clear_session()
        keras.utils.set_random_seed(self.seed)
        started = self.clock()
        try:
            candidate = build(config, problem, self.epochs, self.batch_size, **self.model)
            weights = _balance(problem) if self.balanced else None
            fitted = fit(candidate, metric, budget, report, lambda: self.clock() - started, weights)
        except Failure as failure:
            return self._failed(str(failure), started), None
        except Exception as error:
            reason = out_of_memory(error)
            if reason is None:
                raise
            return self._failed(reason, started), None
        return self._result(fitted, candidate, started), candidate

    def _check_settings(self) -> None:
        for name in ("epochs", "patience", "batch_size", "latency_batch"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected 1 or more")

    def _builder(self) -> Callable[..., Candidate]:
        """Checks that space, data and model settings fit, and loads the space's module."""
        if self.space not in _SPACES:
            raise ValueError(f"space is {self.space!r}, expected one of {sorted(_SPACES)}")
        known = _SPACES[self.space]
        check_fit(self.space, self.problem.kind, self.problem.target)
        module = importlib.import_module(f"meta_nni.models.{known.module}")
        build: Callable[..., Candidate] = module.build
        unknown = sorted(set(self.model) - set(_settings(build)))
        if unknown:
            raise ValueError(
                f"model has the settings {unknown}, expected some of {sorted(_settings(build))} "
                f"for the space {self.space!r}"
            )
        return build

    def _result(self, fitted: Fitted, candidate: Candidate, started: float) -> Result:
        from meta_nni.models.metrics import score_all
        from meta_nni.models.size import latency_ms, model_mb

        best = fitted.best_epoch
        metrics = score_all(candidate.y_val, fitted.predicted, self.problem.target)
        metrics |= {"parameters": float(fitted.parameters), "best_epoch": float(best)}
        metrics["model_mb"] = model_mb(candidate.model)
        if self.latency_batch is not None:
            metrics["latency_ms"] = latency_ms(candidate, self.latency_batch)
        return Result(
            value=fitted.curve[best],
            seconds=self.clock() - started,
            curve=fitted.curve,
            metrics=metrics,
            budget=self._spent(),
        )

    def _failed(self, reason: str, started: float) -> Result:
        return Result(None, reason=reason, seconds=self.clock() - started, budget=self._spent())

    def _spent(self) -> dict[str, float]:
        problem = self.problem
        spent = {"epochs": self.epochs, "samples": len(problem.y) + len(problem.y_val)}
        limits = {"seconds": self.max_seconds, "parameters": self.max_parameters}
        loss = {"balanced": True if self.balanced else None}
        model = {**_settings(self._builder()), **self.model}
        return {k: float(v) for k, v in (spent | limits | loss | model).items() if v is not None}


def _settings(build: Callable[..., Candidate]) -> dict[str, Any]:
    """What a builder takes by keyword alone, with its defaults."""
    parameters = inspect.signature(build).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


def _balance(problem: Problem) -> dict[int, float]:
    """Weight of each class: rows / (classes x rows of the class), as scikit-learn's."""
    if problem.target != "classification":
        raise ValueError(f"balanced=True weighs classes, and the data is for {problem.target}")
    counts = np.bincount(problem.y, minlength=len(problem.classes))
    weights = len(problem.y) / (len(counts) * np.maximum(counts, 1))
    return {code: float(weight) for code, weight in enumerate(weights)}

"""AutoKeras's own ways to decide, over the space and under the limits that all arms have.

Only who decides differs between arms: the defects of AutoKeras are mended for all of them
(`meta_nni.adapters.autokeras_mend`), the whole space is known from the first trial on, a
proposal that has too many parameters or was tried before is drawn again before it costs a
trial, and a last fit that lost what the best trial had is replaced by it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import keras_tuner
from autokeras.tuners import task_specific
from autokeras.tuners.greedy import GreedyOracle
from keras_tuner.oracles import BayesianOptimizationOracle

from meta_nni.adapters.autokeras_explore import explore, num_parameters
from meta_nni.adapters.autokeras_last_fit import better_of
from meta_nni.adapters.autokeras_mend import MendedAutoTuner, complete
from meta_nni.adapters.autokeras_space import LEFT_OUT
from meta_nni.adapters.autokeras_trial import TrialCallback, TrialRecord, failure_reason

__all__ = ["BayesianTuner", "GreedyTuner", "narrow"]

_MAX_REFUSED = 50  # then the last proposal is taken, as MetaAutoTuner does
_GAUSSIAN_REFUSED = 3  # a Gaussian process asked again proposes much the same
# With KerasTuner's default, three times the number of hyperparameters, none of 12 trials
# would be decided by its Gaussian process.
_NUM_INITIAL_POINTS = 4
_TOO_LARGE = {
    "block_type": ("resnet", "xception"),
    "version": tuple(f"b{number}" for number in range(1, 8)),
}
"""Options of image blocks that exceed 5 million parameters with any other values."""

_INITIAL = {
    "image": task_specific.IMAGE_CLASSIFIER,
    "text": task_specific.TEXT_CLASSIFIER,
    "tabular": task_specific.STRUCTURED_DATA_CLASSIFIER,
}


def narrow(hyperparameters: keras_tuner.HyperParameters) -> keras_tuner.HyperParameters:
    """Fixes what MetaAutoTuner does not search, and drops options that are always too large."""
    narrowed = keras_tuner.HyperParameters()
    narrowed.merge([_narrowed(each) for each in hyperparameters.space])
    return narrowed


def _narrowed(hyperparameter: Any) -> Any:
    kinds = keras_tuner.engine.hyperparameters
    name, leaf = hyperparameter.name, hyperparameter.name.rsplit("/", 1)[-1]
    if leaf in LEFT_OUT:
        return kinds.Fixed(name, hyperparameter.default, conditions=hyperparameter.conditions)
    if leaf not in _TOO_LARGE or not isinstance(hyperparameter, kinds.Choice):
        return hyperparameter
    options = [value for value in hyperparameter.values if value not in _TOO_LARGE[leaf]]
    return kinds.Choice(name, options, conditions=hyperparameter.conditions)


class _Affordable(keras_tuner.Oracle):  # type: ignore[misc] # KerasTuner has no types
    """Draws again as long as something speaks against a proposal."""

    objection: Callable[[Mapping[str, Any]], str | None] = staticmethod(lambda values: None)

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """See `keras_tuner.Oracle`."""
        proposed: dict[str, Any] = self._draw(trial_id, 0)
        for refused in range(1, _MAX_REFUSED):
            values = proposed["values"]
            if values is None or self.objection(values) is None:
                break
            proposed = self._draw(trial_id, refused)
        return proposed

    def _draw(self, trial_id: str, refused: int) -> dict[str, Any]:
        drawn: dict[str, Any] = super().populate_space(trial_id)
        return drawn


class _Greedy(_Affordable, GreedyOracle):  # type: ignore[misc]
    """AutoKeras's greedy oracle."""


class _Bayesian(_Affordable, BayesianOptimizationOracle):  # type: ignore[misc]
    """KerasTuner's Gaussian process."""

    def _draw(self, trial_id: str, refused: int) -> dict[str, Any]:
        if refused < _GAUSSIAN_REFUSED:
            return super()._draw(trial_id, refused)
        drawn: dict[str, Any] = self._random_populate_space()
        return drawn


class _LimitedTuner(MendedAutoTuner):
    """AutoKeras's tuner with the limits of all arms.

    Args:
        oracle: Decides.
        hypermodel: AutoKeras's graph.
        seconds_per_trial: Processor seconds; then the best epoch so far counts.
        kwargs: As AutoKeras's tuners take them.
    """

    def __init__(
        self, oracle: _Affordable, hypermodel: Any, seconds_per_trial: float, **kwargs: Any
    ) -> None:
        self._limit = seconds_per_trial
        super().__init__(oracle, hypermodel, **kwargs)

    def search(self, epochs: Any = None, validation_split: float = 0, **fit_kwargs: Any) -> Any:
        """Searches, knowing the whole space."""
        known = self.oracle.get_space()
        self._prepare_model_build(known, x=fit_kwargs["x"], y=fit_kwargs["y"])
        self.hypermodel.set_fit_args(validation_split, epochs=epochs)
        self.oracle.update_space(narrow(explore(self.hypermodel, known)))
        self.oracle.objection = self._objection
        self._rows = fit_kwargs
        return super().search(epochs=epochs, validation_split=validation_split, **fit_kwargs)

    def final_fit(self, **kwargs: Any) -> Any:
        """Fits the best candidate again; keeps the trial's weights where that was worse."""
        pipeline, model, history = super().final_fit(**kwargs)
        return (*better_of(self, (pipeline, model), self._rows), history)

    def _objection(self, values: Mapping[str, Any]) -> str | None:
        fixed = {h.name: h.value for h in self.oracle.hyperparameters.space if _is_fixed(h)}
        if any(name in fixed and fixed[name] != value for name, value in values.items()):
            return "outside the space"
        if complete(values, self.oracle.hyperparameters) in self._tried():
            return "tried before"  # the greedy oracle forgets that it tried its first configs
        try:
            number = num_parameters(self.hypermodel, values)
        except Exception as error:  # AutoKeras may fail in any way
            return failure_reason(error)
        return f"{number} parameters" if number > self.max_model_size else None

    def _tried(self) -> list[dict[str, Any]]:
        known = self.oracle.hyperparameters
        return [complete(t.hyperparameters.values, known) for t in self.oracle.trials.values()]

    def _run_and_update_trial(self, trial: Any, *fit_args: Any, **fit_kwargs: Any) -> None:
        began, record = time.process_time(), TrialRecord()
        self._watch = TrialCallback(
            self.oracle.objective, lambda: time.process_time() - began, self._limit
        )
        try:
            super()._run_and_update_trial(trial, *fit_args, **fit_kwargs)
        except Exception as error:
            record.reason = failure_reason(error)
            raise
        finally:
            record.seconds = time.process_time() - began
            record.curve = self._watch.curve
            record.write(self.get_trial_dir(trial.trial_id))

    def _build_and_fit_model(self, trial: Any, *args: Any, **kwargs: Any) -> Any:
        kwargs["callbacks"] = [*kwargs["callbacks"], self._watch]
        return super()._build_and_fit_model(trial, *args, **kwargs)


def _is_fixed(hyperparameter: Any) -> bool:
    return isinstance(hyperparameter, keras_tuner.engine.hyperparameters.Fixed)


class _Opponent(_LimitedTuner):
    """Makes its oracle from what AutoKeras passes to a tuner's class.

    Args:
        hypermodel: AutoKeras's graph.
        kind: Kind of data.
        kwargs: As AutoKeras's tuners take them.
    """

    def __init__(
        self,
        hypermodel: Any,
        *,
        kind: str,
        objective: Any,
        max_trials: int,
        seed: int,
        **kwargs: Any,
    ) -> None:
        oracle = self._oracle(
            kind,
            objective=objective,
            max_trials=max_trials,
            seed=seed,
            max_consecutive_failed_trials=max_trials + 1,
        )
        super().__init__(oracle, hypermodel, **kwargs)

    def _oracle(self, kind: str, **settings: Any) -> _Affordable:
        raise NotImplementedError


class GreedyTuner(_Opponent):
    """AutoKeras's default: it begins with the configs its authors chose for each kind of data.

    These are tried first if they are affordable.
    """

    def _oracle(self, kind: str, **settings: Any) -> _Affordable:
        return _Greedy(initial_hps=_INITIAL[kind], **settings)


class BayesianTuner(_Opponent):
    """KerasTuner's Bayesian optimisation, which AutoKeras offers as `tuner="bayesian"`."""

    def _oracle(self, kind: str, **settings: Any) -> _Affordable:
        return _Bayesian(num_initial_points=_NUM_INITIAL_POINTS, **settings)

"""What is broken in AutoKeras 3.0.0 and KerasTuner 1.4.8, mended without editing them.

`MendedAutoTuner` decides nothing: it is AutoKeras's tuner as its documentation describes
it. Each mend names its defect and the cause; for each, `tests/host/test_autokeras_mend.py`
has a test that fails as soon as the defect is gone upstream, and the mend with it.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import autokeras
import keras
import keras_tuner
from autokeras.engine.tuner import AutoTuner
from keras_tuner.engine.trial import Trial

from meta_nni.adapters.kerastuner_space import complete

__all__ = ["MendedAutoTuner", "complete"]

_INFERRED = (keras.losses.BinaryCrossentropy, keras.losses.CategoricalCrossentropy)


class MendedAutoTuner(AutoTuner):  # type: ignore[misc] # AutoKeras has no types
    """AutoKeras's tuner without its defects; `autokeras.engine.tuner.AutoTuner` otherwise.

    Args:
        oracle: KerasTuner's oracle, which decides.
        hypermodel: AutoKeras's graph.
        overwrite: Whether to begin anew where the project exists.
        kwargs: As KerasTuner's tuners take them.
    """

    def __init__(
        self, oracle: Any, hypermodel: Any, overwrite: bool = False, **kwargs: Any
    ) -> None:
        # Defect: a worker that starts with overwrite=True deletes what chief and workers are
        # writing. Cause: `BaseTuner.__init__` removes the folder in every process.
        self._begins_anew = overwrite and self._is_worker()
        self._skips_build = False
        self._keep_losses(hypermodel)
        overwrite = overwrite and not self._is_worker()
        super().__init__(oracle, hypermodel, overwrite=overwrite, **kwargs)

    def reload(self) -> None:
        """Restores an earlier state of the project; not if a worker was to begin anew."""
        if not self._begins_anew:
            super().reload()

    def _keep_losses(self, graph: Any) -> None:
        """Has models compiled with the losses that the user gave.

        Defect: `ClassificationHead(loss=…)` trains with another loss.
        Cause: `ClassificationHead.config_from_analyser` overwrites it by what it infers; it
        must go on to infer, since the head builds its last layer for what it inferred.
        """
        heads = [node.in_blocks[0] for node in graph.outputs]
        given = {head.name: head.loss for head in heads if _is_given(head)}
        if given:
            stock = graph._get_loss
            graph._get_loss = lambda: {**stock(), **given}

    def set_state(self, state: dict[str, Any]) -> None:
        """Restores the tuner's state.

        Defect: a finished project never goes on when `max_trials` has grown.
        Cause: `AutoTuner.set_state` takes `finished` as it was saved.
        """
        super().set_state(state)
        wanted = self.oracle.max_trials
        has_all = wanted is None or len(self.oracle.trials) >= wanted
        self._finished: bool = bool(state.get("finished")) and has_all

    def search(
        self,
        epochs: int | None = None,
        callbacks: Sequence[Any] | None = None,
        validation_split: float = 0,
        **fit_kwargs: Any,
    ) -> Any:
        """Searches, and fits the best candidate again; see AutoKeras.

        Returns:
            The history of that last fit; None where there was none.
        """
        # Defect: the learning rate of adam_weight_decay is 0 after a few steps.
        # Cause: the analyser sets the inputs' batch_size to the number of rows.
        for node in self.hypermodel.inputs:
            node.batch_size = fit_kwargs.get("batch_size") or 32
        # Defect: ImageClassifier(max_model_size=1e6) stops before its first trial.
        # Cause: `AutoTuner.search` builds the default, a ResNet, where nothing catches it.
        self._skips_build = not self._finished
        try:
            history = super().search(
                epochs=epochs,
                # Defect: the caller's list of callbacks grows. Cause: `search` appends to it.
                callbacks=list(callbacks or []),
                validation_split=validation_split,
                **fit_kwargs,
            )
        finally:
            self._skips_build = False
        # Defect: fit on a reloaded, finished project repeats the last fit.
        # Cause: `AutoTuner.search` sets `_finished` after the last `save`.
        self.save()
        return history

    def _try_build(self, hp: Any) -> Any:
        if self._skips_build:
            self._skips_build = False
            return None
        return super()._try_build(hp)

    def on_search_end(self) -> None:
        """Lets a worker go on without its chief.

        Defect: after the search a worker hangs, for up to an hour in each call.
        Cause: it asks the chief for the best trials, but `start_server` returns as soon as
        no worker asks for new ones. The folder that they share has what it needs.
        """
        super().on_search_end()
        if not self._is_worker():
            return
        self.oracle: Any = self.oracle._oracle
        for file in Path(self.project_dir).glob("trial_*/trial.json"):
            with contextlib.suppress(ValueError):  # another worker's, being written
                trial = Trial.load(str(file))
                self.oracle.trials[trial.trial_id] = trial

    def _build_and_fit_model(self, trial: Any, *args: Any, **kwargs: Any) -> Any:
        # Defect: with an objective that is not measured every trial fails without a word.
        # Cause: KerasTuner looks it up where a KeyError fails the trial.
        history = super()._build_and_fit_model(trial, *args, **kwargs)
        objective = self.oracle.objective
        wanted = set(getattr(objective, "name_to_direction", [objective.name]))
        measured = sorted(history.history)
        if missing := sorted(wanted - set(measured)):
            raise keras_tuner.errors.FatalValueError(
                f"the objective is {missing}, but training measures {measured}; choose one of "
                f'these, such as objective=keras_tuner.Objective("{measured[-1]}", "min")'
            )
        return history

    def get_best_model(self) -> Any:
        """Returns the model of the last fit; before it, the best trial's.

        Defects: the last fit is ignored, its preprocessing is not, so that they do not belong
        together; and in a fresh process there is no model at all ("You must pass a shape").
        Cause: `AutoTuner.get_best_model` builds the best trial's model and loads its weights,
        which needs shapes that nothing restores.
        """
        if self._finished and Path(self.best_model_path).exists():
            return keras.models.load_model(
                self.best_model_path, custom_objects=autokeras.CUSTOM_OBJECTS
            )
        return super().get_best_model()

    @staticmethod
    def _remove_early_stopping(callbacks: Sequence[Any]) -> list[Any]:
        """Defect: the last fit stops early. Cause: a comprehension copies the whole list."""
        return [
            copy.deepcopy(callback)
            for callback in callbacks
            if not isinstance(callback, keras.callbacks.EarlyStopping)
        ]

    # Defect: chief and workers write the last fit to one file at once.
    # Cause: `AutoTuner.search` does so in every process.

    @property
    def best_model_path(self) -> str:
        """Where this process keeps the model of the last fit."""
        return self._own(super().best_model_path)

    @property
    def best_pipeline_path(self) -> str:
        """Where this process keeps the preprocessing of the last fit."""
        return self._own(super().best_pipeline_path)

    def _own(self, path: str) -> str:
        if not self._is_worker():
            return path
        shared = Path(path)
        return str(shared.with_name(f"{shared.stem}_{self.tuner_id}{shared.suffix}"))


def _is_given(head: Any) -> bool:
    """Whether a user gave the loss of a classification head, and not `num_classes`."""
    if not isinstance(head, autokeras.ClassificationHead) or head.loss is None:
        return False
    is_inferred = type(head.loss) in _INFERRED
    return not is_inferred or head.loss.get_config() != type(head.loss)().get_config()

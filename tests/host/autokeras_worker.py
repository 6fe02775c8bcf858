"""A process of a search that several share: `python autokeras_worker.py FOLDER`.

As KerasTuner wants it, all of them run this script, and their environment says who is who.
The first training of a worker fails. The last line printed is what this process predicts.
"""

import sys
from pathlib import Path

import keras
from autokeras_projects import iris, tabular


class FailsAtFirst(keras.callbacks.Callback):
    """Fails the first training of this process."""

    has_failed = False

    def on_train_begin(self, logs=None):
        if not FailsAtFirst.has_failed:
            FailsAtFirst.has_failed = True
            raise MemoryError("no 8 GiB")


class NoFailure(keras.callbacks.Callback):
    """Does nothing: the chief only trains the best candidate again."""


if __name__ == "__main__":
    folder, is_chief = Path(sys.argv[1]), sys.argv[2] == "chief"
    x, y = iris()
    model = tabular(folder, max_trials=3, overwrite=True)
    callbacks = [NoFailure() if is_chief else FailsAtFirst()]
    model.fit(x, y, epochs=2, verbose=0, callbacks=callbacks)
    print(Path(model.tuner.best_model_path).name, len(model.predict(x, verbose=0)))

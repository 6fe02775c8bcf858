"""The README's quick start: handwritten digits, three trials."""

import autokeras as ak
from sklearn.datasets import load_digits

from meta_nni import MetaAutoTuner

x, y = load_digits(return_X_y=True)
ak.ImageClassifier(tuner=MetaAutoTuner, max_trials=3).fit(x.reshape(-1, 8, 8), y, epochs=3)

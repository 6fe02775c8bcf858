"""The GPU experiment, as far as a machine without a GPU can tell."""

import json
from pathlib import Path

from nni.experiment.config import ExperimentConfig

from experiments.experiment import load_config

FOLDER = Path(__file__).parents[2] / "experiments" / "gpu"


def test_the_config_is_one_that_nni_accepts():
    config = ExperimentConfig(**load_config(FOLDER / "config.yml")).canonical_copy()
    assert config.trial_gpu_number == 1
    assert config.training_service.max_trial_number_per_gpu == 2


def test_every_recorded_trial_ran_on_a_gpu():
    trials = json.loads((FOLDER / "results.json").read_text(encoding="utf-8"))["trials"]
    assert [trial["trial"] for trial in trials] == list(range(10))
    assert all(trial["gpus"] == 1 and trial["value"] is not None for trial in trials)

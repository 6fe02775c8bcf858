"""Trials that hang, take all memory, print, lie or vanish: each counts, none stops a search."""

from pathlib import Path

import pytest
from launched_experiment import LaunchedExperiment
from misbehaving_trial import KINDS, PRINTED

pytestmark = pytest.mark.host

REASONS = {
    "hangs": "the trial took longer than max_seconds=5",
    "allocates at once": "MemoryError",
    "allocates little by little": "MemoryError",
    "returns text": "TypeError: the evaluator returned '0.9, I think'",
    "reports text": "the trial reported '0.9, I think",
    "ends without a result": "the trial ended without reporting a result",
    "crashes": "the trial failed or was stopped without reporting a result",
}


def test_each_kind_is_counted_and_the_experiment_goes_on(tmp_path):
    experiment = LaunchedExperiment(tmp_path)
    try:
        space = {"kind": {"_type": "choice", "_value": list(KINDS)}}
        experiment.launch("misbehaving_trial.py", space, trials=len(KINDS), concurrency=3)
        experiment.wait("DONE", timeout=180)
        experiment.wait_for_results(len(KINDS))
        trials = {trial.config["kind"]: trial for trial in experiment.history().trials}
        printed = sorted(file.stat().st_size for file in Path(tmp_path).rglob("trial.*"))
    finally:
        experiment.close()
    assert set(trials) == set(KINDS)
    for kind, trial in trials.items():
        assert trial.state == ("failed" if kind in REASONS else "completed"), trial
        assert str(trial.result.reason).startswith(REASONS.get(kind, "None"))
    assert trials["hangs"].result.seconds == 5
    assert len(trials["reports text"].result.reason) < 1000
    assert printed[-1] > PRINTED

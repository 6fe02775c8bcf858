import pytest
from nni_experiment import NniExperiment


@pytest.fixture
def experiment(tmp_path):
    """An NNI experiment, not started yet; ended with all its processes after the test."""
    experiment = NniExperiment(tmp_path)
    yield experiment
    experiment.close()


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """An experiment of six trials that is done, its dashboard still open."""
    experiment = NniExperiment(tmp_path_factory.mktemp("finished"))
    try:
        experiment.create(trials=6, controller="meta", task="first")
        experiment.wait("DONE")
        yield experiment
    finally:
        experiment.close()

"""`meta-nni launch`: NNI's page shows what the trials ran, to this machine alone."""

import socket
from concurrent.futures import ThreadPoolExecutor

import pytest
from launched_experiment import LaunchedExperiment
from network_elsewhere import elsewhere
from nni_experiment import SPACE, wait_for

pytestmark = pytest.mark.host


@pytest.fixture(scope="module")
def launched(tmp_path_factory):
    """Eight trials, four at once; the first dies before it asks for its config."""
    experiment = LaunchedExperiment(tmp_path_factory.mktemp("launched"))
    experiment.env["META_NNI_TEST_DIES_FIRST"] = "0"
    try:
        experiment.launch("dying_trial.py", SPACE, trials=8, concurrency=4)
        experiment.wait("DONE", timeout=180)
        experiment.wait_for_results(8)
        yield experiment
    finally:
        experiment.close()


def test_the_page_shows_what_each_trial_ran(launched):
    # Without the mend the death of the first trial alone gives every later one another's config.
    rows = launched.shown_and_ran()
    assert len(rows) == 7
    assert [shown for shown, _ in rows] == [ran for _, ran in rows]
    assert sorted(state for state, _ in launched.jobs().values()) == ["FAILED"] + 7 * ["SUCCEEDED"]


def test_the_trial_that_died_is_the_failed_one_in_the_store(launched):
    (died,) = [config for state, config in launched.jobs().values() if state == "FAILED"]
    (failed,) = [trial for trial in launched.history().trials if trial.state == "failed"]
    assert failed.config == died


def test_the_page_listens_on_this_machine_alone(launched):
    with elsewhere() as connect, socket.create_server(("0.0.0.0", 0)) as open_to_all:
        assert connect(open_to_all.getsockname()[1]) == ""
        assert "ConnectionRefusedError" in connect(launched.port)
    assert launched.status == "DONE"


def test_other_addresses_of_this_machine_are_refused_too(launched):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("198.51.100.1", 9))  # sends nothing; finds the address to send from
        except OSError:
            pytest.skip("this machine has no other address than its loopback")
        address = probe.getsockname()[0]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address, launched.port), 5)


def test_trials_do_not_inherit_the_mends(launched):
    (trial_environment, *_) = launched.ran("environment")
    assert trial_environment.get("NODE_OPTIONS") is None


def test_a_tuner_that_ends_is_not_waited_for(tmp_path):
    experiment = LaunchedExperiment(tmp_path)
    try:
        experiment.launch("dying_trial.py", SPACE, trials=1, store=str(tmp_path))  # no file
        experiment.wait("ERROR")
        wait_for(lambda: experiment.get("check-status")["errors"], "the reason")
        (reason,) = experiment.get("check-status")["errors"]
        assert reason == "the tuner ended with status 1; see dispatcher.log"
        assert "unable to open database file" in experiment.text("nnictl_stderr.log")
    finally:
        experiment.close()


@pytest.mark.slow
def test_experiments_that_start_at_the_same_time_have_managers_of_their_own(tmp_path):
    experiments = []
    try:
        for number in range(3):
            (tmp_path / str(number)).mkdir()
            experiments.append(LaunchedExperiment(tmp_path / str(number)))
            experiments[-1].port = None  # the first free one
        with ThreadPoolExecutor(3) as pool:
            launches = [
                pool.submit(each.launch, "dying_trial.py", SPACE, trials=1) for each in experiments
            ]
            for launch in launches:
                launch.result()
        assert len({each.port for each in experiments}) == 3
        for each in experiments:
            each.wait("DONE", timeout=180)
            each.wait_for_results(1)
    finally:
        for each in experiments:
            each.close()

"""A trial that does nothing but say which config it ran."""

from meta_nni import Result, run_trial

run_trial(lambda config, report: Result(float(config["x"])))

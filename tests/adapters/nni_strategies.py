"""Spaces for the tests of strategies, and what a config of the small one is worth."""

CHOICES = {
    "x": {"_type": "randint", "_value": [0, 4]},
    "group/op": {
        "_type": "choice",
        "_value": [{"_name": "a", "k": {"_type": "choice", "_value": [1, 3]}}, {"_name": "b"}],
    },
}
EVERYTHING = {
    **CHOICES,
    "wide": {"_type": "randint", "_value": [-5, 5000]},
    "u": {"_type": "uniform", "_value": [0.5, 1.5]},
    "q": {"_type": "quniform", "_value": [0, 1, 0.25]},
    "log": {"_type": "loguniform", "_value": [1e-4, 0.1]},
    "qlog": {"_type": "qloguniform", "_value": [1, 64, 1]},
    "n": {"_type": "normal", "_value": [1, 2]},
    "qn": {"_type": "qnormal", "_value": [10, 5, 0.5]},
    "ln": {"_type": "lognormal", "_value": [0, 1]},
    "flag": {"_type": "choice", "_value": [True, False]},
}


def score(config):
    return config["x"] / 10 + (config["group/op"]["_name"] == "b") / 2

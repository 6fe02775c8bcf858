import json

import pytest

from meta_nni.adapters.nni_import import Imported, read_import
from meta_nni.space import SearchSpace
from meta_nni.trial import Result

SPACE = SearchSpace.from_nni({"x": {"_type": "choice", "_value": [1, 2, 3]}})


def entry(value, x=1, **more):
    return {"parameter": {"x": x}, "value": value, **more}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        # A user's own results.
        (entry(0.5), Imported({"x": 1}, Result(0.5), True)),
        # As nnictl exports them: the value is JSON text.
        (entry("0.5", trialJobId="abcde"), Imported({"x": 1}, Result(0.5), False)),
        # The trial says that it ran another config than NNI's records say.
        (
            entry(json.dumps({"default": 0.5, "config": {"x": 2}}), trialJobId="abcde"),
            Imported({"x": 2}, Result(0.5), True),
        ),
        (entry("NaN"), Imported({"x": 1}, Result(float("nan")), True)),
        (
            entry({"reason": "out of memory"}),
            Imported({"x": 1}, Result.failed("out of memory"), True),
        ),
    ],
)
def test_reads(given, expected):
    assert read_import([given], SPACE) == ([expected], [])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (entry(0.5, x=4), 'parameter "x" is 4'),
        ({"parameter": {"y": 1}, "value": 0.5}, "['y']"),
        ({"parameter": "x=1", "value": 0.5}, "'x=1'"),
        ({"config": {"x": 1}, "value": 0.5}, 'expected {"parameter": config, "value": number}'),
        (7, "it is 7"),
        (entry("good"), "its value is 'good', expected a number or JSON"),
    ],
)
def test_names_the_entry_and_what_is_wrong_with_it(given, expected):
    usable, (problem,) = read_import([entry(0.5), given], SPACE)
    assert len(usable) == 1
    assert problem.startswith("imported result 2 is left out: ")
    assert expected in problem

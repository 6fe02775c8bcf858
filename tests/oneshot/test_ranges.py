"""Which numbers a range holds, and how it says so."""

import math

import numpy as np
import pytest

from meta_nni.oneshot.ranges import Range


@pytest.mark.parametrize(
    ("range_", "inside", "outside", "text"),
    [
        (Range(1, whole=True), [1, np.int64(9)], [0, 1.0, "1", True, None], "an integer from 1 on"),
        (Range(0, above=True), [1e-9, 3], [0, -1, "0.1", math.nan, math.inf], "a number above 0"),
        (Range(0, below=1), [0, 0.9], [1, -0.1], "a number from 0 on and below 1"),
        (Range(2, optional=True), [None, 2], [1.9, "None"], "a number from 2 on, or None"),
    ],
)
def test_a_range_holds_numbers_of_its_kind_between_its_bounds(range_, inside, outside, text):
    assert [value for value in inside if value not in range_] == []
    assert [value for value in outside if value in range_] == []
    assert str(range_) == text

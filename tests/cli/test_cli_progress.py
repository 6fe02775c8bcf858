from __future__ import annotations

import io

import pytest

from meta_nni.cli.progress import ProgressBar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    """Seconds that pass when told so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_terminal_shows_one_line_that_changes(clock: Clock) -> None:
    stream = Terminal()
    with ProgressBar("training", clock, stream=stream) as bar:
        for step in range(1, 5):
            clock.now += 2.0
            bar(step, 4, 1 / step)
    drawn = stream.getvalue().split("\r")[1:]
    assert drawn[0] == f"training [{'#' * 7}{'.' * 23}] step 1 of 4, loss 1, 6 s left"
    assert drawn[-1].rstrip(" \n") == f"training [{'#' * 30}] step 4 of 4, loss 0.25, 0 s left"
    assert len(drawn) == 4
    assert stream.getvalue().count("\n") == 1
    assert all(len(line.rstrip("\n")) >= len(drawn[0]) for line in drawn)


def test_it_is_drawn_ten_times_a_second_at_most_and_at_the_end(clock: Clock) -> None:
    stream = Terminal()
    bar = ProgressBar("training", clock, stream=stream)
    for step in range(1, 1001):
        clock.now += 0.001
        bar(step, 1000, 0.5)
    assert 10 <= stream.getvalue().count("\r") <= 12
    assert "step 1000 of 1000" in stream.getvalue()


def test_a_log_gets_a_line_each_tenth(clock: Clock) -> None:
    stream = io.StringIO()
    with ProgressBar("training", clock, stream=stream) as bar:
        for step in range(1, 201):
            clock.now += 1.0
            bar(step, 200, 0.5)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 11
    assert "step 100 of 200, loss 0.5, 100 s left" in lines[5]


def test_no_more_seconds_are_left_than_allowed(clock: Clock) -> None:
    stream = io.StringIO()
    bar = ProgressBar("training", clock, max_seconds=10.0, stream=stream)
    clock.now += 4.0
    bar(1, 100, 0.5)
    assert stream.getvalue().rstrip().endswith("6 s left")


def test_no_steps_are_no_error(clock: Clock) -> None:
    stream = io.StringIO()
    ProgressBar("training", clock, stream=stream)(0, 0, float("nan"))
    assert "step 0 of 0, loss nan" in stream.getvalue()

from __future__ import annotations

import io

from meta_nni.cli.progress import ProgressBar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def drawn(*steps: tuple[int, int, float]) -> str:
    stream = Terminal()
    with ProgressBar("training", stream) as bar:
        for step in steps:
            bar(*step)
    return stream.getvalue()


def test_a_terminal_shows_one_line_that_changes() -> None:
    text = drawn((1, 4, 1.0), (2, 4, 0.5), (4, 4, 0.25))
    assert text.count("\n") == 1
    last = text.rstrip().split("\r")[-1]
    assert last.startswith("training: 100%")
    assert "4/4" in last
    assert "loss 0.25" in last


def test_a_log_stays_quiet() -> None:
    stream = io.StringIO()
    with ProgressBar("training", stream) as bar:
        bar(1, 2, 0.5)
        bar(2, 2, 0.25)
    assert stream.getvalue() == ""


def test_no_steps_are_no_error() -> None:
    assert "training" in drawn((0, 0, float("nan")))

"""What is wrong with data, told by file and line, with a choice to stop or to skip."""

from __future__ import annotations

import logging

__all__ = ["DataError", "Problems"]

_log = logging.getLogger(__name__)

_MAX_SHOWN = 20
"""Problems that a message or the log lists."""


class DataError(ValueError):
    """Data that cannot be used; the message says what came, what was expected, what to do."""


class Problems:
    """The problems found while one split is read.

    Several are told at once, so that one look at the message is enough to mend them all.

    Args:
        skips: Whether what is wrong is left out instead of being an error.
    """

    def __init__(self, skips: bool = False) -> None:
        self.skips = skips
        self._found: list[str] = []

    @property
    def found(self) -> tuple[str, ...]:
        """One line each, in the order of the data."""
        return tuple(self._found)

    def add(self, where: str, what: str) -> None:
        """Notes a problem.

        Args:
            where: File and line or element, such as "train.csv line 7".
            what: What came and what was expected.

        Raises:
            DataError: Nothing is skipped, and these are as many as a message lists.
        """
        self._found.append(f"{where}: {what}")
        if not self.skips and len(self._found) == _MAX_SHOWN:
            raise DataError(self._message(f"the first {_MAX_SHOWN} problems"))

    def finish(self) -> None:
        """Ends the reading: logs what was skipped.

        Raises:
            DataError: There are problems and nothing is skipped.
        """
        if self._found and not self.skips:
            count = len(self._found)
            raise DataError(self._message("1 problem" if count == 1 else f"{count} problems"))
        for line in self._found[:_MAX_SHOWN]:
            _log.warning("skipped %s", line)
        if len(self._found) > _MAX_SHOWN:
            _log.warning("skipped %d more", len(self._found) - _MAX_SHOWN)

    def _message(self, count: str) -> str:
        return "\n".join(
            [f"the data has {count}; mend it, or leave it out with errors: skip", *self._found]
        )

"""Where progress goes: a bar on a terminal, a line now and then in a log, nothing if that is wished."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from ..transfer.progress import Bar, Ended, Event, Finished, Planned, Received, Started, silent
from ..transfer.report import Status
from .render import files_text, say, size_text

if TYPE_CHECKING:
    from collections.abc import Callable

#: Shortest time between two lines: a log of a day then has less than 3,000 of them.
INTERVAL_S = 30.0


def progress(*, wanted: bool) -> Callable[[Event], None]:
    """Choose what shows the events of a download."""
    if not wanted:
        return silent
    return Bar() if sys.stderr.isatty() else Lines()


class Lines:
    """Say how far the download is, in one line at the start and then at most every 30 s.

    Parameters
    ----------
    write
        Takes one line.
    now
        A clock, in seconds.
    """

    def __init__(self, write: Callable[[str], None] = say, now: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._now = now
        self._total = Started(0, 0)
        self._begun = self._told = 0.0
        self._files = self._bytes = self._failed = 0

    def __call__(self, event: Event) -> None:
        """Take in one event."""
        if isinstance(event, Started):
            self._total = event
            self._begun = self._told = self._now()
            if event.is_all:
                self._say_what_is_to_come()
        elif isinstance(event, Planned):
            self._total = replace(
                self._total, files=self._total.files + event.files, bytes=self._total.bytes + event.bytes
            )
            if event.is_all and not self._total.is_all:
                self._total = replace(self._total, is_all=True)
                self._say_what_is_to_come()
        elif isinstance(event, Ended):
            return
        elif isinstance(event, Received):
            self._bytes += event.bytes
        elif isinstance(event, Finished):
            self._files += 1
            self._failed += event.result.status is Status.FAILED
        now = self._now()
        if now - self._told >= INTERVAL_S:
            self._told = now
            self._write(self._line(now - self._begun))

    def _say_what_is_to_come(self) -> None:
        self._write(f"{files_text(self._total.files)} to fetch, {size_text(self._total.bytes)}")

    def _line(self, seconds: float) -> str:
        rate = self._bytes / seconds
        left = max(0, self._total.bytes - self._bytes)
        end = f"{_duration(left / rate)} left" if rate > 0 else "no end in sight"
        return (
            f"{self._files:,}/{files_text(self._total.files)}, {size_text(self._bytes)} of "
            f"{size_text(self._total.bytes)}, {size_text(rate)}/s, {end}, {self._failed:,} failed"
        )


def _duration(seconds: float) -> str:
    """Give a duration as hours, minutes and seconds.

    >>> _duration(4000.4)
    '1:06:40'
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


__all__ = ["INTERVAL_S", "Lines", "progress"]

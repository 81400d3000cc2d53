"""How many transfers are under way at once: the number follows the link while it runs.

A fast link is saturated by few transfers, and more of them only get in each other's way. Where each request waits
40 ms, hundreds are needed. While most of the work is small files, their waits tell the number; otherwise it is doubled
as long as that pays and the processors have time to spare, and taken back where it does not. The decision is pure: time
and counts are given.
"""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .outcome import Outcome

#: Where a run begins.
FIRST = 32
#: So many small requests saturate the fastest link.
LEAST = 4
#: More transfers than this never paid on any link that was measured.
MOST = 256
#: The same of all processes of a run that share small files: each waits for Python's lock with fewer threads.
MOST_SHARED = 384
#: Pieces of large files under way at once: each has its share of the link, and a megabyte or two of memory.
PIECES = 64
#: Seconds between two decisions: long enough to tell a rate.
WINDOW_S = 0.06
#: What the fixed cost of a file counts in bytes, so that runs of small and of large files have one rate.
FILE_BYTES = 64 * 1024
#: More has to bring at least this much more.
GAIN = 1.1
#: From this share of the processors on, they are the limit: the system and the server's side of it need the rest.
BUSY = 0.6
#: Windows to wait after a step that did not pay, before the next is tried.
PAUSE = 50


@dataclass(frozen=True, slots=True)
class Window:
    """What happened since the last decision."""

    seconds: float
    files: int
    bytes: int
    #: Processor time of this process, in seconds.
    busy_seconds: float
    #: How often the server asked to slow down.
    refusals: int = 0
    #: The shortest wait of a small request from its sending to its last byte, in seconds; 0 if there was none.
    waited: float = 0.0


class Width:
    """Decide how many transfers to have under way.

    Parameters
    ----------
    first, most
        Where to begin, and the most; ``first == most`` is a fixed number.
    processors
        How many this process may use.

    Attributes
    ----------
    target
        The number decided upon last.
    most, processors
        As the parameters; they may change.
    """

    def __init__(self, first: int = FIRST, most: int = MOST, processors: int = 2) -> None:
        self.target = min(first, most)
        self.most = most
        self.processors = processors
        self._rate = 0.0
        self._pause = 0
        #: The last decision was for more.
        self._has_stepped = False

    def observe(self, window: Window) -> int:
        """Take in what happened, and give the new number.

        >>> width = Width(first=8, most=64)
        >>> slow_link = [Window(0.25, 8, received, 0.01) for received in (50 << 20, 100 << 20, 200 << 20, 205 << 20)]
        >>> [width.observe(window) for window in slow_link]
        [16, 32, 64, 32]
        """
        rate = (window.bytes + window.files * FILE_BYTES) / window.seconds
        is_small = window.files * FILE_BYTES > window.bytes
        if window.refusals or (self._has_stepped and rate < self._rate * GAIN):
            self.target = max(1, self.target // 2)
            self._has_stepped = False
            self._pause = PAUSE
        elif self._pause:
            self._pause -= 1
        elif window.waited and is_small:
            self.target = max(min(LEAST, self.most), min(self.most, self._asked_for(window)))
            self._has_stepped = False
        else:
            is_busy = window.busy_seconds > BUSY * self.processors * window.seconds
            self._has_stepped = not is_busy and self.target < self.most
            if self._has_stepped:
                self.target = min(self.most, self.target * 2)
        self._rate = rate
        return self.target

    def _asked_for(self, window: Window) -> int:
        """Give the number of small requests that keep the processors busy while each waits (Little's law)."""
        service = window.busy_seconds / window.files
        return math.ceil(window.waited * self.processors / service) if service else self.most


class Gauge:
    """Measure windows of a run, and let :class:`Width` decide at the end of each.

    Parameters
    ----------
    fixed
        A number that stays, or None to follow the link.
    now, busy
        The clock and the processor time of this process, in seconds.
    """

    def __init__(
        self,
        fixed: int | None = None,
        *,
        now: Callable[[], float] = time.perf_counter,
        busy: Callable[[], float] = time.process_time,
    ) -> None:
        most = min(MOST, affordable())
        self._width = Width(most=most, processors=processors()) if fixed is None else Width(fixed, fixed)
        self._most_pieces = min(PIECES, most) if fixed is None else fixed
        self._is_free = fixed is None
        self._now, self._busy = now, busy
        self._begin()

    def _begin(self) -> None:
        self._since, self._busy_since = self._now(), self._busy()
        self._files = self._bytes = self._refusals = 0
        self._waited = math.inf

    def share(self, processes: int) -> None:
        """Leave their part of the processors, and of the transfers, to other processes of the run."""
        if processes > 1 and self._is_free:
            self._width.processors = max(1, processors() // processes)
            self._width.most = min(self._width.most, MOST_SHARED // processes)

    @property
    def target(self) -> int:
        """The number decided upon last."""
        return self._width.target

    @property
    def pieces(self) -> int:
        """How many pieces of large files may be under way."""
        return self._most_pieces

    def target_after(self, outcomes: Sequence[Outcome], received: int) -> int:
        """Count what has come, and give the number of transfers to have under way."""
        self._files += len(outcomes)
        self._bytes += received
        for outcome in outcomes:
            self._refusals += outcome.refusals
            if 0 < outcome.waited < self._waited:
                self._waited = outcome.waited
        seconds = self._now() - self._since
        if seconds >= WINDOW_S:
            busy = self._busy() - self._busy_since
            waited = self._waited if math.isfinite(self._waited) else 0.0
            if self._refusals:
                self._most_pieces = max(1, self._most_pieces // 2)
            self._width.observe(Window(seconds, self._files, self._bytes, busy, self._refusals, waited))
            self._begin()
        return self._width.target


def processors() -> int:
    """Give the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def affordable() -> int:
    """Give the number of transfers for which this process may open files: each needs a connection and two files."""
    try:
        import resource
    except ImportError:  # Windows, which has no such limit
        return MOST
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST if soft == resource.RLIM_INFINITY else max(4, (soft - 64) // 3)

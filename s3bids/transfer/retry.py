"""Which errors are worth another attempt, how long to wait before it, and when to give up."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import StorageConnectionError, StorageUnavailableError, VerificationError

if TYPE_CHECKING:
    from collections.abc import Callable

#: Errors that pass: the server is busy, the connection broke, or bytes came out wrong on the way.
PASSING = (StorageConnectionError, StorageUnavailableError, VerificationError)


def _jitter(low: float, high: float) -> float:
    """Draw a number; a function of the module, so that its generator does not travel to other processes."""
    return random.uniform(low, high)  # noqa: S311 - spreads requests, no secret


@dataclass(frozen=True)
class Retry:
    """Exponential back-off with full jitter: the wait before attempt n+1 is random up to ``first * 2**n`` seconds.

    Jitter spreads the attempts of many workers, which would otherwise meet the server together again.
    """

    #: How often an object is asked for in all, while the server serves others.
    attempts: int = 5
    #: The same where the server says that it is too busy. Of 20,000 files of which a fifth of the requests is refused,
    #: none fails then in 499 of 500 runs.
    busy_attempts: int = 10
    #: Longest wait after the first attempt, in seconds.
    first_s: float = 0.2
    #: Longest wait of all, in seconds.
    longest_s: float = 10.0
    #: How long to go on when the server serves nobody, in seconds: longer than the outages of a minute that occur.
    patience_s: float = 120.0
    sleep: Callable[[float], None] = time.sleep
    #: Gives a random number between two bounds.
    uniform: Callable[[float, float], float] = _jitter
    #: A clock that only goes forward, in seconds.
    now: Callable[[], float] = time.monotonic

    def wait(self, attempt: int) -> None:
        """Wait after the given attempt, counted from 1.

        >>> waits = []
        >>> retry = Retry(sleep=waits.append, uniform=lambda low, high: high)
        >>> for attempt in (1, 2, 3):
        ...     retry.wait(attempt)
        >>> waits
        [0.2, 0.4, 0.8]
        """
        self.sleep(self.uniform(0.0, min(self.longest_s, self.first_s * 2 ** min(attempt - 1, 32))))


class Health:
    """When the server last served anybody: what the transfers of one process know of it together.

    A server that refuses one object and serves others is asked for it a few times. One that serves nobody is waited
    for, up to the patience; after that every further object fails at once, so that a dead server ends a run of any
    size.
    """

    def __init__(self, retry: Retry) -> None:
        self._retry = retry
        self._good_at = retry.now()

    def good(self) -> None:
        """Note that the server has served somebody."""
        self._good_at = self._retry.now()

    def gives_up(self, error: Exception, attempt: int, failing_since: float) -> bool:
        """Decide after an attempt, counted from 1, that ended with an error; the first that did began at some time."""
        retry, good_at = self._retry, self._good_at
        if failing_since - good_at > retry.patience_s:
            return True
        is_busy = isinstance(error, StorageUnavailableError)
        if attempt < (retry.busy_attempts if is_busy else retry.attempts):
            return False
        return good_at >= failing_since or retry.now() - good_at >= retry.patience_s


__all__ = ["PASSING", "Health", "Retry"]

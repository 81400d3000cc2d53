"""Which errors are worth another attempt, how long to wait before it, and when to give up."""

from __future__ import annotations

import math
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import StorageConnectionError, StorageUnavailableError, VerificationError

if TYPE_CHECKING:
    from collections.abc import Callable

#: Errors that pass: the server is busy, the connection broke, or bytes came out wrong on the way.
PASSING = (StorageConnectionError, StorageUnavailableError, VerificationError)


#: Objects that are asked for in vain before a server is given up. Those of one subject may be refused together.
IN_VAIN = 32


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


@dataclass(slots=True)
class Tries:
    """How asking for one object, or one piece of it, went so far."""

    #: Attempts that failed while others were served.
    counted: int = 0
    #: When the first of the failed attempts ended, not when it began: whoever was served in between tells nothing of an
    #: outage.
    failing_since: float | None = None
    #: When the last one ended.
    failed_at: float = -math.inf


class Health:
    """When the server last served anybody: what the transfers of one process know of it together.

    A server that refuses one object and serves others is asked for it a few times. One that serves nobody is waited
    for, up to the patience. After that some further objects are asked for once each, since those before may have had
    something in common; if these are refused as well, no other is asked for, so that a server that is dead, or that
    never answers, ends a run of any size. Time in which nobody asked counts for nothing.
    """

    def __init__(self, retry: Retry) -> None:
        self._retry = retry
        self._good_at = retry.now()
        #: Since when every request was in vain, and when the last one was; of no meaning before the last good one.
        self._bad_since = self._bad_at = -math.inf
        #: Keys that were given up since then, after the patience.
        self._in_vain: set[str] = set()
        #: Keys of which an attempt failed since then.
        self._failing: set[str] = set()

    def good(self) -> None:
        """Note that the server has served somebody, if only with a few bytes."""
        self._good_at = self._retry.now()

    def gives_up(self, key: str, error: Exception, tries: Tries) -> bool:
        """Take note of an attempt that has just ended with an error, and decide whether it was the last.

        An attempt counts against the object if others were served since the one before it: the attempts that an
        outage took say nothing of the object. When nobody else asks any more, it is enough that others were served
        since its first failure.
        """
        retry, good_at, now = self._retry, self._good_at, self._retry.now()
        if tries.failing_since is None:
            tries.failing_since = tries.failed_at = now
        if self._bad_since < good_at:
            self._bad_since = max(tries.failing_since, good_at)
            self._in_vain.clear()
            self._failing.clear()
        self._bad_at = now
        self._failing.add(key)
        is_alone = len(self._failing) == 1 and good_at >= tries.failing_since
        if not tries.counted or is_alone or good_at >= tries.failed_at:
            tries.counted += 1
        tries.failed_at = now
        if now - self._bad_since >= retry.patience_s:
            self._in_vain.add(key)
            return True
        is_busy = isinstance(error, StorageUnavailableError)
        return tries.counted >= (retry.busy_attempts if is_busy else retry.attempts)

    def lost(self) -> StorageConnectionError | None:
        """Give the error of an object that is not even asked for, since the server is given up; None if it is not.

        When nobody has asked for as long as the patience, it is worth asking again.
        """
        if len(self._in_vain) < IN_VAIN or self._bad_since < self._good_at:
            return None
        patience = self._retry.patience_s
        if self._retry.now() - self._bad_at > patience:
            return None
        return StorageConnectionError(
            f"not asked for, since the server has served nobody for {patience:.0f} s; check the network and run again"
        )


__all__ = ["IN_VAIN", "PASSING", "Health", "Retry", "Tries"]

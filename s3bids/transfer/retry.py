"""Which errors are worth another attempt, and how long to wait before it."""

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

    #: How often an object is asked for in all.
    attempts: int = 5
    #: Longest wait after the first attempt, in seconds.
    first_s: float = 0.2
    #: Longest wait of all, in seconds.
    longest_s: float = 10.0
    sleep: Callable[[float], None] = time.sleep
    #: Gives a random number between two bounds.
    uniform: Callable[[float, float], float] = _jitter

    def wait(self, attempt: int) -> None:
        """Wait after the given attempt, counted from 1.

        >>> waits = []
        >>> retry = Retry(sleep=waits.append, uniform=lambda low, high: high)
        >>> for attempt in (1, 2, 3):
        ...     retry.wait(attempt)
        >>> waits
        [0.2, 0.4, 0.8]
        """
        self.sleep(self.uniform(0.0, min(self.longest_s, self.first_s * 2 ** (attempt - 1))))

"""Requests side by side."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")
R = TypeVar("R")

#: Requests under way at once: each waits for its server most of the time.
WORKERS = 16


def in_threads(function: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Call a function for each item, in threads, and give the results in order.

    The first error is raised, and what has not begun is given up. Also a single item goes to a thread: the caller then
    waits for it where Ctrl-C is heard, which a request of obstore is not.
    """
    values = list(items)
    if not values:
        return []
    pool = ThreadPoolExecutor(min(WORKERS, len(values)), thread_name_prefix="s3bids-ask")
    try:
        return list(pool.map(function, values))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)

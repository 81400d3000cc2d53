"""Requests side by side, and coroutines for callers that have none."""

from __future__ import annotations

import queue
import threading
from operator import length_hint
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator

T = TypeVar("T")
R = TypeVar("R")

#: Requests under way at once: each waits for its server most of the time.
WORKERS = 16


def in_threads(
    function: Callable[[T], R], items: Iterable[T], *, workers: int = WORKERS, finish: bool = False
) -> list[R]:
    """Call a function for each item, in threads, and give the results in order.

    The first error is raised, and what has not begun is given up. Also a single item goes to a thread: the caller then
    waits for it where Ctrl-C is heard, which a request of obstore is not. The threads are daemons, since those of
    concurrent.futures would keep the program from ending until a server that does not answer has timed out.

    Parameters
    ----------
    items
        Taken one by one, when a thread is free for the next.
    workers
        Threads at once.
    finish
        Wait for what has begun before an error is raised.
    """
    work = _Work(function, items)
    running = min(workers, length_hint(items, workers))
    for _ in range(running):
        threading.Thread(target=work.run, name="s3bids-ask", daemon=True).start()
    results: dict[int, R] = {}
    error: BaseException | None = None
    try:
        while running and (error is None or finish):
            answer = work.answers.get()
            if answer is None:
                running -= 1
            elif isinstance(answer, BaseException):
                error = error or answer
                work.stop()
            else:
                results[answer[0]] = answer[1]
    finally:
        # Nobody waits any more for what has not begun.
        work.stop()
    if error is not None:
        raise error
    return [results[index] for index in sorted(results)]


class _Work:
    """What the threads of one call share."""

    def __init__(self, function: Callable[[Any], Any], items: Iterable[Any]) -> None:
        self._function = function
        self._todo: Iterator[tuple[int, Any]] = enumerate(items)
        self._lock = threading.Lock()
        self._is_stopped = False
        #: Position and result, or an error; None from each thread that has ended.
        self.answers: queue.SimpleQueue[tuple[int, Any] | BaseException | None] = queue.SimpleQueue()

    def stop(self) -> None:
        """Let no thread begin with another item."""
        self._is_stopped = True

    def run(self) -> None:
        """Take items until there are none."""
        try:
            while (item := self._next()) is not None:
                self.answers.put((item[0], self._function(item[1])))
        except BaseException as error:  # noqa: BLE001 - raised where the results are waited for
            self.answers.put(error)
        self.answers.put(None)

    def _next(self) -> tuple[int, Any] | None:
        with self._lock:
            return None if self._is_stopped else next(self._todo, None)


async def run_concurrent_tasks(tasks: Iterable[Awaitable[T]]) -> list[T]:
    """Await several coroutines side by side, and give their results in order; the first error is raised."""
    import asyncio

    return list(await asyncio.gather(*tasks))


def run_async_func_in_new_event_loop_in_thread(partial_func: Callable[[], Coroutine[Any, Any, R]]) -> R:
    """Run a coroutine to its end in a thread and an event loop of its own, and give its result.

    It works where an event loop is running already, as in a notebook; that loop waits meanwhile. An error of the
    coroutine is raised here.

    Parameters
    ----------
    partial_func
        A function without arguments that gives the coroutine, such as ``functools.partial(fetch, key)``.
    """
    import asyncio

    [result] = in_threads(lambda start: asyncio.run(start()), [partial_func])
    return result

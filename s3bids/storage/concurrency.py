"""Requests side by side."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

T = TypeVar("T")
R = TypeVar("R")

#: Requests under way at once: each waits for its server most of the time.
WORKERS = 16


def in_threads(function: Callable[[T], R], items: Iterable[T], *, workers: int = WORKERS) -> list[R]:
    """Call a function for each item, in threads, and give the results in order.

    The first error is raised, and what has not begun is given up. Also a single item goes to a thread: the caller then
    waits for it where Ctrl-C is heard, which a request of obstore is not. The threads are daemons, since those of
    concurrent.futures would keep the program from ending until a server that does not answer has timed out.
    """
    values = list(items)
    todo = enumerate(values)
    answers: queue.SimpleQueue[tuple[int, R] | BaseException] = queue.SimpleQueue()
    lock = threading.Lock()
    for _ in range(min(workers, len(values))):
        threading.Thread(target=_work, args=(function, todo, lock, answers), name="s3bids-ask", daemon=True).start()
    results: dict[int, R] = {}
    try:
        while len(results) < len(values):
            answer = answers.get()
            if isinstance(answer, BaseException):
                raise answer
            results[answer[0]] = answer[1]
    finally:
        with lock:
            # Whatever has not begun: nobody waits for it any more.
            for _ in todo:
                pass
    return [results[index] for index in range(len(values))]


def _work(
    function: Callable[[T], R],
    todo: Iterator[tuple[int, T]],
    lock: threading.Lock,
    answers: queue.SimpleQueue[tuple[int, R] | BaseException],
) -> None:
    while True:
        with lock:
            item = next(todo, None)
        if item is None:
            return
        try:
            answers.put((item[0], function(item[1])))
        except BaseException as error:  # noqa: BLE001 - raised where the results are waited for
            answers.put(error)
            return

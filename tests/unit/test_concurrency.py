"""Requests side by side: order, errors, and an end in any case."""

import asyncio
import threading
from functools import partial

import pytest

from s3bids.storage.concurrency import (
    WORKERS,
    in_threads,
    run_async_func_in_new_event_loop_in_thread,
    run_concurrent_tasks,
)


@pytest.mark.parametrize("number", [0, 1, 2, WORKERS, 200])
def test_results_come_in_order(number):
    assert in_threads(lambda item: item * 2, range(number)) == [item * 2 for item in range(number)]


def test_an_iterator_is_taken_once():
    assert in_threads(str, iter("abc")) == ["a", "b", "c"]


def test_many_are_under_way_at_once():
    barrier = threading.Barrier(WORKERS)
    assert len(in_threads(lambda item: barrier.wait(60), range(WORKERS))) == WORKERS


def test_the_first_error_is_raised_and_the_rest_is_given_up():
    begun = []

    def fail(item):
        begun.append(item)
        raise KeyError(item)

    with pytest.raises(KeyError):
        in_threads(fail, range(1000))
    assert len(begun) <= WORKERS


def test_threads_do_not_keep_the_program_from_ending():
    [is_daemon] = in_threads(lambda item: threading.current_thread().daemon, [1])
    assert is_daemon


@pytest.mark.parametrize("workers", [1, 2, 50])
def test_so_many_threads_work_as_was_said(workers):
    names = set()
    barrier = threading.Barrier(workers)

    def work(item):
        if item < workers:
            barrier.wait(60)
        names.add(threading.get_ident())
        return item

    assert in_threads(work, range(100), workers=workers) == list(range(100))
    assert len(names) <= workers


def test_items_are_taken_when_a_thread_is_free_for_them():
    taken, done = [], []

    def items():
        for number in range(50):
            assert len(taken) - len(done) <= 3
            taken.append(number)
            yield number

    def work(item):
        done.append(item)
        return item

    assert in_threads(work, items(), workers=3) == list(range(50))


@pytest.mark.parametrize("finish", [False, True])
def test_an_error_of_the_items_is_raised(finish):
    def items():
        yield 1
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        in_threads(str, items(), finish=finish)


def test_what_has_begun_can_be_waited_for():
    begun, ended = threading.Barrier(4), []

    def work(item):
        begun.wait(60)
        if item == 0:
            raise KeyError(item)
        ended.append(item)

    with pytest.raises(KeyError):
        in_threads(work, range(4), workers=4, finish=True)
    assert sorted(ended) == [1, 2, 3]


async def _double(number):
    await asyncio.sleep(0)
    return number * 2


async def _fail():
    raise ZeroDivisionError("from the coroutine")


def test_coroutines_run_side_by_side_and_keep_their_order():
    async def work():
        everyone = asyncio.Event()
        waiting = 0

        async def meet(number):
            nonlocal waiting
            waiting += 1
            if waiting == 5:
                everyone.set()
            await everyone.wait()
            return number

        return await run_concurrent_tasks([meet(number) for number in range(5)])

    assert asyncio.run(work()) == [0, 1, 2, 3, 4]
    assert asyncio.run(run_concurrent_tasks([])) == []


def test_an_error_of_a_coroutine_reaches_the_caller():
    with pytest.raises(ZeroDivisionError, match="coroutine"):
        asyncio.run(run_concurrent_tasks([_double(1), _fail()]))
    with pytest.raises(ZeroDivisionError, match="coroutine"):
        run_async_func_in_new_event_loop_in_thread(_fail)


def test_a_coroutine_runs_in_a_loop_of_its_own():
    assert run_async_func_in_new_event_loop_in_thread(partial(_double, 4)) == 8

    async def as_in_a_notebook():
        return run_async_func_in_new_event_loop_in_thread(lambda: run_concurrent_tasks([_double(1), _double(2)]))

    assert asyncio.run(as_in_a_notebook()) == [2, 4]

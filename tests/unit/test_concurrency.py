"""Requests side by side: order, errors, and an end in any case."""

import threading

import pytest

from s3bids.storage.concurrency import WORKERS, in_threads


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

"""The lines of progress in a log: when they come and what they say."""

import itertools

import pytest

from s3bids.cli.progress import INTERVAL_S, Lines
from s3bids.transfer.progress import Ended, Finished, Received, Started
from s3bids.transfer.report import Result, Status

MIB = 1024 * 1024


class Clock:
    """A clock that stands still unless it is told."""

    def __init__(self):
        self.seconds = 1000.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def lines():
    return []


@pytest.fixture
def show(lines, clock):
    return Lines(lines.append, clock)


def finished(status=Status.FETCHED):
    return Finished(Result("key", "target", status))


def test_the_first_line_says_what_is_to_come(show, lines):
    show(Started(1, 3 * MIB))
    assert lines == ["1 file to fetch, 3.0 MiB"]


def test_a_line_says_files_bytes_rate_time_left_and_failures(show, lines, clock):
    show(Started(2000, 100 * MIB))
    show(Received(20 * MIB))
    show(finished())
    show(finished(Status.FAILED))
    clock.seconds += 40
    show(Received(20 * MIB))
    assert lines[1:] == ["2/2,000 files, 40.0 MiB of 100.0 MiB, 1.0 MiB/s, 0:01:00 left, 1 failed"]


def test_lines_are_at_least_thirty_seconds_apart(show, lines, clock):
    show(Started(10_000, 10_000))
    told = []
    for _ in range(10_000):
        clock.seconds += 0.1
        before = len(lines)
        show(Received(1))
        show(finished())
        told += [clock.seconds] * (len(lines) - before)
    assert len(told) == 33
    assert all(later - earlier >= INTERVAL_S for earlier, later in itertools.pairwise(told))


def test_bytes_that_are_taken_back_are_not_counted(show, lines, clock):
    show(Started(1, 4 * MIB))
    show(Received(2 * MIB))
    show(Received(-2 * MIB))
    clock.seconds += 31
    show(finished(Status.FAILED))
    assert lines[1:] == ["1/1 file, 0 B of 4.0 MiB, 0 B/s, no end in sight, 1 failed"]


def test_the_end_adds_no_line(show, lines, clock):
    show(Started(0, 0))
    clock.seconds += 100
    show(Ended())
    assert len(lines) == 1


def test_ten_thousand_files_log_less_than_100_kilobytes(show, lines, clock):
    show(Started(10_000, 10_000 * MIB))
    for _ in range(10_000):
        # Eight hours in all: slower than most links.
        clock.seconds += 3
        show(Received(MIB))
        show(finished())
    show(Ended())
    assert 900 < len(lines) < 1_100
    assert sum(len(line.encode()) + 1 for line in lines) < 100_000

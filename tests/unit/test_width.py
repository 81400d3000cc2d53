"""The number of transfers under way follows the link."""

import os
import resource

import pytest

from s3bids.transfer.outcome import Outcome
from s3bids.transfer.report import Result, Status
from s3bids.transfer.width import (
    FILE_BYTES,
    FIRST,
    LEAST,
    MOST,
    PAUSE,
    PIECES,
    WINDOW_S,
    Gauge,
    Width,
    Window,
    affordable,
)

WELL = Result("k", "t", Status.FETCHED)


def window(files, *, busy=0.01, refusals=0, seconds=WINDOW_S):
    """A window in which files of 1 MiB came."""
    return Window(seconds, files, files << 20, busy, refusals)


def link(latency_s, most_per_s):
    """A link on which each request waits, and that serves so many files a second: transfers -> files in a window."""
    return lambda transfers: min(transfers / latency_s, most_per_s) * WINDOW_S


def run(width, served, windows, *, busy=0.01):
    targets = []
    for _ in range(windows):
        targets.append(width.observe(window(round(served(width.target)), busy=busy)))
    return targets


def test_where_each_request_waits_the_number_grows_to_what_the_link_takes():
    targets = run(Width(first=8), link(latency_s=0.04, most_per_s=1e9), 8)
    assert targets == [16, 32, 64, 128, 256, 256, 256, 256]


def test_where_more_does_not_pay_the_number_goes_back_and_stays():
    """The link takes 1,000 files a second, which 40 transfers of 40 ms saturate."""
    targets = run(Width(first=8), link(latency_s=0.04, most_per_s=1000), 6 + PAUSE)
    assert targets[:4] == [16, 32, 64, 128]
    assert targets[4:-1] == [64] * (len(targets) - 5)


def test_after_a_pause_the_next_step_is_tried_again():
    width = Width(first=8)
    run(width, link(latency_s=0.04, most_per_s=1000), 5 + PAUSE)
    faster = link(latency_s=0.04, most_per_s=1e9)
    assert max(run(width, faster, 4)) == MOST


def test_busy_processors_keep_the_number():
    assert set(run(Width(processors=2), link(0.04, 1e9), 10, busy=1.3 * WINDOW_S)) == {FIRST}


def test_a_server_that_asks_to_slow_down_halves_the_number():
    width = Width(first=64)
    assert [width.observe(window(100, refusals=1)) for _ in range(8)] == [32, 16, 8, 4, 2, 1, 1, 1]
    assert [width.observe(window(100)) for _ in range(PAUSE)] == [1] * PAUSE
    assert width.observe(window(100)) == 2


def test_bytes_count_as_files_do():
    width = Width(first=8)
    assert width.observe(Window(WINDOW_S, 0, 100 * FILE_BYTES, 0.0)) == 16
    assert width.observe(Window(WINDOW_S, 100, 0, 0.0)) == 8


@pytest.mark.parametrize("number", [1, 5, 300])
def test_a_fixed_number_stays(number):
    assert set(run(Width(number, number), link(0.04, 1e9), 5)) == {number}


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def test_a_gauge_decides_once_a_window():
    clock, busy = Clock(), Clock()
    gauge = Gauge(now=clock, busy=busy)
    assert [gauge.target_after([Outcome(WELL)] * 10, 10 << 20) for _ in range(5)] == [FIRST] * 5
    clock.now = WINDOW_S
    assert gauge.target_after([Outcome(WELL)] * 10, 10 << 20) == 2 * FIRST
    clock.now = 2 * WINDOW_S
    assert gauge.target_after([Outcome(WELL)], 1 << 20) == FIRST, "60 files in the first window, one in the second"


def test_a_gauge_tells_of_refusals():
    clock = Clock()
    gauge = Gauge(now=clock, busy=Clock())
    assert gauge.pieces == PIECES
    gauge.target_after([Outcome(WELL, refusals=1)], 0)
    clock.now = WINDOW_S
    assert gauge.target_after([Outcome(WELL)], 0) == FIRST // 2
    assert gauge.pieces == PIECES // 2


def test_a_gauge_takes_the_shortest_wait_of_a_window():
    """Forty milliseconds a request and one of the processor: so many are needed that it is never idle."""
    clock, busy = Clock(), Clock()
    gauge = Gauge(now=clock, busy=busy)
    clock.now, busy.now = WINDOW_S, 0.008
    waits = (0.0, 0.05, 0.04, 0.3, 0.0, 0.04, 0.04, 0.04)
    assert gauge.target_after([Outcome(WELL, waited=waited) for waited in waits], 0) == 40 * len(
        os.sched_getaffinity(0)
    )


@pytest.mark.parametrize(
    ("waited", "service", "target"),
    [(0.04, 0.0001, 256), (0.04, 0.001, 80), (0.0001, 0.0001, LEAST), (0.0, 0.0001, 2 * FIRST), (0.04, 0.0, 256)],
)
def test_the_number_follows_the_waits_of_small_requests(waited, service, target):
    width = Width(processors=2)
    assert width.observe(Window(WINDOW_S, 8, 8, 8 * service, waited=waited)) == target


def test_what_the_waits_ask_for_is_no_guess_and_stays():
    width = Width(processors=2)
    width.observe(Window(WINDOW_S, 100, 0, 0.01, waited=0.04))
    assert width.observe(Window(WINDOW_S, 50, 0, 0.005, waited=0.04)) == 256


def test_small_files_in_between_do_not_decide_for_large_ones():
    width = Width(processors=2)
    assert width.observe(Window(WINDOW_S, 20, 100 << 20, 0.02, waited=0.0001)) == 2 * FIRST


@pytest.mark.parametrize(("limit", "number"), [(256, 64), (1024, 320), (70, 4)])
def test_no_more_transfers_than_files_may_be_open(monkeypatch, limit, number):
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (limit, resource.RLIM_INFINITY))
    assert affordable() == number


def test_without_a_limit_the_most_is_affordable(monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert affordable() == MOST

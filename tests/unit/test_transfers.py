"""Limits of a transfer, its progress, and the brake."""

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from boto3.s3.transfer import TransferConfig

from s3bids.storage.transfers import Limits, Progress, Throttle, counted, limits_of, method_of, tell_all, told

MIB = 1024 * 1024


def test_without_settings_the_limits_are_those_of_virt_s3():
    assert limits_of(None) == Limits(8 * MIB, 8 * MIB, 3, 5, 256 * 1024, True, None)


def test_the_defaults_of_a_transfer_config_are_the_documented_ones():
    assert limits_of(TransferConfig()) == Limits(8 * MIB, 8 * MIB, 10, 5, 256 * 1024, True, None)


def test_a_transfer_config_is_obeyed():
    config = TransferConfig(
        multipart_threshold=1,
        multipart_chunksize=2,
        max_concurrency=4,
        num_download_attempts=6,
        io_chunksize=7,
        use_threads=False,
        max_bandwidth=8,
    )
    assert limits_of(config) == Limits(1, 2, 4, 6, 7, False, 8)
    assert limits_of(config).workers == 1
    assert limits_of(TransferConfig(max_concurrency=4)).workers == 4


def test_what_is_missing_or_none_means_the_documented_default():
    config = SimpleNamespace(multipart_threshold=None, max_concurrency=2, use_threads=None)
    assert limits_of(config) == Limits(max_concurrency=2)
    assert limits_of(SimpleNamespace(max_concurrency=None)).max_concurrency == 10


@pytest.mark.parametrize("name", ["multipart_threshold", "max_concurrency", "max_bandwidth", "num_download_attempts"])
@pytest.mark.parametrize("value", [0, -3, "x", 1.5])
def test_numbers_that_cannot_be_kept_to_are_refused(name, value):
    with pytest.raises(ValueError, match=rf"transfer_config\.{name}"):
        limits_of(SimpleNamespace(**{name: value}))


def test_a_method_is_read():
    assert [method_of(method) for method in (None, "simple", "transfer")] == [None, "simple", "transfer"]
    with pytest.raises(ValueError, match="fast"):
        method_of("fast")


def test_the_progress_ends_once_with_the_total():
    calls = []
    progress = Progress(lambda *call: calls.append(call), 10)
    for nbytes in (3, 0, 4, 3, 5):
        progress.add(nbytes)
    progress.end()
    progress.end()
    assert calls == [(3, 10), (7, 10), (10, 10)]


def test_nothing_is_told_before_the_end_when_the_total_is_not_known():
    calls = []
    progress = Progress(lambda *call: calls.append(call), None)
    progress.add(3)
    progress.add(4)
    assert calls == []
    progress.end()
    assert calls == [(7, 7)]


def test_the_progress_of_nothing_is_none():
    calls = []
    Progress(lambda *call: calls.append(call), 0).end()
    tell_all(lambda *call: calls.append(call), 0)
    assert calls == [(0, 0), (0, 0)]


def test_without_a_callback_nothing_is_told():
    progress = Progress(None, 10)
    progress.add(3)
    progress.end()
    tell_all(None, 3)
    pieces = iter([b"1"])
    assert told(pieces, lambda: pytest.fail("nobody asked for the size"), None) is pieces


def test_threads_tell_one_after_the_other():
    calls = []
    progress = Progress(lambda *call: calls.append(call), 16_000)
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda _: [progress.add(1) for _ in range(1000)], range(16)))
    progress.end()
    assert calls == [(done, 16_000) for done in range(1, 16_001)]


def test_several_transfers_share_a_progress():
    calls = []
    progress = Progress(lambda *call: calls.append(call), 30)
    first, second = progress.share(), progress.share()
    first(4, 10)
    second(5, 20)
    first(10, 10)
    second(20, 20)
    progress.end()
    assert calls == [(4, 30), (9, 30), (15, 30), (30, 30)]


def test_a_stream_is_told_of_when_its_pieces_were_used():
    calls = []
    pieces = told(iter([b"123", memoryview(b"4567")]), lambda: 7, lambda *call: calls.append(call))
    assert next(pieces) == b"123"
    assert calls == []
    assert next(pieces) == b"4567"
    assert calls == [(3, 7)]
    assert list(pieces) == []
    assert calls == [(3, 7), (7, 7)]


def test_pieces_are_counted():
    progress = Progress(print, None)
    assert list(counted(iter([b"1", b"23"]), progress)) == [b"1", b"23"]


class Clock:
    """A clock that goes on only while somebody sleeps."""

    def __init__(self):
        self.time = 100.0
        self.slept = []

    def now(self):
        return self.time

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.time += seconds


def test_the_brake_keeps_to_the_bytes_in_a_second():
    clock = Clock()
    throttle = Throttle(10, now=clock.now, sleep=clock.sleep)
    for nbytes in (5, 20, 10):
        throttle.take(nbytes)
    assert clock.slept == [0.5, 2.0]
    clock.time += 100
    throttle.take(10)
    assert clock.slept == [0.5, 2.0]


def test_without_a_limit_nobody_waits():
    throttle = Throttle(None, now=pytest.fail, sleep=pytest.fail)
    throttle.take(10**12)

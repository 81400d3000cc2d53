"""An object as a file: the bytes are those of the object, and requests follow how it is read."""

from __future__ import annotations

import io
import pickle
import random
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3bids.errors import ImageError
from s3bids.neuro.ranges import (
    CACHE_BYTES,
    FIRST_BYTES,
    LEAST_BYTES,
    MOST_AHEAD,
    PART_BYTES,
    UNDER_WAY,
    RangedFile,
)

DATA = random.Random(0).randbytes(3_000_000)
#: Five times as much as is read ahead.
LARGE = bytes(range(256)) * (5 * MOST_AHEAD // 256)

STEPS = st.tuples(
    st.sampled_from(["read", "some", "seek", "from here", "from the end", "announce", "prepare"]),
    st.integers(0, 3_100_000),
)


@pytest.fixture
def source(memory_source):
    return memory_source(DATA)


@settings(deadline=None, max_examples=60)
@given(steps=st.lists(STEPS, max_size=20), cache=st.sampled_from([1, 10_000, CACHE_BYTES]), is_parallel=st.booleans())
def test_whatever_is_read_in_whatever_order_is_that_of_the_object(memory_source, steps, cache, is_parallel):
    file = RangedFile(memory_source(DATA, is_parallel=is_parallel), cache_bytes=cache)
    expected = io.BytesIO(DATA)
    for what, number in steps:
        match what:
            case "read":
                assert file.read(number // 10) == expected.read(number // 10)
            case "some":
                found = file.read_some(number // 10)
                assert found == expected.read(len(found))
                assert found or number < 10 or expected.tell() >= len(DATA)
            case "seek":
                assert file.seek(number) == expected.seek(number)
            case "from here":
                assert file.seek(number - 1_000_000, 1) == expected.seek(number - 1_000_000, 1)
            case "from the end":
                assert file.seek(-number, 2) == expected.seek(-number, 2)
            case "announce":
                file.begin(number)
            case "prepare":
                file.prepare([(start, start + 5000) for start in range(number // 2, 2_900_000, 100_000)])
        assert file.tell() == expected.tell()


def test_an_empty_object_is_an_empty_file(memory_source):
    file = RangedFile(memory_source(b""))
    assert (file.read(10), file.size, file.read_some(10), file.readall()) == (b"", 0, b"", b"")


def test_nothing_is_asked_before_it_is_needed(source):
    file = RangedFile(source)
    file.seek(100)
    file.begin(1000)
    assert (file.readable(), file.seekable(), file.tell(), source.reads) == (True, True, 100, [])


# Requests


def test_the_first_request_is_small_whatever_is_read_of_it(source):
    file = RangedFile(source)
    for size in (2, 348, 10_000):
        file.seek(0)
        file.read(size)
    assert (source.reads, file.size) == ([(0, FIRST_BYTES)], len(DATA))
    assert FIRST_BYTES <= 64_000


def test_what_is_there_is_not_asked_for_again(source):
    file = RangedFile(source)
    file.read(FIRST_BYTES)
    file.seek(100)
    file.read(200_000)
    assert source.reads == [(0, FIRST_BYTES), (FIRST_BYTES, 200_100)]
    file.seek(50_000)
    assert file.read(150_000) == DATA[50_000:200_000]
    assert len(source.reads) == 2


def test_a_jump_fetches_what_is_asked_for_and_no_more(source):
    file = RangedFile(source)
    file.read(100)
    for place in (2_000_000, 500_000, 1_500_000, 1_000_000):
        file.seek(place)
        file.read(100_000)
        assert source.reads[-1] == (place, place + 100_000)


def test_small_reads_at_random_fetch_less_and_less(source):
    file = RangedFile(source)
    file.read(100)
    places = random.Random(1).sample(range(FIRST_BYTES, 2_900_000, 70_000), 12)
    for place in places:
        file.seek(place)
        file.read(10)
    sizes = [end - start for start, end in source.reads]
    assert sizes == sorted(sizes, reverse=True)
    assert (sizes[0], sizes[-1]) == (FIRST_BYTES, LEAST_BYTES)


def test_who_reads_on_is_read_ahead_for_but_not_more_than_was_read(memory_source):
    source = memory_source(LARGE)
    file = RangedFile(source)
    read = 0
    while read < len(LARGE):
        read += len(file.read(50_000))
        assert source.nbytes <= 2 * read + FIRST_BYTES + MOST_AHEAD
        if read < MOST_AHEAD:
            assert source.nbytes <= 2 * read + 2 * FIRST_BYTES
    assert source.nbytes == len(LARGE)
    assert len(source.reads) <= 20
    assert max(end - start for start, end in source.reads) == PART_BYTES


def test_reading_ahead_ends_with_a_jump(memory_source):
    source = memory_source(LARGE)
    file = RangedFile(source)
    for _ in range(200):
        file.read(50_000)
    file.seek(len(LARGE) - 1_000_000)
    file.read(70_000)
    assert source.reads[-1] == (len(LARGE) - 1_000_000, len(LARGE) - 930_000)


def test_what_was_announced_is_fetched_at_once_in_large_parts(memory_source):
    source = memory_source(LARGE)
    file = RangedFile(source)
    file.begin(len(LARGE))
    assert file.read_some(10) == LARGE[:10]
    file.seek(0)
    assert file.read(len(LARGE)) == LARGE
    assert sorted(source.reads) == [(start, start + PART_BYTES) for start in range(0, len(LARGE), PART_BYTES)]


def test_an_announcement_holds_for_one_read(source):
    file = RangedFile(source)
    file.begin(500_000)
    file.read_some(100)
    assert source.reads[-1][1] == 500_000
    file.begin()
    file.seek(1_000_000)
    file.read_some(100)
    assert source.reads[-1][1] <= 1_000_000 + FIRST_BYTES


class GatedSource:
    """A source whose answers come when the test lets them; it counts how many are waited for at once."""

    is_parallel = True
    name = "gated://x"
    version = name

    def __init__(self, data):
        self.data = data
        self.size = len(data)
        self.gate = threading.Semaphore(0)
        self.started = threading.Semaphore(0)
        self.lock = threading.Lock()
        self.under_way = self.most = 0

    def read(self, start, end):
        with self.lock:
            self.under_way += 1
            self.most = max(self.most, self.under_way)
        self.started.release()
        self.gate.acquire()
        with self.lock:
            self.under_way -= 1
        return self.data[start:end]


def test_several_requests_are_under_way_while_one_is_waited_for():
    source = GatedSource(LARGE)
    file = RangedFile(source)
    found = []
    reader = threading.Thread(target=lambda: found.append(file.read(len(LARGE))))
    reader.start()
    for _ in range(UNDER_WAY):
        assert source.started.acquire(timeout=60)
    for _ in range(len(LARGE) // PART_BYTES):
        source.gate.release()
    reader.join(60)
    assert (found == [LARGE], source.most) == (True, UNDER_WAY)


def test_a_file_with_one_position_is_read_one_range_after_the_other(memory_source):
    source = memory_source(LARGE, is_parallel=False)
    file = RangedFile(source)
    assert file.read(len(LARGE)) == LARGE
    assert source.reads == sorted(source.reads)


# Several places at once


def test_places_are_fetched_side_by_side_and_near_ones_together(source):
    file = RangedFile(source)
    file.read(10)
    places = [(start, start + 1000) for start in range(100_000, 2_000_000, 100_000)]
    near = [(2_500_000 + start, 2_500_000 + start + 100) for start in range(0, 20_000, 2000)]
    file.prepare([*places, *near])
    asked = sorted(source.reads[1:])
    assert asked == [*places, (near[0][0], near[-1][1])]
    for start, end in [*places, *near]:
        file.seek(start)
        assert file.read(end - start) == DATA[start:end]
    assert len(source.reads) == len(asked) + 1


def test_more_places_than_the_cache_holds_are_not_fetched_in_advance(source):
    file = RangedFile(source, cache_bytes=100_000)
    file.prepare([(start, start + 10_000) for start in range(0, 2_000_000, 100_000)])
    assert source.reads == []


# Memory


@pytest.mark.parametrize("cache", [1, 200_000, CACHE_BYTES])
def test_no_more_blocks_are_kept_than_the_bound(memory_source, cache):
    source = memory_source(LARGE)
    file = RangedFile(source, cache_bytes=cache)
    while file.read(300_000):
        # The block that came last stays, however large.
        assert file._blocks._held <= max(cache, PART_BYTES)
    assert file._blocks._held == sum(map(len, file._blocks._blocks.values()))
    assert sum(fetch.end - fetch.start for fetch in file._ahead) <= UNDER_WAY * PART_BYTES


def test_the_least_recently_used_block_goes_first(source):
    file = RangedFile(source, cache_bytes=300_000)
    for place in (1_000_000, 2_000_000, 1_000_000, 2_500_000):
        file.seek(place)
        file.read(100_000)
    file.seek(1_000_000)
    file.read(100_000)
    assert [start for start, _ in source.reads] == [1_000_000, 2_000_000, 2_500_000]
    file.seek(1_500_000)
    file.read(100_000)
    file.seek(2_000_000)
    file.read(100_000)
    assert source.reads[-1][0] == 2_000_000


# Trouble


class FailingSource:
    """A source that fails at the second read, and at no other."""

    is_parallel = True
    name = "failing://x"
    version = name
    size = len(DATA)

    def __init__(self):
        self.n = 0

    def read(self, start, end):
        self.n += 1
        if self.n == 2:
            raise ConnectionError("lost")
        return DATA[start:end]


def test_an_error_is_raised_where_the_bytes_are_needed_and_the_file_goes_on():
    file = RangedFile(FailingSource())
    file.read(10)
    file.seek(1_000_000)
    with pytest.raises(ConnectionError, match="lost"):
        file.read(10)
    assert file.tell() == 1_000_000
    assert file.read(100) == DATA[1_000_000:1_000_100]


def test_content_behind_the_end_is_refused_before_it_is_fetched(source):
    file = RangedFile(source)
    file.check_size(len(DATA))
    with pytest.raises(ImageError, match="cut short"):
        file.check_size(len(DATA) + 1)


def test_it_pickles_without_its_blocks(source):
    file = RangedFile(source, cache_bytes=123_456)
    file.read(100_000)
    copy = pickle.loads(pickle.dumps(file))
    assert len(pickle.dumps(file)) < len(DATA) + 10_000
    assert (copy.tell(), copy._cache_bytes, copy.read(100)) == (0, 123_456, DATA[:100])

"""The content of a gzip file: the same wherever reading begins, checked at its end, with bounded memory."""

from __future__ import annotations

import gzip
import pickle
import random
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3bids.errors import DestinationError, ImageError
from s3bids.neuro.gzip_index import IndexFolder
from s3bids.neuro.gzipped import LEAST_SPACING, MOST_POINTS, MOST_SPACING, GzippedFile
from s3bids.neuro.ranges import RangedFile

#: Half of it noise and half of it zeros, so that places in the content and in the file lie differently.
CONTENT = b"".join(random.Random(n).randbytes(400_000) + bytes(400_000) for n in range(12))
PACKED = gzip.compress(CONTENT, 1)

PLACES = st.lists(st.tuples(st.integers(0, len(CONTENT) + 10), st.integers(0, 900_000)), min_size=1, max_size=8)


def opened(source, **options):
    return GzippedFile(RangedFile(source), content_end=len(CONTENT), **options)


@settings(deadline=None, max_examples=40)
@given(places=PLACES, kept=st.booleans(), announced=st.booleans(), members=st.sampled_from([1, 3]))
def test_the_content_is_the_same_wherever_reading_begins(memory_source, pieces, places, kept, announced, members):
    packed = PACKED if members == 1 else pieces(CONTENT, members)
    file = opened(memory_source(packed), store={} if kept else None)
    for place, size in places:
        if announced:
            file.prepare([(place, place + size)])
        assert file.seek(place) == place
        assert file.read(size) == CONTENT[place : place + size]
        assert file.tell() == max(place, min(place + size, len(CONTENT)))
        file.done()


@pytest.mark.parametrize("members", [1, 2, 50])
@pytest.mark.parametrize("behind", [b"", bytes(5000), b"other bytes" * 1000], ids=["nothing", "zeros", "others"])
def test_members_are_one_content_and_what_is_behind_them_is_passed_over(memory_source, pieces, members, behind):
    file = opened(memory_source(pieces(CONTENT, members) + behind))
    assert file.read(len(CONTENT) + 1) == CONTENT
    file.seek(0)
    assert file.read(1000) == CONTENT[:1000]


def test_reading_on_inflates_each_byte_once(memory_source, monkeypatch):
    made = []
    whole = zlib.decompressobj

    def counting(*args):
        inner = whole(*args)

        class Counting:
            def __getattr__(self, name):
                return getattr(inner, name)

            def decompress(self, *args):
                data = inner.decompress(*args)
                made.append(len(data))
                return data

        return Counting()

    monkeypatch.setattr("s3bids.neuro.gzipped.zlib.decompressobj", counting)
    file = opened(memory_source(PACKED))
    for start in range(0, len(CONTENT), 70_000):
        file.seek(start)
        file.read(70_000)
    assert sum(made) == len(CONTENT)


def test_a_jump_back_begins_near_its_goal(memory_source):
    source = memory_source(PACKED)
    file = opened(source)
    file.seek(len(CONTENT) - 1000)
    file.read(1000)
    for place in (8_000_000, 3_000_000, 9_000_000, 0):
        [nearest] = {file._nearest(place).made}
        assert place - nearest <= 2 * LEAST_SPACING


def test_places_to_begin_anew_are_bounded(memory_source):
    file = opened(memory_source(PACKED))
    file.read(len(CONTENT))
    assert 2 <= len(file._points) <= len(CONTENT) / LEAST_SPACING
    for size, spacing in ((10**6, LEAST_SPACING), (2**32, MOST_SPACING), (2**40, MOST_SPACING)):
        big = GzippedFile(RangedFile(memory_source(PACKED)), content_end=size)
        assert big._spacing == spacing
    assert 2**32 // MOST_SPACING == MOST_POINTS


# The end


@pytest.mark.parametrize("at", [-1, -8], ids=["length", "checksum"])
@pytest.mark.parametrize("way", ["at once", "in parts", "only the end", "kept"])
def test_checksum_and_length_are_checked_when_the_end_is_reached(memory_source, at, way):
    damaged = bytearray(PACKED)
    damaged[at] ^= 1
    file = opened(memory_source(bytes(damaged)), store={} if way == "kept" else None)
    assert file.read(8_000_000) == CONTENT[:8_000_000]
    file.seek(0)
    with pytest.raises(ImageError, match=r"memory://x.*damaged"):
        if way in ("at once", "kept"):
            file.read(len(CONTENT))
        elif way == "in parts":
            while file.read(300_000):
                pass
        else:
            file.seek(len(CONTENT) - 10)
            file.read(10)


@pytest.mark.parametrize("length", [len(PACKED) - 1, len(PACKED) - 8, len(PACKED) - 9, len(PACKED) // 2, 20, 3])
@pytest.mark.parametrize("kept", [True, False])
def test_a_file_that_is_cut_short_is_named(memory_source, length, kept):
    file = opened(memory_source(PACKED[:length]), store={} if kept else None)
    with pytest.raises(ImageError, match=r"memory://x.*cut short"):
        file.read(len(CONTENT))
    # And again: an error does not become an end.
    with pytest.raises(ImageError, match=r"memory://x.*cut short"):
        file.read(len(CONTENT))


@pytest.mark.parametrize("at", [50, len(PACKED) // 2])
def test_damage_within_is_named_where_it_is_met(memory_source, at):
    damaged = PACKED[:at] + b"\xff" * 1000 + PACKED[at + 1000 :]
    file = opened(memory_source(damaged))
    with pytest.raises(ImageError, match=r"memory://x.*damaged"):
        file.read(len(CONTENT))
    if at > 50:
        file.seek(0)
        assert file.read(100_000) == CONTENT[:100_000]


def test_content_that_zlib_could_not_have_packed_so_small_is_refused(memory_source):
    file = opened(memory_source(PACKED))
    file.check_size(len(CONTENT))
    with pytest.raises(ImageError, match="header promises"):
        file.check_size(1033 * len(PACKED))


# Kept indexes


def test_an_index_goes_on_where_an_earlier_one_ended(memory_source):
    store = {}
    file = opened(memory_source(PACKED), store=store)
    file.read(4_000_000)
    file.done()
    [part] = store.values()
    file = opened(memory_source(PACKED), store=store)
    assert file.read(len(CONTENT)) == CONTENT
    file.done()
    [whole] = store.values()
    assert len(whole) > len(part)
    assert [name for name in store if "memory://x" in name]


def test_an_error_below_the_index_is_told_as_it_is(memory_source):
    store = {}
    file = opened(memory_source(PACKED), store=store)
    file.read(len(CONTENT))
    file.done()
    source = memory_source(PACKED)
    file = opened(source, store=store)
    source.read = lambda start, end: (_ for _ in ()).throw(ConnectionError("lost"))
    file.seek(8_000_000)
    with pytest.raises(ConnectionError, match="lost"):
        file.read(100)


def test_a_folder_that_cannot_be_written_is_named(memory_source, tmp_path):
    (tmp_path / ".s3bids").write_text("a file in the way")
    with pytest.raises(DestinationError, match="gzip-index"):
        opened(memory_source(PACKED), store=IndexFolder(tmp_path))
    (tmp_path / ".s3bids").unlink()
    file = opened(memory_source(PACKED), store=IndexFolder(tmp_path))
    file.read(len(CONTENT))
    (tmp_path / ".s3bids").write_text("a file in the way")
    with pytest.raises(DestinationError, match="gzip-index"):
        file.done()


def test_it_pickles_without_what_it_remembers(memory_source):
    file = opened(memory_source(PACKED), store={})
    file.read(len(CONTENT))
    copy = pickle.loads(pickle.dumps(file))
    copy.seek(5_000_000)
    assert copy.read(1000) == CONTENT[5_000_000:5_001_000]


def test_an_index_that_is_none_is_made_anew_and_told(memory_source, caplog):
    store = {"memory://x 1": b"GZIDX" + bytes(100)}
    file = opened(memory_source(PACKED), store=store)
    assert file.read(len(CONTENT)) == CONTENT
    file.done()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "memory://x is damaged" in caplog.text
    assert len(store["memory://x 1"]) > 100_000

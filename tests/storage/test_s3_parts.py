"""Parts of objects from servers that send something else."""

import hashlib

import pytest

from s3bids.errors import RangeNotServedError
from s3bids.storage import S3Params, S3Storage
from s3bids.testing.faults import Fault, Flip, Page, Proxy, Short, Whole

DATA = bytes(range(256)) * 4
ETAG = hashlib.md5(DATA, usedforsecurity=False).hexdigest()


@pytest.fixture
def bucket(rclone, bucket_name):
    folder = rclone.root / bucket_name
    folder.mkdir()
    (folder / "x").write_bytes(DATA)
    rclone.refresh()
    return bucket_name


@pytest.fixture(params=[True, False], ids=["206", "200"])
def proxy(rclone, request):
    """A server that marks parts as S3 does, and one that does not."""
    with Proxy(rclone.url, strict=request.param) as running:
        yield running


@pytest.fixture
def storage(bucket, proxy):
    with S3Storage(S3Params(bucket, proxy.url, anon=True)) as opened:
        yield opened


def read(storage, start, end, etag=ETAG):
    return b"".join(storage.stream("x", start, etag, end=end))


@pytest.mark.parametrize(("start", "end"), [(0, 512), (512, 1024), (100, 101)])
def test_a_server_without_ranges_is_named(storage, proxy, start, end):
    proxy.script(Fault("get", times=None, action=Whole()))
    with pytest.raises(RangeNotServedError, match="sends it whole"):
        read(storage, start, end)


def test_a_whole_object_that_ends_within_the_range_is_taken(storage, proxy):
    proxy.script(Fault("get", times=None, action=Whole()))
    assert read(storage, 0, 1024) == read(storage, 0, 4096) == read(storage, 0, 4096, None) == DATA


@pytest.mark.parametrize(("start", "end"), [(0, 512), (512, 1024)])
def test_a_web_page_is_no_part_of_an_object(storage, proxy, start, end):
    """It is shorter than the range, and so would be its beginning."""
    proxy.script(Fault("get", times=None, action=Page()))
    with pytest.raises(RangeNotServedError):
        read(storage, start, end)


def test_one_page_does_not_change_how_parts_are_asked_for(storage, proxy):
    proxy.script(Fault("get", times=2, action=Page()))
    with pytest.raises(RangeNotServedError):
        read(storage, 0, 512)
    assert not storage._clients.ranges_need_boto3
    assert read(storage, 0, 512) == DATA[:512]
    assert storage._clients.ranges_need_boto3 is not proxy.strict


def test_what_marks_parts_as_wholes_is_asked_once_in_vain(storage, proxy):
    assert [read(storage, start, start + 256) for start in (0, 256, 512)] == [DATA[:256]] * 3
    assert proxy.counts()["get"] == (3 if proxy.strict else 4)


def test_a_part_that_ends_early_is_given_as_far_as_it_goes(storage, proxy):
    """Whoever asked for it knows how long it should be."""
    proxy.script(Fault("get", times=None, action=Short(10)))
    assert read(storage, 0, 512) == DATA[:10]


def test_a_flipped_byte_passes_the_storage(storage, proxy):
    proxy.script(Fault("get", times=None, action=Flip(0)))
    assert read(storage, 0, 256) == bytes([DATA[0] ^ 0xFF]) + DATA[1:256]

"""Ranges on S3: one request each, by the client that the server's answers allow."""

from __future__ import annotations

import pytest

from s3bids.errors import ObjectChangedError, ObjectNotFoundError, StorageError
from s3bids.storage import S3Params, S3Storage
from s3bids.storage.capabilities import ObjectWriter, RangeReader, read_range, writing
from s3bids.testing.faults import Answer, Fault, Page, Proxy

DATA = bytes(range(256)) * 40


@pytest.fixture(params=["moto", "rclone"])
def server(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def filled(server, bucket_name):
    """A bucket with one object, behind a proxy: (proxy, storage)."""
    client = server.boto3_client()
    client.create_bucket(Bucket=bucket_name)
    client.put_object(Bucket=bucket_name, Key="ds/x", Body=DATA)
    client.put_object(Bucket=bucket_name, Key="ds/empty", Body=b"")
    client.close()
    with (
        Proxy(server.url) as proxy,
        S3Storage(S3Params(bucket_name, proxy.url, server.access_key, server.secret_key)) as storage,
    ):
        yield proxy, storage


def test_each_range_is_one_request_from_the_first_on(filled):
    proxy, storage = filled
    for start in (0, 100, 200, 10_000):
        data, info = storage.read_range("ds/x", start, start + 50)
        assert (data, info.size) == (DATA[start : start + 50], len(DATA))
    assert [request.range for request in proxy.requests] == [f"bytes={n}-{n + 49}" for n in (0, 100, 200, 10_000)]
    assert proxy.counts()["get"] == 4


def test_the_first_answer_shows_which_client_will_do(filled, server, request):
    _, storage = filled
    assert storage._clients.ranges_need_boto3 is None
    storage.read("ds/x", 1, 2)
    # rclone answers a range with 200, which obstore does not take.
    assert storage._clients.ranges_need_boto3 is ("rclone" in request.node.callspec.id)


def test_aws_needs_no_first_answer():
    assert S3Storage(S3Params("bucket", None, anon=True))._clients.ranges_need_boto3 is False


def test_a_range_behind_the_end_asks_for_the_size(filled):
    proxy, storage = filled
    for _ in range(2):
        for key, size in (("ds/empty", 0), ("ds/x", len(DATA))):
            data, info = storage.read_range(key, 20_000, 20_010)
            assert (data, info.size) == (b"", size)
    assert {name: n for name, n in proxy.counts().items() if n} == {"get": 4, "head": 4}


def test_a_server_without_ranges_sends_what_is_asked_for_all_the_same(filled):
    proxy, storage = filled
    body = "".join(f"{number:05}" for number in range(2000))
    for start, end in ((0, 10), (100, 120), (9_990, None), (9_990, 99_999)):
        proxy.script(Fault("get", action=Page(body)))
        data, info = storage.read_range("ds/x", start, end)
        assert (data, info.size, info.etag) == (body.encode()[start:end], len(body), None)


@pytest.mark.usefixtures("no_backoff")
def test_errors_of_ranges_are_ours(filled):
    proxy, storage = filled
    for _ in range(2):
        proxy.script(Fault("get", action=Answer(412, "PreconditionFailed")))
        with pytest.raises(ObjectChangedError, match="ds/x"):
            storage.read_range("ds/x", 0, 10, if_match="0" * 32)
        with pytest.raises(ObjectNotFoundError, match="ds/none"):
            storage.read_range("ds/none", 0, 10)
        storage.read("ds/x", 0, 10)


class Plain:
    """A storage with the protocol and no more."""

    def __init__(self, storage):
        self._storage = storage
        self.asked = []

    def __getattr__(self, name):
        if name in ("read_range", "writing"):
            raise AttributeError(name)
        self.asked.append(name)
        return getattr(self._storage, name)


def test_a_storage_without_capabilities_does_the_same(filled):
    _, storage = filled
    plain = Plain(storage)
    assert not isinstance(plain, RangeReader)
    assert not isinstance(plain, ObjectWriter)
    data, info = read_range(plain, "ds/x", 5, 10)
    assert (data, info) == (DATA[5:10], storage.head("ds/x"))
    with writing(plain, "ds/y") as file:
        file.write(b"12")
        file.write(b"34")
    assert storage.read("ds/y") == b"1234"
    with pytest.raises(ZeroDivisionError), writing(plain, "ds/y"):
        raise ZeroDivisionError
    assert storage.read("ds/y") == b"1234"
    assert plain.asked == ["head", "read", "upload"]


@pytest.mark.parametrize("etag", ["a\r\nX-Other: 1", "\0", "é"])
def test_an_etag_that_no_request_can_carry_fails_alone(etag):
    with (
        S3Storage(S3Params("bucket", "http://127.0.0.1:9", anon=True)) as storage,
        pytest.raises(StorageError, match=r"cannot read s3://bucket/ds/x: its ETag .* can be part of no request"),
    ):
        list(storage.stream("ds/x", 0, etag, chunk_size=1024))


class PanicException(BaseException):
    """What obstore raises where it should not have got to."""


def test_a_panic_of_obstore_is_an_error_that_can_be_caught():
    def panic(store):
        raise PanicException("called unwrap()")

    with (
        S3Storage(S3Params("bucket", "http://127.0.0.1:9", anon=True)) as storage,
        pytest.raises(StorageError, match=r"cannot ask for s3://bucket: obstore gave up \(called unwrap\(\)\)"),
    ):
        storage._clients.ask(panic)

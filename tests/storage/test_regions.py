"""A bucket that lives in another region than was thought: its region is learned, once, and every use goes on there."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from s3bids.errors import StorageError
from s3bids.storage import S3Params, S3Storage, session
from s3bids.storage.s3_clients import S3Clients
from s3bids.testing.faults import Fault, Proxy, Redirect

pytestmark = pytest.mark.usefixtures("no_backoff")

HOME = "eu-west-1"


@pytest.fixture
def bucket(rclone, bucket_name):
    folder = rclone.root / bucket_name / "ds"
    folder.mkdir(parents=True)
    (folder / "x").write_bytes(b"0123456789")
    rclone.refresh()
    return bucket_name


USES = {
    "list": lambda storage: "ds/x" in [entry.key for entry in storage.list("ds")],
    "children": lambda storage: storage.children("")[0] == ["ds/"],
    "head": lambda storage: storage.head("ds/x").size == 10,
    "read": lambda storage: storage.read("ds/x") == b"0123456789",
    "stream": lambda storage: b"".join(storage.stream("ds/x")) == b"0123456789",
    "stream a range": lambda storage: b"".join(storage.stream("ds/x", 2, end=4)) == b"23",
    "read a range": lambda storage: storage.read("ds/x", 2, 4) == b"23",
    "stream from an offset": lambda storage: b"".join(storage.stream("ds/x", 2)) == b"23456789",
    "write": lambda storage: storage.write("ds/x", b"0123456789") == "ds/x",
}
uses = pytest.mark.parametrize("use", USES.values(), ids=USES)


@uses
def test_a_signed_request_is_sent_again_with_the_right_region(rclone, bucket, use):
    with Proxy(rclone.url, strict=True, region=HOME) as proxy:
        params = S3Params(bucket, proxy.url, "key", "secret", region_name="us-east-1")
        with S3Storage(params) as storage:
            assert use(storage)
            redirected = sum(isinstance(request.action, Redirect) for request in proxy.requests)
            proxy.reset()
            assert all(known(storage) for known in USES.values())
        assert {request.region for request in proxy.requests} <= {HOME, "us-east-1"}
        assert redirected >= 1
        # Each of the two clients learns it for itself, and only once.
        assert sum(isinstance(request.action, Redirect) for request in proxy.requests) <= 2


def test_many_threads_that_learn_it_at_once_all_go_on(rclone, bucket, monkeypatch):
    barrier = threading.Barrier(8)
    learn = S3Clients._learn_region

    def learn_together(clients, *asked_in):
        # All have been redirected before one learns where to.
        barrier.wait(30)
        return learn(clients, *asked_in)

    monkeypatch.setattr(S3Clients, "_learn_region", learn_together)
    with Proxy(rclone.url, strict=True, region=HOME) as proxy:
        params = S3Params(bucket, proxy.url, "key", "secret", region_name="us-east-1")
        with S3Storage(params) as storage, ThreadPoolExecutor(8) as threads:
            assert list(threads.map(lambda _: storage.read("ds/x"), range(8))) == [b"0123456789"] * 8


@uses
def test_an_unsigned_request_goes_to_the_address_of_the_right_region(rclone, bucket, use, monkeypatch):
    """As on AWS, where each region has an address of its own."""
    with Proxy(rclone.url, strict=True) as elsewhere, Proxy(rclone.url, strict=True) as home:
        elsewhere.script(Fault("*", times=None, action=Redirect(HOME)))
        addresses = {"us-east-1": elsewhere.url, HOME: home.url}
        monkeypatch.setattr(session, "_aws_endpoint", addresses.__getitem__)
        # boto3 has the addresses of AWS built in, and takes another one for all regions only.
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", elsewhere.url)
        with S3Storage(S3Params(bucket, anon=True)) as storage:
            if use in (USES["stream from an offset"], USES["write"]):
                with pytest.raises(StorageError, match="another region"):
                    use(storage)
                return
            assert use(storage)
            asked = len(elsewhere.requests)
            assert use(storage)
        assert len(elsewhere.requests) == asked, "it is known now"
        assert len(home.requests) == 2


def test_a_redirect_to_where_we_are_is_an_error_and_no_circle(rclone, bucket):
    with Proxy(rclone.url) as proxy:
        proxy.script(Fault("*", times=None, action=Redirect("us-east-1")))
        with S3Storage(S3Params(bucket, proxy.url, anon=True)) as storage:
            for use in USES.values():
                with pytest.raises(StorageError, match="lives in another region"):
                    use(storage)
        assert len(proxy.requests) < 10 * len(USES)

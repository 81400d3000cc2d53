"""The proxy does what its script says; seen by a client that knows nothing of S3."""

import random
import socket
import threading
from contextlib import closing
from http.client import HTTPConnection

import pytest

from s3bids.errors import StorageError
from s3bids.storage import S3Params, S3Storage
from s3bids.testing.faults import Answer, Call, Cut, Fault, Flip, Page, Proxy, Redirect, Reset, Short, Stall, Whole

DATA = b"0123456789" * 10


@pytest.fixture
def bucket(rclone, bucket_name):
    """A bucket with one object; its folder."""
    folder = rclone.root / bucket_name
    folder.mkdir()
    (folder / "x").write_bytes(DATA)
    rclone.refresh()
    return folder


@pytest.fixture
def proxy(rclone):
    with Proxy(rclone.url, strict=True, region="eu-west-1") as running:
        yield running


def ask(proxy, path, method="GET", **headers):
    """Send one request: status, headers, body as far as it came, and the error that ended it."""
    port = int(proxy.url.rpartition(":")[2])
    with closing(HTTPConnection("127.0.0.1", port, timeout=0.5)) as connection:
        try:
            connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
        except OSError as error:
            return None, {}, b"", type(error)
        body = b""
        try:
            while piece := answer.read1():
                body += piece
        except OSError as error:
            return answer.status, dict(answer.getheaders()), body, type(error)
        is_whole = answer.length in (0, None)
        return answer.status, dict(answer.getheaders()), body, None if is_whole else "short"


@pytest.mark.parametrize(
    ("action", "status", "body", "error"),
    [
        (Answer(503, "SlowDown"), 503, b"<Code>SlowDown</Code>", None),
        (Redirect("eu-west-1"), 301, b"<Code>PermanentRedirect</Code>", None),
        (Page(), 200, b"Please sign in", None),
        (Cut(7), 200, DATA[:7], "short"),
        (Short(7), 200, DATA[:7], None),
        (Flip(0), 200, bytes([DATA[0] ^ 0xFF]) + DATA[1:], None),
        (Flip(1000), 200, DATA, None),
        (Reset(), None, b"", ConnectionResetError),
        (Stall(), None, b"", socket.timeout),
        (Stall(7), 200, DATA[:7], socket.timeout),
    ],
    ids=repr,
)
def test_what_an_action_does(bucket, proxy, action, status, body, error):
    proxy.script(Fault("get", "x", action=action))
    path = f"/{bucket.name}/x"
    found = ask(proxy, path)
    assert (found[0], found[3]) == (status, error)
    assert body in found[2]
    assert ask(proxy, path)[:3:2] == (200, DATA), "only once"
    assert proxy.unused() == []
    assert [request.action for request in proxy.requests] == [action, None]


def test_a_reset_in_the_middle_of_a_body(bucket, proxy):
    proxy.script(Fault("get", action=Reset(7)))
    found = ask(proxy, f"/{bucket.name}/x")
    assert (found[0], found[3]) == (200, ConnectionResetError)


def test_a_redirect_names_the_region_and_no_place(bucket, proxy):
    proxy.script(Fault("*", times=None, action=Redirect("ap-south-1")))
    for method in ("GET", "HEAD"):
        status, headers, _, _ = ask(proxy, f"/{bucket.name}", method)
        assert (status, headers["x-amz-bucket-region"], "Location" in headers) == (301, "ap-south-1", False)


def test_a_part_is_asked_for_and_the_whole_comes(bucket, proxy):
    proxy.script(Fault("get", action=Whole()))
    path = f"/{bucket.name}/x"
    answers = [ask(proxy, path, Range="bytes=2-4")[:3:2] for _ in range(2)]
    assert answers == [(200, DATA), (206, b"234")]


def test_a_function_is_called_before_the_answer(bucket, proxy, rclone):
    def change():
        (bucket / "x").write_bytes(b"new")
        rclone.refresh()

    proxy.script(Fault("get", skip=1, action=Call(change)))
    path = f"/{bucket.name}/x"
    assert [ask(proxy, path)[2] for _ in range(3)] == [DATA, b"new", b"new"]


def test_a_condition_chooses_among_the_requests_that_match(bucket, proxy):
    generator = random.Random(1)
    asked = []

    def is_one_in_five(request):
        asked.append(request.key)
        assert len(proxy.requests) == len(asked) - 1, "it may look at what came before"
        return generator.random() < 0.2

    proxy.script(Fault("get", "x", times=None, action=Answer(503, "SlowDown"), when=is_one_in_five))
    statuses = [ask(proxy, f"/{bucket.name}/x")[0] for _ in range(50)]
    expected = random.Random(1)
    assert statuses == [503 if expected.random() < 0.2 else 200 for _ in range(50)]
    assert asked == ["x"] * 50


def test_a_fault_counts_only_what_its_condition_takes(bucket, proxy):
    proxy.script(Fault("get", times=1, skip=1, action=Page(), when=lambda request: request.range is not None))
    path = f"/{bucket.name}/x"
    statuses = [ask(proxy, path, **headers)[0] for headers in ({}, {"Range": "bytes=0-1"}, {}, {"Range": "bytes=0-1"})]
    assert statuses == [200, 206, 200, 200]
    assert [request.action for request in proxy.requests] == [None, None, None, Page()]


def test_stalled_requests_are_waited_for_and_end_with_the_proxy(bucket, rclone):
    answers = []
    with Proxy(rclone.url) as proxy:
        proxy.script(Fault("get", times=2, action=Stall()))
        port = int(proxy.url.rpartition(":")[2])

        def wait():
            with closing(HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
                connection.request("GET", f"/{bucket.name}/x")
                try:
                    connection.getresponse()
                except ConnectionError as error:
                    answers.append(error)

        threads = [threading.Thread(target=wait) for _ in range(2)]
        for thread in threads:
            thread.start()
        assert proxy.wait_for_stalls(2)
        assert not proxy.wait_for_stalls(3, seconds=0.0)
        assert answers == []
    for thread in threads:
        thread.join()
    assert len(answers) == 2


# What S3 does and rclone does not


def test_a_part_has_its_own_status(bucket, proxy, rclone):
    path = f"/{bucket.name}/x"
    status, headers, body, _ = ask(proxy, path, Range="bytes=2-4")
    assert (status, headers["Content-Range"], body) == (206, "bytes 2-4/100", b"234")
    assert ask(proxy, path)[0] == 200
    with Proxy(rclone.url) as lenient:
        assert ask(lenient, path, Range="bytes=2-4")[0] == 200, "this is what strictness is for"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_another_version_is_refused(bucket, proxy, rclone, method):
    path = f"/{bucket.name}/x"
    etag = ask(proxy, path)[1]["Etag"]
    assert ask(proxy, path, method, If_Match=etag)[0] == 200
    status, _, body, _ = ask(proxy, path, method, If_Match='"0123"')
    assert status == 412
    assert body == b"" or b"PreconditionFailed" in body
    assert ask(proxy, path)[:3:2] == (200, DATA), "the connection goes on"
    (bucket / "x").write_bytes(b"another content")
    rclone.refresh()
    assert ask(proxy, path, method, If_Match=etag, Range="bytes=0-1")[0] == 412
    with Proxy(rclone.url) as lenient:
        assert ask(lenient, path, method, If_Match='"0123"')[0] == 200, "this is what strictness is for"


def test_a_request_that_is_signed_for_another_region_is_redirected(bucket, proxy):
    def reads(region, **options):
        params = S3Params(bucket.name, proxy.url, "key", "secret", region_name=region, **options)
        with S3Storage(params) as storage:
            return storage.client.head_object(Bucket=bucket.name, Key="x")["ContentLength"]

    assert reads("eu-west-1") == 100
    assert [request.region for request in proxy.requests] == ["eu-west-1"]
    with S3Storage(S3Params(bucket.name, proxy.url, anon=True)) as storage:
        assert storage.head("x").size == 100
        assert proxy.requests[-1].region is None
    with pytest.raises(StorageError), S3Storage(S3Params("none", proxy.url, "key", "secret")) as storage:
        storage.head("x")
    assert Redirect("eu-west-1") in [request.action for request in proxy.requests]


def test_a_bucket_tells_its_region(bucket, proxy):
    assert ask(proxy, f"/{bucket.name}", "HEAD")[1]["x-amz-bucket-region"] == "eu-west-1"
    assert "x-amz-bucket-region" not in ask(proxy, f"/{bucket.name}/x", "HEAD")[1]


def test_requests_that_are_held_can_be_let_go(proxy, bucket):
    proxy.script(Fault("get", times=1, action=Stall()))
    helper = threading.Thread(target=lambda: proxy.wait_for_stalls(1) and proxy.release())
    helper.start()
    port = int(proxy.url.rpartition(":")[2])
    with closing(HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("GET", f"/{bucket.name}/x")
        with pytest.raises(ConnectionError):
            connection.getresponse()
    helper.join()
    assert ask(proxy, f"/{bucket.name}/x")[0] in (200, 206)

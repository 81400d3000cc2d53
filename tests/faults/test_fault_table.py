"""One table of faults: what each becomes here, whether it is asked again, and what the file and the program end as.

Over the real chain: the command line, obstore, a proxy that spoils answers, and rclone; small objects, and a large one
in pieces. Each run checks that every file is right or listed as failed with its reason, and that none is wrong.
"""

import gzip
import logging
import random
from dataclasses import dataclass

import pytest

from s3bids.errors import (
    AccessDeniedError,
    ObjectChangedError,
    ObjectNotFoundError,
    RangeNotServedError,
    StorageConnectionError,
    StorageUnavailableError,
    VerificationError,
)
from s3bids.storage import S3Params, S3Storage, session
from s3bids.testing.faults import (
    Action,
    Answer,
    Call,
    Cut,
    Fault,
    Flip,
    Page,
    Redirect,
    Reset,
    Short,
    Stall,
    Whole,
)

#: Attempts of an object while others are served, where the server breaks off and where it is busy.
USUAL, BUSY = 5, 10


@dataclass(frozen=True)
class Row:
    """One fault of the answers to the GETs of one object."""

    name: str
    action: Action
    #: What it is here.
    error: type[Exception]
    #: Part of the reason that the report gives.
    text: str
    #: How often the object is asked for if the fault stays and others are served; 1: asking again would not help.
    attempts: int = USUAL
    #: The same of one in pieces; 0: as above, and None: the fault does no harm.
    large_attempts: int | None = 0

    def attempts_of(self, kind):
        return self.attempts if kind == "small" or self.large_attempts == 0 else self.large_attempts


TABLE = [
    Row("503 SlowDown", Answer(503, "SlowDown"), StorageUnavailableError, "slow down", BUSY),
    Row("500 InternalError", Answer(500, "InternalError"), StorageUnavailableError, "the server failed", BUSY),
    Row("429 TooManyRequests", Answer(429, "TooManyRequests"), StorageUnavailableError, "slow down", BUSY),
    Row("reset before the answer", Reset(), StorageConnectionError, "no usable answer"),
    Row("reset in the body", Reset(1000), StorageConnectionError, "no usable answer"),
    Row("short body, wrong Content-Length", Cut(1000), StorageConnectionError, "no usable answer"),
    Row("short body, right Content-Length", Short(1000), VerificationError, ""),
    Row("web page with status 200", Page(), VerificationError, "bytes came, and the listing says"),
    # The same wrong bytes twice are no accident, where they would cost another gigabyte.
    Row("flipped byte", Flip(100), VerificationError, "have the MD5", large_attempts=2),
    Row("stall before the answer", Stall(), StorageConnectionError, "no usable answer"),
    Row("stall in the body", Stall(1000), StorageConnectionError, "no usable answer"),
    Row("404, deleted after the listing", Answer(404, "NoSuchKey"), ObjectNotFoundError, "no such object", 1),
    Row("403 for one object", Answer(403, "AccessDenied"), AccessDeniedError, "access denied", 1),
    Row("400 ExpiredToken", Answer(400, "ExpiredToken"), AccessDeniedError, "session token has expired", 1),
    Row("412, always another object", Answer(412, "PreconditionFailed"), ObjectChangedError, "has changed", 2),
    Row("no ranges", Whole(), RangeNotServedError, "", large_attempts=None),
]
rows = pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
kinds = pytest.mark.parametrize("kind", ["small", "large"])


@pytest.fixture
def chain(chain, monkeypatch, request):
    # A minute in life. Long enough for an answer that comes, on a busy computer too; half of it where it is waited for,
    # five times: what comes too late there is asked for again, and no count has it.
    row = request.node.callspec.params.get("row") if hasattr(request.node, "callspec") else None
    waits = row is not None and isinstance(row.action, Stall)
    monkeypatch.setattr(session, "READ_TIMEOUT_S", 0.4 if waits else 0.8)
    chain.fill(small=6, large=1)
    return chain


@rows
@kinds
def test_a_fault_that_passes(chain, row, kind):
    name = getattr(chain, kind)
    chain.proxy.script(Fault("get", f"ds/{name}", action=row.action))
    ran = chain.run(fault=row.name)
    assert chain.proxy.unused() == []
    if row.attempts_of(kind) == 1:
        assert (ran.code, set(ran.failed)) == (1, {name})
        assert chain.clock.waits == []
    else:
        assert (ran.code, ran.failed) == (0, {})
    assert chain.parts() == [] or row.attempts == 1


@rows
@kinds
def test_a_fault_that_stays(chain, row, kind, caplog):
    name = getattr(chain, kind)
    caplog.set_level(logging.DEBUG, "s3bids.transfer")
    chain.clock.stands_still = True
    chain.proxy.script(Fault("get", f"ds/{name}", times=None, action=row.action))
    ran = chain.run(fault=row.name)
    if row.action == Whole():
        assert (ran.code, ran.failed) == (0, {}), "an object without ranges comes as a whole"
        return
    assert ran.code == 1
    [(target, failure)] = ran.failed.items()
    assert target == name
    assert row.text in failure["reason"]
    assert failure["attempts"] == row.attempts_of(kind)
    [error] = [record.exc_info[0] for record in caplog.records if "transfer of" in record.getMessage()]
    assert error is row.error
    # What was spoiled is fetched alone the next time, and nothing of the spoiled answers is left in it.
    chain.proxy.reset()
    ran = chain.run()
    assert (ran.code, ran.report["fetched"]) == (0, 1)
    assert {request.key for request in chain.proxy.requests if request.operation == "get"} == {f"ds/{name}"}
    assert chain.parts() == []


def test_the_table_is_whole():
    """Each of our errors of a transfer is there, and each row's name once."""
    assert len({row.name for row in TABLE}) == len(TABLE)
    assert {row.error for row in TABLE} == {
        AccessDeniedError,
        ObjectChangedError,
        ObjectNotFoundError,
        RangeNotServedError,
        StorageConnectionError,
        StorageUnavailableError,
        VerificationError,
    }


# Faults of many objects


@pytest.mark.parametrize("verify", ["size", "etag", "sha256"])
def test_a_fifth_of_all_requests_is_refused(chain, verify):
    chain.fill(small=60, large=3)
    generator = random.Random(20)
    slow_down = Answer(503, "SlowDown")
    chain.proxy.script(
        Fault("get", times=None, action=slow_down, when=lambda request: generator.random() < 0.2),
        Fault("list", times=2, action=slow_down),
    )
    ran = chain.run("--verify", verify, fault="503 SlowDown on 20 % of requests")
    assert ran.code == 0
    assert chain.proxy.counts()["get"] > len(chain.files)


@pytest.mark.parametrize("begins", [0, 10, 30])
def test_an_outage_of_a_minute_fails_nobody(chain, begins):
    """All that is asked for until the clock has gone on for sixty seconds is refused."""
    chain.fill(small=40, large=2)
    times = []

    def is_down(request):
        times.append(chain.clock.now)
        return len(times) > begins and chain.clock.now < times[begins] + 60.0

    chain.proxy.script(Fault("get", times=None, action=Answer(503, "ServiceUnavailable"), when=is_down))
    ran = chain.run(fault="outage of 60 s")
    assert ran.code == 0
    assert chain.clock.now > 60.0


@pytest.mark.parametrize("action", [Reset(), Answer(503, "ServiceUnavailable")], ids=["reset", "503"])
@pytest.mark.parametrize("served", [0, 15])
def test_a_server_that_is_dead_for_ever_ends_the_run(chain, action, served):
    chain.fill(small=60, large=2)
    chain.proxy.script(Fault("get", times=None, skip=served, action=action))
    ran = chain.run(fault="dead server")
    assert ran.code == 1
    assert ran.report["failed"] >= len(chain.files) - served
    asked = sum(entry["attempts"] for entry in ran.failed.values())
    # As many as fit into two minutes of waiting that the threads share here, and one of each after that.
    assert chain.proxy.counts()["get"] < asked + 200 < 1000
    spared = [entry["reason"] for entry in ran.failed.values() if entry["attempts"] == 0]
    assert all("served nobody for 120 s" in reason for reason in spared)
    chain.proxy.reset()
    assert chain.run().code == 0


def test_credentials_that_expire_during_the_run(chain, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    chain.proxy.script(Fault("get", times=None, skip=5, action=Answer(400, "ExpiredToken")))
    ran = chain.run("--sign", fault="credentials expire during the run")
    assert ran.code == 1
    assert all(request.is_signed for request in chain.proxy.requests)
    assert all("session token has expired; get new credentials" in entry["reason"] for entry in ran.failed.values())
    assert {entry["attempts"] for entry in ran.failed.values()} == {1}
    assert chain.clock.waits == []
    chain.proxy.reset()
    monkeypatch.setenv("AWS_SESSION_TOKEN", "new")
    assert chain.run("--sign").code == 0


# Objects that change while they are fetched


@kinds
def test_an_object_that_is_deleted_after_the_listing(chain, kind):
    name = getattr(chain, kind)
    chain.proxy.script(Fault("get", times=1, action=Call(lambda: chain.remove(name)), when=lambda r: r.key[3:] == name))
    ran = chain.run(fault="object deleted after the listing")
    assert (ran.code, set(ran.failed)) == (1, {name})
    assert "no such object" in ran.failed[name]["reason"]
    # Pieces that were under way at that moment may break off.
    assert ran.failed[name]["attempts"] == 1 or kind == "large"


@pytest.mark.parametrize("after", [0, 1, 5, 10])
def test_an_object_that_is_replaced_between_two_ranges(chain, after):
    """The pieces that came before are of no use, and none of their bytes is left."""
    name = chain.large
    new = chain.files[name][::-1]
    chain.proxy.script(Fault("get", f"ds/{name}", skip=after, action=Call(lambda: chain.put(name, new))))
    ran = chain.run("--verify", "size", fault="object replaced between two ranges")
    assert ran.code == 0
    assert chain.proxy.counts()["head"] == 1, "it is looked at once"
    matches = {request.if_match for request in chain.proxy.requests if request.key == f"ds/{name}" and request.range}
    assert len(matches) == 2


@kinds
def test_an_object_that_was_replaced_since_the_listing(chain, kind):
    name = getattr(chain, kind)
    new = chain.files[name] + b"more"
    chain.proxy.script(Fault("get", f"ds/{name}", action=Call(lambda: chain.put(name, new))))
    ran = chain.run("--verify", "size", fault="object replaced since the listing")
    assert (ran.code, ran.report["bytes"]) == (0, sum(map(len, chain.files.values())))


@pytest.mark.parametrize("verify", ["size", "etag"])
@kinds
def test_an_object_that_is_replaced_again_and_again(chain, kind, verify):
    name = getattr(chain, kind)
    versions = iter(random.Random(seed).randbytes(len(chain.files[name])) for seed in range(5000, 6000))
    chain.proxy.script(Fault("get", f"ds/{name}", times=None, action=Call(lambda: chain.put(name, next(versions)))))
    ran = chain.run("--verify", verify, fault="object replaced again and again")
    assert (ran.code, set(ran.failed)) == (1, {name})
    assert "has changed since it was listed" in ran.failed[name]["reason"]
    # The server is no S3: a piece that is sent while the object is replaced may break off, or be of both.
    assert ran.failed[name]["attempts"] == 2 or kind == "large"
    chain.proxy.reset()
    assert chain.run().code == 0
    assert chain.parts() == []


# Where the bucket is, and how objects are stored


def test_a_bucket_in_another_region(chain, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    chain.proxy.region = "eu-west-1"
    ran = chain.run("--sign", "--region", "us-east-1", fault="region redirect")
    assert ran.code == 0
    assert isinstance(chain.proxy.requests[0].action, Redirect)
    assert all(request.region == "eu-west-1" for request in chain.proxy.requests if request.operation == "get")


def test_a_bucket_that_moves_during_the_run(chain, monkeypatch):
    """A redirect in the middle of it, for small objects and for ranges."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")

    def move():
        chain.proxy.region = "eu-west-1"

    chain.proxy.script(Fault("get", skip=3, action=Call(move)))
    ran = chain.run("--sign", "--region", "us-east-1", fault="region redirect during the run")
    assert ran.code == 0


@pytest.mark.parametrize("stored", ["gzip", "plain"])
def test_an_object_that_says_it_is_compressed_is_stored_as_it_is(moto_chain, stored):
    """Content-Encoding: gzip. What is on disk is what is in the bucket: its size and ETag are of that."""
    chain = moto_chain
    for name, size in (("sub-1/sub-1_T1w.nii.gz", chain.LARGE), ("sub-1/sub-1_T1w.json", chain.SMALL), ("README", 0)):
        plain = random.Random(size).randbytes(size)
        data = gzip.compress(plain, mtime=0) if stored == "gzip" else plain
        chain.put(name, data, ContentEncoding="gzip")
    ran = chain.run(fault="Content-Encoding: gzip")
    assert (ran.code, ran.report["bytes"]) == (0, sum(map(len, chain.files.values())))
    assert len([request for request in chain.proxy.requests if request.range]) > 10, "the large one came in pieces"
    with S3Storage(S3Params(chain.bucket, chain.proxy.url, anon=True)) as storage:
        name = "sub-1/sub-1_T1w.json"
        assert storage.read(f"ds/{name}") == chain.files[name]
        assert b"".join(storage.stream(f"ds/{name}", 100)) == chain.files[name][100:], "by boto3"

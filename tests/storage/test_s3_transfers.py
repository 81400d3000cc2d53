"""What goes over the wire when large objects travel, and what happens when it breaks."""

import json
import os
from types import SimpleNamespace

import pytest

from s3bids.errors import (
    AccessDeniedError,
    ConfigError,
    ObjectChangedError,
    StorageConnectionError,
    StorageError,
    StorageUnavailableError,
)
from s3bids.storage import S3Params, S3Storage, register_audit_callback, unregister_audit_callback
from s3bids.testing.faults import Answer, Cut, Fault, Page, Proxy, Reset, Short, Whole

MIB = 1024 * 1024
DATA = os.urandom(5 * MIB + 1000)
#: Two ranges and a rest; on the way up a part of the least size and a rest.
IN_PARTS = SimpleNamespace(multipart_threshold=MIB, multipart_chunksize=2 * MIB, max_concurrency=2)

pytestmark = pytest.mark.usefixtures("no_backoff")


@pytest.fixture
def proxy(moto):
    with Proxy(moto.url) as proxy:
        yield proxy


@pytest.fixture
def client(moto):
    client = moto.boto3_client()
    yield client
    client.close()


@pytest.fixture
def storage(proxy, client, bucket_name):
    client.create_bucket(Bucket=bucket_name)
    client.put_object(Bucket=bucket_name, Key="large", Body=DATA)
    with S3Storage(S3Params(bucket_name, proxy.url, "testing", "secret", "us-east-1")) as storage:
        yield storage


def gets(proxy):
    """Give the ranges asked for, the whole object first."""
    return sorted((request.range or "", bool(request.if_match)) for request in proxy.requests)


def unfinished(client, bucket):
    return client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])


def test_a_small_object_is_one_request_by_every_method(storage, proxy, client):
    for key, data in {"small": b"0123456789", "empty": b""}.items():
        client.put_object(Bucket=storage.bucket, Key=key, Body=data)
        for method in (None, "simple", "transfer"):
            proxy.reset()
            assert storage.read(key, method=method) == data
            assert [request.method for request in proxy.requests] == ["GET"]


def test_a_large_object_is_one_request_or_a_request_for_each_part(storage, proxy):
    assert storage.read("large", method="simple", transfer_config=IN_PARTS) == DATA
    assert gets(proxy) == [("", False)]
    proxy.reset()
    assert storage.read("large", method="transfer", transfer_config=IN_PARTS) == DATA
    ranges = [(f"bytes={2 * MIB}-{4 * MIB - 1}", True), (f"bytes={4 * MIB}-{len(DATA) - 1}", True)]
    assert gets(proxy) == [("", False), *ranges]


def test_a_download_asks_for_parts_and_never_for_what_is_there(storage, proxy, tmp_path):
    storage.download("large", tmp_path / "x", transfer_config=IN_PARTS)
    assert len(proxy.requests) == 3
    assert (tmp_path / "x").read_bytes() == DATA
    storage.download("large", tmp_path / "x", overwrite=False)
    assert len(proxy.requests) == 3


@pytest.mark.parametrize("method", ["simple", "transfer"])
@pytest.mark.parametrize("action", [Cut(100_000), Reset()], ids=["cut", "reset"])
def test_bytes_that_break_off_are_asked_for_from_there_on(storage, proxy, method, action):
    told = []
    proxy.script(Fault("get", "large", times=2, action=action))
    data = storage.read("large", method=method, transfer_config=IN_PARTS, progress_callback=lambda *c: told.append(c))
    assert data == DATA
    assert proxy.unused() == []
    assert told == sorted(told)
    assert told[-1] == (len(DATA), len(DATA))
    if isinstance(action, Cut):
        again = [request for request in proxy.requests if request.range and int(request.range[6:].split("-")[0]) % MIB]
        assert len(again) == 2, "a further request begins where the last one broke"


@pytest.mark.parametrize("method", ["simple", "transfer"])
def test_bytes_that_always_break_off_are_an_error_in_the_end(storage, proxy, tmp_path, method):
    proxy.script(Fault("get", "large", times=None, action=Cut(0)))
    requests = []
    for attempts in (1, 3):
        config = SimpleNamespace(**vars(IN_PARTS), num_download_attempts=attempts, use_threads=False)
        with pytest.raises(StorageConnectionError, match="large"):
            storage.read("large", method=method, transfer_config=config)
        requests.append(len(proxy.requests) - sum(requests))
    # In each attempt obstore goes on by itself a few times.
    assert requests == [5, 15]
    with pytest.raises(StorageConnectionError, match="large"):
        storage.download("large", tmp_path / "new" / "x", transfer_config=config)
    assert list(tmp_path.iterdir()) == []


def test_a_part_that_is_short_is_asked_for_again(storage, proxy):
    proxy.script(Fault("get", "large", skip=1, times=1, action=Short(1000)))
    assert storage.read("large", method="transfer", transfer_config=IN_PARTS) == DATA
    assert len(proxy.requests) == 4
    proxy.script(Fault("get", "large", skip=1, times=None, action=Short(0)))
    with pytest.raises(StorageConnectionError, match=r"large: .* bytes"):
        storage.read("large", method="transfer", transfer_config=IN_PARTS)


def test_a_server_that_sends_no_parts_is_asked_for_the_whole_again(storage, proxy, tmp_path):
    """And not for the whole in the place of each part."""
    told = []
    proxy.script(Fault("get", "large", times=None, action=Whole()))
    config = SimpleNamespace(**vars(IN_PARTS), use_threads=False)
    data = storage.read("large", method="transfer", transfer_config=config, progress_callback=lambda *c: told.append(c))
    assert data == DATA
    # The one range by obstore, which refuses the answer, and by boto3, which can say what it is.
    assert gets(proxy) == [("", False), ("", True), *[(f"bytes={2 * MIB}-{4 * MIB - 1}", True)] * 2]
    assert told == sorted(told)
    assert told[-1] == (len(DATA), len(DATA))
    storage.download("large", tmp_path / "x", transfer_config=IN_PARTS)
    assert (tmp_path / "x").read_bytes() == DATA


@pytest.mark.parametrize("method", ["simple", "transfer"])
def test_an_object_that_changes_meanwhile_is_no_mixture(storage, proxy, client, tmp_path, method):
    def change(done, total):
        client.put_object(Bucket=storage.bucket, Key="large", Body=DATA[::-1])

    config = SimpleNamespace(**vars(IN_PARTS), use_threads=False)
    proxy.script(Fault("get", "large", action=Cut(2 * MIB + 5)))
    with pytest.raises(ObjectChangedError, match="large"):
        storage.read("large", method=method, transfer_config=config, progress_callback=change)
    with pytest.raises(ObjectChangedError, match="large"):
        proxy.script(Fault("get", "large", action=Cut(2 * MIB + 5)))
        client.put_object(Bucket=storage.bucket, Key="large", Body=DATA)
        storage.download("large", tmp_path / "x", transfer_config=config, progress_callback=change)
    assert list(tmp_path.iterdir()) == []


def test_large_data_go_in_parts_that_s3_takes(storage, proxy, client):
    storage.write("up", DATA, method="transfer", transfer_config=IN_PARTS)
    assert [request.method for request in proxy.requests] == ["POST", "PUT", "PUT", "POST"]
    assert client.get_object(Bucket=storage.bucket, Key="up")["Body"].read() == DATA
    assert storage.head("up").etag.endswith("-2")
    proxy.reset()
    storage.write("up", DATA, method="simple", transfer_config=IN_PARTS)
    assert [request.method for request in proxy.requests] == ["PUT"]
    assert len(storage.head("up").etag) == 32
    proxy.reset()
    storage.write("up", DATA)
    assert [request.method for request in proxy.requests] == ["PUT"], "below the default threshold of 8 MiB"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(403, "AccessDenied"), AccessDeniedError),
        (Answer(503, "SlowDown"), StorageUnavailableError),
        (Answer(400, "EntityTooSmall"), StorageError),
    ],
    ids=["denied", "slow down", "refused"],
)
def test_a_failed_part_leaves_the_old_object_and_no_parts(storage, proxy, client, tmp_path, answer, error):
    (tmp_path / "x").write_bytes(DATA)
    client.put_object(Bucket=storage.bucket, Key="up", Body=b"old")
    proxy.script(Fault("put", "up", skip=1, times=None, action=answer))
    with pytest.raises(error, match=f"{storage.bucket}/up"):
        storage.write("up", DATA, method="transfer", transfer_config=IN_PARTS)
    with pytest.raises(error, match=f"{storage.bucket}/up"):
        storage.upload(tmp_path / "x", "up", transfer_config=IN_PARTS)
    assert unfinished(client, storage.bucket) == []
    assert client.get_object(Bucket=storage.bucket, Key="up")["Body"].read() == b"old"


def test_an_abort_that_fails_hides_no_error(storage, proxy, caplog):
    proxy.script(Fault("put", "up", times=None, action=Answer(403, "AccessDenied", "the first error")))
    proxy.script(Fault("other", "up", skip=1, times=None, action=Answer(403, "AccessDenied", "the second")))
    with pytest.raises(AccessDeniedError):
        storage.write("up", DATA, method="transfer", transfer_config=IN_PARTS)
    assert "may remain" in caplog.text


def test_a_part_that_breaks_off_is_sent_again(storage, proxy, client):
    proxy.script(Fault("put", "up", times=2, action=Reset()))
    storage.write("up", memoryview(DATA), method="transfer", transfer_config=IN_PARTS)
    storage.write("whole", memoryview(DATA), method="simple")
    assert proxy.unused() == []
    for key in ("up", "whole"):
        assert client.get_object(Bucket=storage.bucket, Key=key)["Body"].read() == DATA


def test_parts_have_checksums_where_the_client_sends_them(moto, storage, client, monkeypatch):
    """Without an endpoint in the parameters boto3 takes it for AWS, which wants the checksum of each part repeated."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto.url)
    with S3Storage(S3Params(storage.bucket, None, "testing", "secret", "us-east-1")) as aws:
        assert aws.client.meta.config.request_checksum_calculation == "when_supported"
        aws.write("up", DATA, method="transfer", transfer_config=IN_PARTS)
        aws.write("small", memoryview(b"0123"))
        aws.write("whole", memoryview(DATA), method="simple")
    assert client.get_object(Bucket=storage.bucket, Key="up")["Body"].read() == DATA
    assert client.get_object(Bucket=storage.bucket, Key="small")["Body"].read() == b"0123"
    assert client.get_object(Bucket=storage.bucket, Key="whole")["Body"].read() == DATA


def test_the_chooser_learns_from_objects_that_make_a_difference(storage):
    storage.write("small", b"0123456789")
    storage.read("small")
    assert storage.chooser.history("download", "transfer") == []
    storage.read("large", transfer_config=IN_PARTS)
    assert len(storage.chooser.history("download", "transfer")) == 1
    storage.read("large", transfer_config=IN_PARTS)
    assert len(storage.chooser.history("download", "simple")) == 1
    storage.write("up", DATA, transfer_config=IN_PARTS)
    assert len(storage.chooser.history("upload", "transfer")) == 1


def test_a_choice_can_be_overridden(storage, proxy):
    storage.chooser.override("download", "simple")
    for _ in range(2):
        proxy.reset()
        storage.read("large", transfer_config=IN_PARTS)
        assert len(proxy.requests) == 1


# A client that was given

USES = {
    "list": lambda storage: [entry.key for entry in storage.list()] == ["large"],
    "list a prefix": lambda storage: list(storage.list("large")) == [],
    "children": lambda storage: storage.children()[0] == [],
    "head": lambda storage: storage.head("large").size == len(DATA),
    "read": lambda storage: storage.read("large") == DATA,
    "read in parts": lambda storage: storage.read("large", method="transfer", transfer_config=IN_PARTS) == DATA,
    "read a range": lambda storage: storage.read("large", 2, 4) == DATA[2:4],
    "stream": lambda storage: b"".join(storage.stream("large")) == DATA,
    "stream from an offset": lambda storage: b"".join(storage.stream("large", 7)) == DATA[7:],
    "write": lambda storage: storage.write("up", DATA, transfer_config=IN_PARTS) == "up",
    "delete": lambda storage: storage.delete("large") == ["large"],
    "delete all below": lambda storage: storage.delete("", recursive=True, force=True) == ["large"],
    "create the bucket": lambda storage: storage.create_bucket(),
}


@pytest.mark.parametrize("name", USES)
def test_a_client_that_was_given_carries_every_request(storage, client, name):
    """It may have credentials, an endpoint or settings that the parameters do not name."""
    elsewhere = S3Params(storage.bucket, "http://127.0.0.1:9", "wrong", "wrong", "us-east-1")
    with S3Storage(elsewhere, client=client) as given:
        assert USES[name](given)
    assert client.list_buckets()["Buckets"], "closing the storage leaves the client open"


# Buckets


def test_arguments_reach_the_requests_of_a_new_bucket(storage, client, bucket_name):
    name = f"{bucket_name}-new"
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{name}/*"}
        ],
    }
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    made = storage.create_bucket(
        name,
        create_args={"ObjectLockEnabledForBucket": True},
        bucket_encryption_args={"ServerSideEncryptionConfiguration": {"Rules": [rule]}},
        block_bucket_public_access_args={"PublicAccessBlockConfiguration": {"BlockPublicAcls": True}},
        bucket_policy_args={"Policy": json.dumps(policy)},
    )
    assert made is True
    encryption = client.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"]
    assert encryption[0]["ApplyServerSideEncryptionByDefault"] == rule["ApplyServerSideEncryptionByDefault"]
    assert client.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"]["BlockPublicAcls"] is True
    assert json.loads(client.get_bucket_policy(Bucket=name)["Policy"]) == policy
    assert client.get_object_lock_configuration(Bucket=name)["ObjectLockConfiguration"]["ObjectLockEnabled"]


def test_an_error_of_the_policy_is_raised(storage, proxy, bucket_name):
    proxy.script(Fault("other", skip=1, action=Answer(400, "MalformedPolicy")))
    with pytest.raises(StorageError, match=f"put bucket policy of s3://{bucket_name}-new"):
        storage.create_bucket(f"{bucket_name}-new", bucket_policy_args={"Policy": "{no policy"})
    with pytest.raises(ConfigError, match="Unknown"):
        storage.create_bucket(f"{bucket_name}-other", create_args={"Colour": "red"})


def test_a_name_of_somebody_else_is_not_ours(storage, proxy):
    proxy.script(Fault("other", action=Answer(409, "BucketAlreadyExists")))
    assert storage.create_bucket("somebody-elses", bucket_policy_args={"Policy": "not sent"}) is False
    proxy.script(Fault("other", action=Answer(409, "BucketAlreadyExists")))
    assert storage.create_bucket() is True, "some servers answer so for a bucket of one's own"
    proxy.script(Fault("other", action=Answer(403, "AccessDenied")))
    with pytest.raises(AccessDeniedError, match="s3://no-rights"):
        storage.create_bucket("no-rights")


# Deletes


def test_a_key_that_could_not_be_deleted_is_named(storage, proxy, client):
    for key in ("ds/a", "ds/b", "ds/c"):
        client.put_object(Bucket=storage.bucket, Key=key, Body=b"1")
    failure = "<Error><Key>ds/b</Key><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
    proxy.script(Fault("delete", action=Page(f"<DeleteResult>{failure}</DeleteResult>")))
    events = []

    def remember(*event):
        events.append(event)

    register_audit_callback(remember)
    try:
        with pytest.raises(AccessDeniedError, match="ds/b"):
            storage.delete("ds", recursive=True)
    finally:
        unregister_audit_callback(remember)
    assert [event[2] for event in events] == ["ds/a", "ds/c"]

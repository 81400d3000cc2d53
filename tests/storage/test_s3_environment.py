"""What the environment may say to a storage on S3, and what it may not."""

import shutil
import socket
from dataclasses import replace

import pytest

from s3bids.errors import AccessDeniedError, BucketNotFoundError, StorageConnectionError
from s3bids.storage import LocalFSParams, S3Params, S3Storage, get_default_params, get_storage
from s3bids.storage.params import DEFAULT_BUCKET, DEFAULT_USER
from s3bids.testing.faults import Answer, Fault, Proxy
from s3bids.testing.servers import rclone_server

pytestmark = pytest.mark.usefixtures("no_backoff")

NOWHERE = "http://127.0.0.1:9"

#: Variables that boto3 or obstore would follow, each to a place where nothing works.
MISLEADING = {
    "AWS_ACCESS_KEY_ID": "bogus",
    "AWS_SECRET_ACCESS_KEY": "bogus-secret",
    "AWS_SESSION_TOKEN": "bogus-token",
    "AWS_PROFILE": "none-such",
    "AWS_REGION": "mars-north-1",
    "AWS_DEFAULT_REGION": "mars-south-1",
    "AWS_ENDPOINT_URL": NOWHERE,
    "AWS_ENDPOINT_URL_S3": NOWHERE,
    "AWS_ENDPOINT": NOWHERE,
    "AWS_BUCKET": "another-bucket",
    "AWS_SKIP_SIGNATURE": "false",
    "AWS_S3_EXPRESS": "true",
    "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "true",
    "AWS_REQUEST_PAYER": "true",
    "AWS_UNSIGNED_PAYLOAD": "true",
    "AWS_S3_US_EAST_1_REGIONAL_ENDPOINT": "legacy",
    "AWS_USE_DUALSTACK_ENDPOINT": "true",
    "AWS_USE_FIPS_ENDPOINT": "true",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI": NOWHERE,
    "AWS_WEB_IDENTITY_TOKEN_FILE": "/none/such",
    "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/none",
    "S3_URL": NOWHERE,
    "S3_DEFAULT_BUCKET": "another-bucket",
    "LOCAL_FS": "1",
    "LOCAL_FS_ROOT_DIR": "/none/such",
}

#: Every kind of request, by obstore and by boto3.
USES = {
    "list": lambda storage: list(storage.list()),
    "list by text": lambda storage: list(storage.list("d", literal=True)),
    "children": lambda storage: storage.children(),
    "head": lambda storage: storage.head("ds/x"),
    "read": lambda storage: storage.read("ds/x"),
    "read a range": lambda storage: storage.read("ds/x", 2, 4),
    "stream": lambda storage: list(storage.stream("ds/x")),
    "stream from an offset": lambda storage: list(storage.stream("ds/x", 2)),
    "write": lambda storage: storage.write("ds/y", b"1"),
    "delete": lambda storage: storage.delete("ds/x"),
    "delete all below": lambda storage: storage.delete("ds", recursive=True),
}


@pytest.fixture
def use(request):
    return USES[request.param]


all_uses = pytest.mark.parametrize("use", USES, indirect=True)
#: One by obstore and one by boto3.
both_uses = pytest.mark.parametrize("use", ["read", "write"], indirect=True)


@pytest.fixture
def misleading(monkeypatch):
    for name, value in MISLEADING.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def filled(rclone, bucket_name):
    """A bucket with the object ds/x on a server that takes requests with and without a signature."""
    fill(rclone, bucket_name)
    return bucket_name


@pytest.fixture
def proxy(rclone):
    with Proxy(rclone.url) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A server that takes signed requests only."""
    with rclone_server(tmp_path_factory.mktemp("guarded"), auth=("access-key", "secret-key")) as server:
        yield server


@pytest.fixture
def guarded_params(guarded, bucket_name):
    fill(guarded, bucket_name)
    return S3Params(bucket_name, guarded.url, "access-key", "secret-key")


def fill(server, bucket):
    path = server.root / bucket / "ds" / "x"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"0123456789")
    server.refresh()


@all_uses
@pytest.mark.usefixtures("misleading")
def test_an_anonymous_storage_signs_nothing_whatever_the_environment_says(proxy, filled, use):
    with S3Storage(S3Params(filled, proxy.url, anon=True)) as storage:
        assert use(storage)
    assert proxy.requests
    assert {(request.bucket, request.is_signed) for request in proxy.requests} == {(filled, False)}


@all_uses
@pytest.mark.usefixtures("misleading")
def test_explicit_parameters_win_over_the_environment(guarded_params, use):
    with S3Storage(guarded_params) as storage:
        assert use(storage)


@both_uses
def test_credentials_come_from_the_environment(guarded_params, monkeypatch, use):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "access-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-key")
    with S3Storage(S3Params(guarded_params.bucket_name, guarded_params.endpoint_url)) as storage:
        assert use(storage)


@pytest.fixture
def lab_profile(monkeypatch, tmp_path):
    """A profile of the AWS files beside a default one that does not work."""
    file = tmp_path / "credentials"
    file.write_text(
        "[default]\naws_access_key_id = bogus\naws_secret_access_key = bogus\n"
        "[lab]\naws_access_key_id = access-key\naws_secret_access_key = secret-key\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))


@both_uses
@pytest.mark.usefixtures("lab_profile")
@pytest.mark.parametrize(("argument", "variable"), [("lab", None), ("lab", "none-such"), (None, "lab")])
def test_credentials_come_from_a_profile(guarded_params, monkeypatch, use, argument, variable):
    if variable:
        monkeypatch.setenv("AWS_PROFILE", variable)
    bucket, url = guarded_params.bucket_name, guarded_params.endpoint_url
    with S3Storage(S3Params(bucket, url, profile_name=argument)) as storage:
        assert use(storage)


@both_uses
@pytest.mark.usefixtures("lab_profile")
@pytest.mark.parametrize(("argument", "variable"), [("none-such", None), ("none-such", "lab"), (None, "none-such")])
def test_an_unknown_profile_is_named(guarded_params, monkeypatch, use, argument, variable):
    if variable:
        monkeypatch.setenv("AWS_PROFILE", variable)
    bucket, url = guarded_params.bucket_name, guarded_params.endpoint_url
    storage = S3Storage(S3Params(bucket, url, profile_name=argument))
    with storage, pytest.raises(ValueError, match="profile 'none-such'"):
        use(storage)


@all_uses
def test_missing_credentials_are_named(filled, rclone, use):
    with S3Storage(S3Params(filled, rclone.url)) as storage, pytest.raises(AccessDeniedError) as caught:
        use(storage)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "anon"):
        assert name in str(caught.value)


@all_uses
@pytest.mark.parametrize(("key", "secret"), [("other-key", "secret-key"), ("access-key", "wrong-secret")])
def test_wrong_credentials_are_denied(guarded_params, use, key, secret):
    params = replace(guarded_params, aws_access_key_id=key, aws_secret_access_key=secret)
    with S3Storage(params) as storage, pytest.raises(AccessDeniedError, match=params.bucket_name):
        use(storage)


@all_uses
def test_a_private_bucket_is_not_a_missing_one(proxy, filled, use):
    proxy.script(Fault("*", times=None, action=Answer(403, "AccessDenied")))
    with S3Storage(S3Params(filled, proxy.url, anon=True)) as storage, pytest.raises(AccessDeniedError, match=filled):
        use(storage)


@pytest.fixture
def closed_endpoint():
    """An address that nothing else can take, and where no one listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@both_uses
@pytest.mark.parametrize("anon", [True, False])
def test_an_endpoint_that_does_not_answer_is_named(closed_endpoint, use, anon):
    keys = {} if anon else {"aws_access_key_id": "any-key", "aws_secret_access_key": "any-secret"}
    storage = S3Storage(S3Params("bucket", closed_endpoint, anon=anon, **keys))
    with storage, pytest.raises(StorageConnectionError) as caught:
        use(storage)
    assert closed_endpoint in str(caught.value)


KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
LOCAL = {"LOCAL_FS": "1", "LOCAL_FS_ROOT_DIR": "/data"}
PLAIN = S3Params("default-bucket")
SESSION = "a-token"
SIGNED = S3Params("default-bucket", None, "key", "secret")


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, PLAIN),
        ({"LOCAL_FS": "0"}, PLAIN),
        ({"LOCAL_FS": "", "S3_DEFAULT_BUCKET": "", "S3_URL": "", "AWS_PROFILE": "", "AWS_REGION": ""}, PLAIN),
        ({"LOCAL_FS_ROOT_DIR": "/data", "VIRT_S3_DEBUG": "1"}, PLAIN),
        ({"S3_DEFAULT_BUCKET": "mine"}, S3Params("mine")),
        ({"S3_URL": "https://s3.lab.org:9000"}, replace(PLAIN, endpoint_url="https://s3.lab.org:9000")),
        ({"AWS_ENDPOINT_URL": "http://a"}, replace(PLAIN, endpoint_url="http://a")),
        ({"AWS_ENDPOINT_URL": "http://a", "AWS_ENDPOINT_URL_S3": "http://b"}, replace(PLAIN, endpoint_url="http://b")),
        ({"AWS_ENDPOINT_URL_S3": "http://b", "S3_URL": "http://c"}, replace(PLAIN, endpoint_url="http://c")),
        (KEYS, SIGNED),
        ({**KEYS, "AWS_PROFILE": "lab"}, SIGNED),
        ({**KEYS, "AWS_SESSION_TOKEN": SESSION}, replace(SIGNED, aws_session_token=SESSION)),
        ({"AWS_PROFILE": "lab", "AWS_SESSION_TOKEN": "token"}, replace(PLAIN, profile_name="lab")),
        ({"AWS_DEFAULT_REGION": "eu-west-1"}, replace(PLAIN, region_name="eu-west-1")),
        ({"AWS_DEFAULT_REGION": "eu-west-1", "AWS_REGION": "eu-west-2"}, replace(PLAIN, region_name="eu-west-2")),
        (LOCAL, LocalFSParams(True, "/data", DEFAULT_USER, "default-bucket")),
        (
            {**LOCAL, "LOCAL_FS_USER": "me@lab.org", "S3_DEFAULT_BUCKET": "mine", "S3_URL": "http://c"},
            LocalFSParams(True, "/data", "me@lab.org", "mine"),
        ),
    ],
    ids=lambda value: " ".join(value) or "empty" if isinstance(value, dict) else "",
)
def test_the_environment_gives_the_default_parameters(monkeypatch, environment, expected):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert get_default_params() == expected


@pytest.mark.parametrize("switch", ["", "0", "1"])
def test_an_argument_wins_over_the_switch(monkeypatch, switch):
    monkeypatch.setenv("LOCAL_FS", switch)
    monkeypatch.setenv("LOCAL_FS_ROOT_DIR", "/data")
    assert isinstance(get_default_params(use_local=True), LocalFSParams)
    assert isinstance(get_default_params(use_s3=True), S3Params)


@pytest.mark.parametrize(
    ("environment", "arguments", "named"),
    [
        ({}, {"use_local": True, "use_s3": True}, "use_local and use_s3"),
        ({"LOCAL_FS": "yes"}, {}, "LOCAL_FS is 'yes'; set it to 1 .* or 0"),
        ({"LOCAL_FS": "1"}, {}, "LOCAL_FS_ROOT_DIR"),
        ({}, {"use_local": True}, "LOCAL_FS_ROOT_DIR"),
        ({"S3_URL": "lab.org:9000"}, {}, "S3_URL"),
        ({"S3_URL": "ftp://lab.org"}, {}, "S3_URL"),
        ({"AWS_ENDPOINT_URL": "lab.org"}, {}, "AWS_ENDPOINT_URL"),
        ({"AWS_ACCESS_KEY_ID": "key"}, {}, "without AWS_SECRET_ACCESS_KEY"),
        ({"AWS_SECRET_ACCESS_KEY": "secret"}, {}, "without AWS_ACCESS_KEY_ID"),
    ],
)
def test_a_wrong_variable_is_named(monkeypatch, environment, arguments, named):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=named):
        get_default_params(**arguments)


@pytest.mark.parametrize(
    ("environment", "region"),
    [({}, "us-east-1"), ({"AWS_DEFAULT_REGION": "eu-west-1"}, "eu-west-1"), ({"AWS_REGION": "eu-west-2"}, "eu-west-2")],
    ids=str,
)
def test_the_client_has_the_region_of_the_environment(monkeypatch, environment, region):
    for name, value in {**KEYS, **environment}.items():
        monkeypatch.setenv(name, value)
    with S3Storage(get_default_params()) as storage:
        assert storage.client.meta.region_name == region


@pytest.mark.parametrize("backend", ["s3", "local"])
def test_a_missing_default_bucket_is_traced_to_its_variable(monkeypatch, rclone, tmp_path, backend):
    settings = {"LOCAL_FS": "1", "LOCAL_FS_ROOT_DIR": str(tmp_path)} if backend == "local" else KEYS
    for name, value in {**settings, "S3_URL": rclone.url}.items():
        monkeypatch.setenv(name, value)
    # An example of the documentation makes it, if that was run before.
    shutil.rmtree(rclone.root / DEFAULT_BUCKET, ignore_errors=True)
    rclone.refresh()
    with get_storage() as storage, pytest.raises(BucketNotFoundError, match="S3_DEFAULT_BUCKET is not set"):
        list(storage.list())


@pytest.mark.parametrize("named", [True, False])
def test_a_missing_root_directory_is_named(monkeypatch, tmp_path, named):
    monkeypatch.setenv("LOCAL_FS", "1")
    monkeypatch.setenv("LOCAL_FS_ROOT_DIR", str(tmp_path / "none"))
    if named:
        monkeypatch.setenv("S3_DEFAULT_BUCKET", "mine")
    storage = get_storage()
    with pytest.raises(BucketNotFoundError, match="LOCAL_FS_ROOT_DIR"):
        list(storage.list())
    assert storage.create_bucket() is True
    assert list(storage.list()) == []

"""Clients that people hold themselves: which credentials they get, and who closes them."""

from __future__ import annotations

import inspect
import sys
from dataclasses import replace
from types import ModuleType
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.config import Config
from botocore.session import Session as CoreSession

from s3bids.errors import ConfigError
from s3bids.storage import (
    LocalFSParams,
    PredictConnectionStoreParams,
    S3Params,
    S3Storage,
    SessionManager,
    get_session_client,
    with_session,
)

URL = "http://127.0.0.1:9"
PARAMS = S3Params("bucket", URL, "key", "secret", "eu-west-3", aws_session_token="token")


@pytest.fixture
def local(tmp_path):
    return LocalFSParams(use_local_fs=True, root_dir=tmp_path, user="someone", bucket_name="bucket")


def identity(client):
    """Tell as whom a client asks, where and in which region: it signs an address without asking anybody."""
    address = urlsplit(client.generate_presigned_url("get_object", {"Bucket": "bucket", "Key": "x"}))
    query = {name.lower(): value for name, [value] in parse_qs(address.query).items()}
    key = query.get("awsaccesskeyid") or query["x-amz-credential"].partition("/")[0]
    return f"{address.scheme}://{address.netloc}", key, query.get("x-amz-security-token"), client.meta.region_name


def asked_as(params=PARAMS, **options):
    return identity(get_session_client(params, **options))


def test_a_client_has_what_the_parameters_say():
    assert asked_as() == (URL, "key", "token", "eu-west-3")


def test_the_local_emulation_has_no_client(local):
    assert get_session_client(local) is None
    assert get_session_client(local, region_name="eu-west-3") is None


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"region_name": "eu-north-1"}, (URL, "key", "token", "eu-north-1")),
        ({"endpoint_url": "http://127.0.0.1:10"}, ("http://127.0.0.1:10", "key", "token", "eu-west-3")),
        ({"aws_access_key_id": "k", "aws_secret_access_key": "s"}, (URL, "k", None, "eu-west-3")),
        (
            {"aws_access_key_id": "k", "aws_secret_access_key": "s", "aws_session_token": "t"},
            (URL, "k", "t", "eu-west-3"),
        ),
    ],
)
def test_a_keyword_takes_the_place_of_a_parameter(options, expected):
    assert asked_as(**options) == expected
    assert asked_as(replace(PARAMS), **options) == expected


def test_keys_win_over_anonymous_parameters():
    anonymous = S3Params("bucket", URL, region_name="eu-west-3", anon=True)
    assert asked_as(anonymous, aws_access_key_id="k", aws_secret_access_key="s")[1] == "k"


def test_half_a_pair_of_keys_is_refused():
    with pytest.raises(ConfigError, match="aws_secret_access_key"):
        get_session_client(PARAMS, aws_access_key_id="k")


def test_the_environment_is_read_without_parameters(monkeypatch, tmp_path):
    for name, value in {
        "S3_URL": URL,
        "AWS_ACCESS_KEY_ID": "env-key",
        "AWS_SECRET_ACCESS_KEY": "env-secret",
        "AWS_SESSION_TOKEN": "env-token",
        "AWS_REGION": "eu-south-2",
    }.items():
        monkeypatch.setenv(name, value)
    assert asked_as(None) == (URL, "env-key", "env-token", "eu-south-2")
    monkeypatch.setenv("LOCAL_FS", "1")
    monkeypatch.setenv("LOCAL_FS_ROOT_DIR", str(tmp_path))
    assert get_session_client() is None


@pytest.fixture
def profiles(monkeypatch, tmp_path):
    """Two profiles, and two connections of a store."""
    path = tmp_path / "credentials"
    path.write_text(
        "[one]\naws_access_key_id = one\naws_secret_access_key = secret\nregion = ap-east-1\n"
        "[two]\naws_access_key_id = two\naws_secret_access_key = secret\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path))
    asked = []

    def get_connection(*, name, connection_owner, user_id):
        asked.append((name, connection_owner, user_id))
        return {
            "aws_access_key_id": "stored",
            "aws_secret_access_key": "secret",
            "aws_session_token": "stored-token",
            "region_name": "sa-east-1",
            "endpoint_url": "http://127.0.0.1:11",
        }

    names = ("predict_backend", "predict_backend.store", "predict_backend.store.connection_store")
    for name in (*names, f"{names[-1]}.connection_store"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    store = sys.modules[f"{names[-1]}.connection_store"]
    store.get_connection = get_connection
    monkeypatch.setattr(sys.modules[names[-1]], "connection_store", store, raising=False)
    return asked


STORE = PredictConnectionStoreParams(user_id="someone", store_name="ours", store_owner="owner")


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        (S3Params("bucket", URL, "key", "secret", "eu-west-3", "one", STORE), (URL, "key", None, "eu-west-3")),
        (S3Params("bucket", URL, None, None, None, "one", STORE), (URL, "one", None, "ap-east-1")),
        (S3Params("bucket", URL, None, None, "eu-west-3", "two"), (URL, "two", None, "eu-west-3")),
        (S3Params("bucket", URL, connection_store_params=STORE), (URL, "stored", "stored-token", "sa-east-1")),
        (
            S3Params("bucket", connection_store_params=STORE, region_name="eu-west-3"),
            ("http://127.0.0.1:11", "stored", "stored-token", "eu-west-3"),
        ),
    ],
)
def test_keys_go_before_the_profile_and_that_before_the_connection_store(profiles, params, expected):
    assert asked_as(params) == expected
    assert profiles == ([("ours", "owner", "someone")] if expected[1] == "stored" else [])


def test_a_profile_given_as_keyword_takes_the_place_of_keys(profiles):
    assert asked_as(profile_name="two") == (URL, "two", None, "eu-west-3")


def test_a_connection_store_is_asked_when_a_client_is_made_and_never_passed_over(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "from-the-environment")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    params = S3Params("bucket", URL, connection_store_params=STORE)
    with S3Storage(params) as storage:
        for use in (lambda: storage.client, lambda: storage.read("x")):
            with pytest.raises(ImportError, match="predict_backend"):
                use()
    with pytest.raises(ImportError, match="predict_backend"):
        get_session_client(params)


def test_settings_of_the_client_are_passed_on():
    client = get_session_client(
        PARAMS,
        api_version="2006-03-01",
        use_ssl=False,
        verify=False,
        config=Config(max_pool_connections=7, s3={"addressing_style": "virtual"}),
    )
    config = client.meta.config
    assert config.max_pool_connections == 7
    assert config.s3["addressing_style"] == "virtual"
    assert config.connect_timeout == 10, "what the caller does not say stays as it is for all"
    assert client.meta.service_model.api_version == "2006-03-01"
    assert client._endpoint.http_session._verify is False


def test_a_session_of_botocore_is_used():
    core = CoreSession()
    core.set_credentials("core-key", "core-secret")
    assert asked_as(S3Params("bucket", URL), botocore_session=core)[1] == "core-key"


@pytest.mark.parametrize("wrong", ["bucket", {}, 3])
def test_parameters_of_no_backend_are_refused(wrong):
    for call in (get_session_client, SessionManager):
        with pytest.raises(ValueError, match="params must be"):
            call(wrong)


# Sessions


@pytest.fixture
def closed(monkeypatch):
    """Clients that were closed."""
    found = []

    class Watched:
        def __init__(self, client):
            self.client = client

        def close(self):
            found.append(self)

    make = S3Storage.make_client
    monkeypatch.setattr(S3Storage, "make_client", lambda *given: Watched(make(*given)))
    return found


def test_a_session_gives_a_client_and_closes_it(closed):
    manager = SessionManager(PARAMS, region_name="eu-north-1")
    assert manager.client is None, "nothing is made before the block"
    with manager as client:
        assert identity(client.client)[3] == "eu-north-1"
        assert manager.client is client
        assert closed == []
    assert closed == [client]


def test_a_session_closes_nothing_when_told_or_given(closed):
    with SessionManager(PARAMS, keep_open=True) as kept:
        pass
    with SessionManager(PARAMS, kept) as again:
        assert again is kept
    with SessionManager(params=PARAMS, client=kept, keep_open=False):
        pass
    assert closed == []


def test_a_session_in_the_local_emulation_is_none(local):
    with SessionManager(local) as session:
        assert session is None
    with pytest.raises(ValueError, match="client"):
        SessionManager(local, client=object())


def test_an_error_passes_through_a_session(closed):
    with pytest.raises(ZeroDivisionError), SessionManager(PARAMS):
        raise ZeroDivisionError
    assert len(closed) == 1


def test_a_session_hides_the_secrets_of_its_parameters():
    assert "secret" not in repr(SessionManager(PARAMS)).replace("aws_secret", "")
    assert "token'" not in repr(SessionManager(PARAMS))


def test_a_session_reads_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("LOCAL_FS", "1")
    monkeypatch.setenv("LOCAL_FS_ROOT_DIR", str(tmp_path))
    manager = SessionManager()
    assert manager.params.root_dir == str(tmp_path)


# The decorator


def test_missing_keywords_are_filled_in_for_the_time_of_a_call(closed):
    @with_session
    def use(key, params=None, client=None):
        """Say what it got."""
        assert closed == []
        return key, params, client

    key, params, client = use("x", params=PARAMS)
    assert (key, params) == ("x", PARAMS)
    assert closed == [client]
    assert use.__doc__ == "Say what it got."
    assert list(inspect.signature(use).parameters) == ["key", "params", "client"]


def test_what_is_given_stays(closed):
    @with_session
    def use(key, params=None, client=None):
        return params, client

    given = object()
    assert use("x", PARAMS, given) == (PARAMS, given)
    assert use("x", PARAMS, client=given) == (PARAMS, given)
    assert use("x", client=given, params=PARAMS) == (PARAMS, given)
    assert closed == []


def test_parameters_come_from_the_environment_where_there_are_none(monkeypatch, tmp_path):
    @with_session
    def use(**given):
        return given

    monkeypatch.setenv("LOCAL_FS", "1")
    monkeypatch.setenv("LOCAL_FS_ROOT_DIR", str(tmp_path))
    given = use(other=1)
    assert given["params"].root_dir == str(tmp_path)
    assert (given["client"], given["other"]) == (None, 1)


def test_a_client_is_closed_also_after_an_error(closed):
    @with_session
    def use(params, client):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        use(params=PARAMS)
    assert len(closed) == 1


def test_a_generator_keeps_its_client_to_its_end(closed):
    @with_session
    def use(params, client):
        for number in range(2):
            assert closed == []
            yield number

    assert inspect.isgeneratorfunction(use)
    assert list(use(params=PARAMS)) == [0, 1]
    assert len(closed) == 1


def test_functions_that_it_cannot_serve_are_refused():
    def takes_nothing(key):
        return key

    async def later(params, client):
        return params, client

    with pytest.raises(TypeError, match="takes_nothing"):
        with_session(takes_nothing)
    with pytest.raises(TypeError, match="later"):
        with_session(later)

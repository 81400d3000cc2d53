import pickle

import pytest

from s3bids.errors import ConfigError
from s3bids.storage.params import (
    DEFAULT_BUCKET,
    DEFAULT_USER,
    LocalFSParams,
    S3Params,
    get_default_params,
    is_local_emulation,
    location_params,
    study_params,
    url_params,
)


@pytest.fixture
def environment(monkeypatch):
    def set_all(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_all


KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}


def test_without_any_variable_it_is_s3():
    assert get_default_params() == S3Params(DEFAULT_BUCKET)


@pytest.mark.parametrize(("value", "expected"), [("1", True), ("0", False), ("", False)])
def test_local_emulation_is_switched_on_by_one(environment, value, expected):
    environment(LOCAL_FS=value, LOCAL_FS_ROOT_DIR="/data")
    assert is_local_emulation() is expected
    assert isinstance(get_default_params(), LocalFSParams if expected else S3Params)


@pytest.mark.parametrize("value", ["2", "true", "yes", " 1"])
def test_any_other_value_is_named_with_the_two_that_serve(environment, value):
    environment(LOCAL_FS=value)
    with pytest.raises(ValueError, match=r"LOCAL_FS is .*1 \(local emulation\) or 0 \(S3\)"):
        get_default_params()


def test_the_environment_is_read_at_each_call(environment):
    assert get_default_params().bucket_name == DEFAULT_BUCKET
    environment(S3_DEFAULT_BUCKET="mine")
    assert get_default_params().bucket_name == "mine"


def test_all_variables_of_the_local_emulation(environment):
    environment(LOCAL_FS="1", LOCAL_FS_ROOT_DIR="/data", LOCAL_FS_USER="me", S3_DEFAULT_BUCKET="mine")
    assert get_default_params() == LocalFSParams(use_local_fs=True, root_dir="/data", user="me", bucket_name="mine")


def test_defaults_of_the_local_emulation(environment):
    environment(LOCAL_FS_ROOT_DIR="/data", LOCAL_FS_USER="", S3_DEFAULT_BUCKET="")
    params = get_default_params(use_local=True)
    assert (params.user, params.bucket_name) == (DEFAULT_USER, DEFAULT_BUCKET)


@pytest.mark.parametrize("variables", [{}, {"LOCAL_FS_ROOT_DIR": ""}])
def test_a_missing_root_directory_is_named(environment, variables):
    environment(LOCAL_FS="1", **variables)
    with pytest.raises(ValueError, match="LOCAL_FS_ROOT_DIR is not set"):
        get_default_params()


def test_the_arguments_choose_in_spite_of_the_environment(environment):
    environment(LOCAL_FS="1", LOCAL_FS_ROOT_DIR="/data")
    assert isinstance(get_default_params(use_s3=True), S3Params)
    environment(LOCAL_FS="0")
    assert isinstance(get_default_params(use_local=True), LocalFSParams)
    with pytest.raises(ValueError, match="exclude each other"):
        get_default_params(use_local=True, use_s3=True)


def test_all_variables_of_s3(environment):
    environment(**KEYS, AWS_SESSION_TOKEN="token", AWS_REGION="eu-west-1", S3_URL="https://minio:9000")
    assert get_default_params() == S3Params(
        DEFAULT_BUCKET,
        "https://minio:9000",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
        aws_session_token="token",
        region_name="eu-west-1",
    )


@pytest.mark.parametrize(
    ("variables", "endpoint"),
    [
        ({"AWS_ENDPOINT_URL": "http://a"}, "http://a"),
        ({"AWS_ENDPOINT_URL": "http://a", "AWS_ENDPOINT_URL_S3": "http://b"}, "http://b"),
        ({"AWS_ENDPOINT_URL_S3": "http://b", "S3_URL": "http://c"}, "http://c"),
        ({"AWS_ENDPOINT_URL_S3": "", "AWS_ENDPOINT_URL": "http://a", "S3_URL": ""}, "http://a"),
    ],
)
def test_the_nearest_endpoint_counts(environment, variables, endpoint):
    environment(**variables)
    assert get_default_params().endpoint_url == endpoint


@pytest.mark.parametrize("name", ["S3_URL", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
@pytest.mark.parametrize("value", ["localhost:9000", "s3://bucket", "http://", "minio"])
def test_an_endpoint_that_is_no_address_is_named(environment, name, value):
    environment(**{name: value})
    with pytest.raises(ValueError, match=rf"{name} is '{value}'"):
        get_default_params()


@pytest.mark.parametrize("name", list(KEYS))
def test_one_key_without_the_other_is_named(environment, name):
    environment(**{name: "x"})
    [missing] = KEYS.keys() - {name}
    with pytest.raises(ValueError, match=rf"{name} is given without {missing}"):
        get_default_params()


@pytest.mark.parametrize(
    ("variables", "region"),
    [
        ({}, None),
        ({"AWS_DEFAULT_REGION": "a"}, "a"),
        ({"AWS_DEFAULT_REGION": "a", "AWS_REGION": "b"}, "b"),
        ({"AWS_DEFAULT_REGION": "a", "AWS_REGION": ""}, "a"),
    ],
)
def test_the_region(environment, variables, region):
    environment(**variables)
    assert get_default_params().region_name == region


def test_a_token_without_its_key_and_a_profile_beside_a_key_do_not_count(environment):
    environment(AWS_SESSION_TOKEN="token", AWS_PROFILE="work")
    params = get_default_params()
    assert (params.aws_session_token, params.profile_name) == (None, "work")
    environment(**KEYS)
    params = get_default_params()
    assert (params.aws_session_token, params.profile_name) == ("token", None)


def test_a_study_obeys_the_emulation_and_aws_but_not_the_variables_of_virt_s3(environment):
    environment(S3_URL="http://c", S3_DEFAULT_BUCKET="other", AWS_ENDPOINT_URL="http://a", AWS_REGION="r", **KEYS)
    params = study_params("bucket", anon=False)
    assert (params.bucket_name, params.endpoint_url, params.aws_access_key_id) == ("bucket", "http://a", "key")
    environment(LOCAL_FS="1", LOCAL_FS_ROOT_DIR="/data")
    assert study_params("bucket", anon=False) == LocalFSParams(True, "/data", DEFAULT_USER, "bucket")


def test_an_anonymous_study_looks_up_no_credentials(environment):
    environment(**KEYS, AWS_PROFILE="work", AWS_ENDPOINT_URL="http://a", AWS_REGION="r")
    assert study_params("bucket", anon=True) == S3Params("bucket", "http://a", region_name="r", anon=True)
    environment(AWS_SECRET_ACCESS_KEY="")
    assert study_params("bucket", anon=True).anon


@pytest.mark.parametrize(
    ("url", "bucket", "prefix"),
    [
        ("s3://bucket/a/b", "bucket", "a/b"),
        ("s3://bucket", "bucket", ""),
        ("s3://bucket/", "bucket", ""),
        ("s3://bucket/a b?c#d%20", "bucket", "a b?c#d%20"),
    ],
)
def test_an_address_on_s3(url, bucket, prefix):
    params, found = url_params(url)
    assert (params.bucket_name, found, params.anon) == (bucket, prefix, True)


@pytest.mark.parametrize(
    ("url", "root", "bucket", "prefix"),
    [
        ("file:///data/openneuro/ds1", "/data", "openneuro", "ds1"),
        ("file:///data/openneuro/ds1/", "/data", "openneuro", "ds1"),
        ("file:///openneuro/ds1", "/", "openneuro", "ds1"),
        ("file:///my%20data/openneuro/ds1", "/my data", "openneuro", "ds1"),
    ],
)
def test_an_address_of_a_directory(url, root, bucket, prefix):
    params, found = url_params(url)
    assert (params.root_dir, params.bucket_name, found) == (root, bucket, prefix)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("s3://", "names no bucket"),
        ("s3:///a", "names no bucket"),
        ("file:///x", "too short"),
        ("file://", "too short"),
        ("https://bucket.s3.amazonaws.com/x", "neither"),
        ("hbn-si", "neither"),
        ("", "neither"),
    ],
)
def test_an_address_of_another_kind_is_refused(url, text):
    with pytest.raises(ConfigError, match=text):
        url_params(url)


def test_the_options_of_an_address(environment):
    environment(**KEYS, AWS_REGION="r", AWS_ENDPOINT_URL="http://a")
    signed, _ = url_params("s3://b/x", anon=False)
    assert (signed.anon, signed.aws_access_key_id, signed.endpoint_url, signed.region_name) == (
        False,
        "key",
        "http://a",
        "r",
    )
    chosen, _ = url_params("s3://b/x", anon=False, endpoint_url="http://e", region="q", profile="p", request_payer=True)
    assert chosen == S3Params("b", "http://e", region_name="q", profile_name="p", request_payer=True)


def test_secrets_are_not_shown():
    params = S3Params("b", aws_access_key_id="AKIA", aws_secret_access_key="sssh", aws_session_token="ttt")
    for secret in ("AKIA", "sssh", "ttt"):
        assert secret not in repr(params)


@pytest.mark.parametrize(
    ("kind", "values", "error"),
    [
        (S3Params, [""], ConfigError),
        (S3Params, [None], TypeError),
        (S3Params, ["b", "minio:9000"], ConfigError),
        (S3Params, ["b", 9000], TypeError),
        (S3Params, ["b", None, "key", None], ConfigError),
        (S3Params, ["b", None, None, "secret"], ConfigError),
        (LocalFSParams, [True, "", "me", "b"], ConfigError),
        (LocalFSParams, [True, "/data", "me", ""], ConfigError),
        (LocalFSParams, [True, "/data", "me", "a/b"], ConfigError),
        (LocalFSParams, [True, "/data", "me", ".."], ConfigError),
    ],
)
def test_parameters_that_make_no_sense_are_refused(kind, values, error):
    with pytest.raises(error):
        kind(*values)


def test_parameters_pickle_with_their_secrets():
    params = S3Params("b", aws_access_key_id="x", aws_secret_access_key="y")
    assert pickle.loads(pickle.dumps(params)) == params


@pytest.mark.parametrize(
    ("location", "root", "bucket"),
    [
        ("file:///data/b", "/data", "b"),
        ("file:///a/b/c d", "/a/b", "c d"),
        ("file:///b", "/", "b"),
        ("file:///a%20b/c%2fd#x", "/a%20b", "c%2fd#x"),
    ],
)
def test_the_location_of_a_local_bucket_is_a_plain_path(location, root, bucket):
    assert location_params(location) == LocalFSParams(
        use_local_fs=True, root_dir=root, user=DEFAULT_USER, bucket_name=bucket
    )


def test_the_location_of_a_bucket_on_s3_goes_with_what_else_was_said(environment):
    environment(**KEYS)
    assert location_params("s3://b") == S3Params("b", anon=True)
    assert location_params("s3://b", anon=False).aws_access_key_id == "key"
    chosen = location_params("s3://b", endpoint_url="http://e", region="q", request_payer=True)
    assert (chosen.endpoint_url, chosen.region_name, chosen.request_payer) == ("http://e", "q", True)


@pytest.mark.parametrize(
    "location",
    ["", "b", "s3://", "s3://b/", "s3://b/x", "file://b", "file:///", "file:///a/", "file:///a/..", "ftp://b"],
)
def test_a_location_of_another_kind_is_refused(location):
    with pytest.raises(ConfigError, match="neither s3://bucket nor file:///root/bucket"):
        location_params(location)


@pytest.mark.parametrize(
    "url",
    ["http://h:99999999", "http://h:x", "http://", "http://:80", "http://[::1", "http://a b", "http://a\nb", "h:80"],
)
def test_an_address_that_no_client_can_connect_to_is_refused_without_its_password(url):
    with pytest.raises(ConfigError, match="which is no http:// or https:// address of a server"):
        S3Params("bucket", url)
    with pytest.raises(ConfigError) as caught:
        S3Params("bucket", url.replace("//", "//me:hush-hush@"))
    assert "hush-hush" not in str(caught.value)

"""Which bucket, and how to get there: parameters of the two backends, and their defaults from the environment.

This is the only module of the package that reads environment variables.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit, urlunsplit

from ..errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

#: Bucket that virt_s3 users get when nothing is set.
DEFAULT_BUCKET = "default-bucket"
DEFAULT_USER = "default@default.com"
DEFAULT_REGION = "us-east-1"


@dataclass
class PredictConnectionStoreParams:
    """Where a Predict connection store keeps the credentials of a bucket."""

    user_id: str
    store_name: str
    store_owner: str


@dataclass
class S3Params:
    """A bucket on S3, and how to reach it.

    Fields left at None come from boto3's own chain (profile, instance role, ...), never from the ``S3_*`` variables.
    """

    #: The bucket's name.
    bucket_name: str
    #: URL of an S3-compatible server; None means AWS, or what ``AWS_ENDPOINT_URL_S3`` and ``AWS_ENDPOINT_URL`` say.
    endpoint_url: str | None = None
    aws_access_key_id: str | None = field(default=None, repr=False)
    aws_secret_access_key: str | None = field(default=None, repr=False)
    region_name: str | None = None
    #: A profile of the AWS configuration files.
    profile_name: str | None = None
    connection_store_params: PredictConnectionStoreParams | None = None
    aws_session_token: str | None = field(default=None, repr=False)
    #: Send unsigned requests and look up no credentials at all.
    anon: bool = False
    #: Agree to pay for the requests (header ``x-amz-request-payer``).
    request_payer: bool = False

    def __post_init__(self) -> None:
        _check_text("bucket_name", self.bucket_name)
        _check_endpoint("endpoint_url", self.endpoint_url)
        _check_key_pair(
            ("aws_access_key_id", self.aws_access_key_id), ("aws_secret_access_key", self.aws_secret_access_key)
        )


@dataclass
class LocalFSParams:
    """A directory that emulates S3: the object ``key`` is the file ``root_dir/bucket_name/key``.

    `use_local_fs` and `user` are stored for code written for virt_s3, and have no effect.
    """

    use_local_fs: bool
    root_dir: str | Path
    user: str
    bucket_name: str

    def __post_init__(self) -> None:
        _check_text("bucket_name", self.bucket_name)
        if not str(self.root_dir):
            raise ConfigError("LocalFSParams.root_dir is empty; name the directory that holds the buckets")
        if "/" in self.bucket_name or self.bucket_name in (".", ".."):
            raise ConfigError(f"LocalFSParams.bucket_name must be one path component, not {self.bucket_name!r}")


Params = S3Params | LocalFSParams


def get_default_params(use_local: bool = False, use_s3: bool = False) -> Params:  # noqa: FBT001, FBT002 - virt_s3's signature
    """Give the parameters that the environment describes.

    Parameters
    ----------
    use_local, use_s3
        Choose the backend in spite of ``LOCAL_FS``.

    Returns
    -------
    S3Params or LocalFSParams
        From ``LOCAL_FS``, ``LOCAL_FS_ROOT_DIR``, ``LOCAL_FS_USER``, ``S3_DEFAULT_BUCKET``, ``S3_URL`` and ``AWS_*``,
        read at each call.

    Raises
    ------
    ValueError
        If both arguments are True, or a variable is missing or wrong; the text names the variable.
    """
    if use_local and use_s3:
        raise ConfigError("get_default_params: use_local and use_s3 exclude each other; set one of them")
    bucket = os.environ.get("S3_DEFAULT_BUCKET") or DEFAULT_BUCKET
    if use_local or (not use_s3 and is_local_emulation()):
        return local_params(bucket)
    url = os.environ.get("S3_URL") or None
    _check_endpoint("S3_URL", url)
    return _environment_s3(bucket, url or environment_endpoint())


def study_params(bucket: str, *, anon: bool) -> Params:
    """Give the parameters of a study's bucket: ``LOCAL_FS`` and ``AWS_*`` are obeyed, ``S3_*`` are not.

    With `anon` no credential is looked up, whatever the environment holds.
    """
    return local_params(bucket) if is_local_emulation() else s3_params(bucket, anon=anon)


def s3_params(bucket: str, *, anon: bool) -> S3Params:
    """Give the parameters of a bucket on S3, as :func:`study_params`, whatever ``LOCAL_FS`` says."""
    if anon:
        return S3Params(bucket, environment_endpoint(), region_name=environment_region(), anon=True)
    return _environment_s3(bucket, environment_endpoint())


def url_params(
    url: str,
    *,
    anon: bool = True,
    endpoint_url: str | None = None,
    region: str | None = None,
    profile: str | None = None,
    request_payer: bool = False,
) -> tuple[Params, str]:
    """Split a study's URL into the parameters of its bucket and its prefix.

    ``s3://bucket/prefix`` is a bucket on S3. ``file:///root/bucket/prefix`` is a local directory; its last component is
    taken as the prefix and the one before it as the bucket, which gives the same files wherever the line is drawn.

    >>> params, prefix = url_params("file:///data/openneuro/ds000102")
    >>> params.root_dir, params.bucket_name, prefix
    ('/data', 'openneuro', 'ds000102')

    Raises
    ------
    ConfigError
        If the URL is of another kind, or names no bucket.
    """
    parts = urlsplit(url)
    if parts.scheme == "s3":
        # Not parts.path: a key may hold '?' and '#', which mean nothing in an s3:// address.
        bucket, _, prefix = url.removeprefix("s3://").partition("/")
        if not bucket:
            raise ConfigError(f"the address {url!r} names no bucket; write s3://bucket/prefix")
        endpoint_url = endpoint_url or environment_endpoint()
        if anon:
            params = S3Params(bucket, endpoint_url, anon=True)
        elif profile:
            params = S3Params(bucket, endpoint_url, profile_name=profile)
        else:
            params = _environment_s3(bucket, endpoint_url)
        return replace(params, region_name=region or environment_region(), request_payer=request_payer), prefix
    if parts.scheme == "file":
        names = [name for name in unquote(url.removeprefix("file://")).split("/") if name]
        if len(names) < 2:
            raise ConfigError(f"the address {url!r} is too short; write file:///root/bucket/prefix")
        *root, bucket, prefix = names
        return LocalFSParams(
            use_local_fs=True, root_dir="/" + "/".join(root), user=DEFAULT_USER, bucket_name=bucket
        ), prefix
    raise ConfigError(f"the address {url!r} is neither s3://bucket/prefix nor file:///root/bucket/prefix")


def location_params(
    location: str,
    *,
    anon: bool = True,
    endpoint_url: str | None = None,
    region: str | None = None,
    profile: str | None = None,
    request_payer: bool = False,
) -> Params:
    """Give the parameters of a bucket by its :attr:`~s3bids.storage.Storage.location`, as a manifest has it.

    Raises
    ------
    ConfigError
        If the location is neither ``s3://bucket`` nor ``file:///root/bucket``.

    >>> location_params("file:///data/openneuro").bucket_name
    'openneuro'
    """
    kind, _, place = location.partition("://")
    if kind == "s3" and place and "/" not in place:
        params, _ = url_params(
            location,
            anon=anon,
            endpoint_url=endpoint_url,
            region=region,
            profile=profile,
            request_payer=request_payer,
        )
        return params
    # A path as it is, in which '%' stands for itself, unlike in the address of a study.
    root, _, bucket = place.rpartition("/")
    if kind == "file" and place.startswith("/") and bucket not in ("", ".", ".."):
        return LocalFSParams(use_local_fs=True, root_dir=root or "/", user=DEFAULT_USER, bucket_name=bucket)
    raise ConfigError(f"the location {location!r} is neither s3://bucket nor file:///root/bucket")


def is_local_emulation() -> bool:
    """Say whether ``LOCAL_FS`` switches this program to the local emulation."""
    value = os.environ.get("LOCAL_FS", "")
    if value not in ("", "0", "1"):
        raise ConfigError(f"the variable LOCAL_FS is {value!r}; set it to 1 (local emulation) or 0 (S3), or unset it")
    return value == "1"


def local_params(bucket: str) -> LocalFSParams:
    """Give the local emulation of `bucket` below ``LOCAL_FS_ROOT_DIR``."""
    root = os.environ.get("LOCAL_FS_ROOT_DIR")
    if not root:
        raise ConfigError(
            "local emulation was chosen, but the variable LOCAL_FS_ROOT_DIR is not set; "
            "set it to the directory that holds the buckets"
        )
    user = os.environ.get("LOCAL_FS_USER") or DEFAULT_USER
    return LocalFSParams(use_local_fs=True, root_dir=root, user=user, bucket_name=bucket)


def environment_endpoint() -> str | None:
    """Give boto3's endpoint variables, the one of S3 first; None means AWS."""
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"):
        url = os.environ.get(name)
        if url:
            _check_endpoint(name, url)
            return url
    return None


def environment_region() -> str | None:
    """Give ``AWS_REGION``, else ``AWS_DEFAULT_REGION``, else None."""
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or None


def environment_text(name: str) -> str | None:
    """Give a variable that a user named; None if it is not set."""
    return os.environ.get(name)


def without_password(url: str | None) -> str | None:
    """Take name and password off an address.

    >>> without_password("http://me:secret@host:9000/")
    'http://host:9000/'
    """
    if url is None:
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return re.sub(r"//.*@", "//", url, flags=re.DOTALL)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _environment_s3(bucket: str, endpoint_url: str | None) -> S3Params:
    """Join a bucket and an endpoint with the credentials and the region of the environment."""
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    key, secret, token = (os.environ.get(name) or None for name in names)
    _check_key_pair((names[0], key), (names[1], secret))
    return S3Params(
        bucket,
        endpoint_url,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        aws_session_token=token if key else None,
        profile_name=None if key else os.environ.get("AWS_PROFILE") or None,
        region_name=environment_region(),
    )


def _check_key_pair(key: tuple[str, str | None], secret: tuple[str, str | None]) -> None:
    for (name, value), (other, given) in ((key, secret), (secret, key)):
        if given and not value:
            raise ConfigError(f"{other} is given without {name}; give both, or neither")


def _check_endpoint(name: str, url: str | None) -> None:
    if url is None:
        return
    if not isinstance(url, str):
        raise TypeError(f"{name} must be text or None, not {type(url).__name__}")
    if not _is_address(url):
        raise ConfigError(f"{name} is {without_password(url)!r}, which is no http:// or https:// address of a server")


def _is_address(url: str) -> bool:
    """Say whether a client can connect to an address: obstore panics at some that none can."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    is_plain = url.isprintable() and " " not in url
    return parts.scheme in ("http", "https") and bool(parts.hostname) and is_plain


def _check_text(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be text, not {type(value).__name__}")
    if not value:
        raise ConfigError(f"{name} is empty; name the bucket")


__all__ = [
    "DEFAULT_BUCKET",
    "DEFAULT_REGION",
    "DEFAULT_USER",
    "LocalFSParams",
    "Params",
    "PredictConnectionStoreParams",
    "S3Params",
    "environment_endpoint",
    "environment_region",
    "environment_text",
    "get_default_params",
    "is_local_emulation",
    "local_params",
    "location_params",
    "s3_params",
    "study_params",
    "url_params",
    "without_password",
]

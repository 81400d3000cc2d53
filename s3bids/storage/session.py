"""Clients for S3: boto3's, and obstore's for GET and LIST."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from ..errors import AccessDeniedError, ConfigError
from .params import DEFAULT_REGION, S3Params

if TYPE_CHECKING:
    from obstore.store import BackoffConfig, RetryConfig, S3Store

#: Connections that boto3 keeps open: more than the threads of any caller here.
POOL_CONNECTIONS = 64
CONNECT_TIMEOUT_S = 10
#: A server that sends nothing for so long has stalled.
READ_TIMEOUT_S = 60
#: How long obstore waits before it sends a request again.
BACKOFF: BackoffConfig = {
    "init_backoff": timedelta(milliseconds=100),
    "max_backoff": timedelta(seconds=5),
    "base": 2,
}
NO_CREDENTIALS = (
    "no credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, "
    "or use anon=True (--no-sign) for a public bucket"
)


@dataclass(frozen=True)
class ClientOptions:
    """What a boto3 client may be told beside the parameters of a bucket; None: what boto3 does by itself."""

    #: A session of botocore to make the client from; its settings count where the parameters say nothing.
    botocore_session: Any = None
    api_version: str | None = None
    use_ssl: bool | None = None
    #: Whether certificates are checked, or the file of those to trust.
    verify: bool | str | None = None
    #: A ``botocore.config.Config``, whose settings win over ours.
    config: Any = None


_NO_OPTIONS = ClientOptions()


def make_client(params: S3Params, *, region: str | None = None, options: ClientOptions = _NO_OPTIONS) -> Any:
    """Make a boto3 S3 client.

    Credentials come from the explicit keys, else the profile, else the connection store, else boto3's own chain; with
    ``anon`` none are looked up. A custom endpoint is addressed by path and gets the checksums that S3's own API asks
    for and no more, since other servers refuse newer ones.
    """
    from botocore import UNSIGNED
    from botocore.config import Config

    params = connected(params)
    settings: dict[str, Any] = {
        "max_pool_connections": POOL_CONNECTIONS,
        "connect_timeout": CONNECT_TIMEOUT_S,
        "read_timeout": READ_TIMEOUT_S,
        "retries": {"mode": "standard", "max_attempts": 4},
    }
    if params.endpoint_url:
        settings["s3"] = {"addressing_style": "path"}
        settings["request_checksum_calculation"] = "when_required"
        settings["response_checksum_validation"] = "when_required"
    if params.anon:
        settings["signature_version"] = UNSIGNED
    config = Config(**settings)
    more = {"api_version": options.api_version, "use_ssl": options.use_ssl, "verify": options.verify}
    client = _boto3_session(params, options.botocore_session).client(
        "s3",
        endpoint_url=params.endpoint_url,
        region_name=region or params.region_name or None,
        config=config if options.config is None else config.merge(options.config),
        **{name: value for name, value in more.items() if value is not None},
    )
    if params.request_payer:
        client.meta.events.register("provide-client-params.s3.*", _pay_for_requests)
    return client


def _boto3_session(params: S3Params, core: Any = None) -> Any:
    import boto3
    from botocore.exceptions import ProfileNotFound
    from botocore.session import Session as CoreSession

    if params.anon or params.aws_access_key_id:
        # AWS_PROFILE has no say here, and one that does not exist would fail every call.
        return boto3.Session(
            botocore_session=core or CoreSession(session_vars={"profile": (None, None, None, None)}),
            aws_access_key_id=params.aws_access_key_id,
            aws_secret_access_key=params.aws_secret_access_key,
            aws_session_token=params.aws_session_token,
            region_name=params.region_name or (core and core.get_config_variable("region")) or DEFAULT_REGION,
        )
    core = core or CoreSession()
    try:
        if params.profile_name is not None:
            core.set_config_variable("profile", params.profile_name)
        region = params.region_name or core.get_config_variable("region") or DEFAULT_REGION
        return boto3.Session(botocore_session=core, region_name=region)
    except ProfileNotFound as error:
        # The name may come from AWS_PROFILE.
        name = params.profile_name or error.kwargs["profile"]
        raise ConfigError(
            f"the AWS profile {name!r} does not exist; name one of your AWS configuration files"
        ) from error


def connected(params: S3Params) -> S3Params:
    """Put what a Predict connection store knows of a bucket in the place of what `params` leave open.

    Explicit keys and a profile go first, and then the store is not asked.
    """
    store = params.connection_store_params
    if store is None or params.anon or params.aws_access_key_id or params.profile_name is not None:
        return params
    try:
        from predict_backend.store.connection_store import connection_store  # type: ignore[import-not-found]
    except ImportError as error:
        message = "S3Params.connection_store_params needs the package predict_backend, which cannot be imported"
        raise ImportError(message) from error
    found = connection_store.get_connection(
        name=store.store_name, connection_owner=store.store_owner, user_id=store.user_id
    )
    credentials = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token", "profile_name")
    known = {name: found[name] for name in credentials if found.get(name)}
    for name in ("endpoint_url", "region_name"):
        known[name] = getattr(params, name) or found.get(name)
    return replace(params, connection_store_params=None, **known)


def _pay_for_requests(params: dict[str, Any], model: Any, **_: object) -> None:
    if "RequestPayer" in model.input_shape.members:
        params["RequestPayer"] = "requester"


def make_store(params: S3Params, *, retries: int, region: str | None = None) -> S3Store:
    """Make an obstore client for GET and LIST.

    Every setting is given explicitly: obstore otherwise takes it from ``AWS_*`` variables, even past an explicit
    `endpoint` (``AWS_ENDPOINT_URL_S3``).

    Parameters
    ----------
    retries
        How often one request is sent again after a connection error or a 5xx answer.
    region
        Region to use in place of the one in `params`, when the bucket turned out to live there.
    """
    from obstore.store import S3Store

    params = connected(params)
    region = region or params.region_name or DEFAULT_REGION
    endpoint = params.endpoint_url or _aws_endpoint(region)
    payer: Literal["requester"] | bool = "requester" if params.request_payer else False
    patience: RetryConfig = {
        "max_retries": retries,
        "retry_timeout": timedelta(seconds=120),
        "backoff": BACKOFF,
    }
    return S3Store(
        params.bucket_name,
        endpoint=endpoint,
        aws_endpoint_url_s3=endpoint,
        region=region,
        # The certificate of AWS does not cover bucket names with a dot; by path every name works.
        virtual_hosted_style_request=False,
        s3_express=False,
        request_payer=payer,
        client_options={
            "allow_http": endpoint.startswith("http://"),
            "connect_timeout": timedelta(seconds=CONNECT_TIMEOUT_S),
            "read_timeout": timedelta(seconds=READ_TIMEOUT_S),
            # This one is for the whole body; its default of 30 s would cut every large file.
            "timeout": timedelta(days=1),
        },
        retry_config=patience,
        **_signing(params),
    )


def _signing(params: S3Params) -> dict[str, Any]:
    if params.anon:
        return {"skip_signature": True}
    if params.aws_access_key_id:
        # As a provider, because a key given by itself would be joined by AWS_SESSION_TOKEN from the environment.
        return {"credential_provider": _FixedCredentials(params), "skip_signature": False}
    from obstore.auth.boto3 import Boto3CredentialProvider

    session = _boto3_session(params)
    if session.get_credentials() is None:
        raise AccessDeniedError(f"cannot sign requests for the bucket {params.bucket_name!r}: {NO_CREDENTIALS}")
    return {"credential_provider": Boto3CredentialProvider(session), "skip_signature": False}


class _FixedCredentials:
    """Hand obstore the explicit keys, and nothing from the environment beside them."""

    def __init__(self, params: S3Params) -> None:
        self.credential = {
            "access_key_id": params.aws_access_key_id,
            "secret_access_key": params.aws_secret_access_key,
            "token": params.aws_session_token,
            "expires_at": None,
        }

    def __call__(self) -> dict[str, str | None]:
        return self.credential


def _aws_endpoint(region: str) -> str:
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"https://s3.{region}.{suffix}"

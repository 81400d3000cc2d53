"""The one place where errors of obstore and botocore become ours."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import (
    AccessDeniedError,
    BucketNotFoundError,
    ConfigError,
    ObjectChangedError,
    ObjectNotFoundError,
    RangeNotServedError,
    S3BIDSError,
    StorageConnectionError,
    StorageError,
    StorageUnavailableError,
)
from .params import DEFAULT_BUCKET
from .session import NO_CREDENTIALS

if TYPE_CHECKING:
    from types import TracebackType

_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>\s*([A-Za-z0-9_.]+)\s*</Code>")

#: S3 error code or HTTP status -> our error and its text (S3 API, "Error responses"). The code is looked up first.
_MEANINGS: dict[str, tuple[type[StorageError], str]] = {
    "NoSuchBucket": (BucketNotFoundError, "the bucket does not exist; check its name and the endpoint"),
    "NoSuchKey": (ObjectNotFoundError, "there is no such object; list the bucket to see what it holds"),
    "InvalidAccessKeyId": (AccessDeniedError, "the server does not know the access key; check the credentials"),
    "SignatureDoesNotMatch": (AccessDeniedError, "the secret access key is wrong; check the credentials"),
    "ExpiredToken": (AccessDeniedError, "the session token has expired; get new credentials"),
    "InvalidToken": (AccessDeniedError, "the session token is not valid; get new credentials"),
    # rclone's word to those who do not sign.
    "UnsupportedAlgorithm": (AccessDeniedError, "the server wants signed requests; use credentials, not anon=True"),
    "InvalidObjectState": (AccessDeniedError, "the object is archived; its owner must restore it first"),
    "AccessDenied": (
        AccessDeniedError,
        "access denied (S3 also answers so for a missing key where listing is not allowed); the object may be private, "
        "the bucket may need credentials (anon=False, --sign), or its requester may have to pay (--request-payer)",
    ),
    "SlowDown": (StorageUnavailableError, "the server asks to slow down; try again later"),
    "404": (ObjectNotFoundError, "there is no such object, or no such bucket; list the bucket to see what it holds"),
    "401": (AccessDeniedError, "the server wants credentials; use anon=False (--sign)"),
    "412": (ObjectChangedError, "the object has changed since it was listed; run again to list it anew"),
    "416": (StorageError, "the range asked for lies outside the object"),
    "301": (StorageError, "the bucket lives in another region; name it (region=, --region)"),
    "400": (StorageError, "the server calls the request malformed; check the bucket's name and the endpoint"),
    "429": (StorageUnavailableError, "the server asks to slow down; try again later"),
}
_MEANINGS["403"] = _MEANINGS["AccessDenied"]


@dataclass(frozen=True)
class translating:  # noqa: N801 - used as a statement: `with translating("read", ...)`
    """Turn errors of obstore and botocore into ours inside a ``with`` block."""

    #: What was being done, as a verb: ``read``, ``list``.
    operation: str
    #: Where the bucket is, such as ``s3://bucket``.
    location: str
    #: The key or prefix, without the bucket.
    key: str = ""
    #: The server, for errors of the connection.
    endpoint: str = ""

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, Exception) and not isinstance(error, S3BIDSError) and is_foreign(error):
            raise translate(error, self) from error


def is_foreign(error: Exception) -> bool:
    """Say whether an error comes from obstore, botocore, or the network below them.

    obstore's InvalidPathError does not count: it says nothing of the bucket, and the caller lists by boto3 instead.
    """
    if type(error).__name__ == "InvalidPathError":
        return False
    module = type(error).__module__.partition(".")[0]
    if module in ("obstore", "botocore", "boto3", "s3transfer", "urllib3"):
        return True
    # obstore raises Python's own FileNotFoundError, TimeoutError and the like.
    return isinstance(error, OSError) and not error.errno


def is_not_partial(error: Exception) -> bool:
    """Say whether obstore refused an answer because its status is not that of a part (206)."""
    return "non-partial response" in str(error)


def is_outside(error: Exception) -> bool:
    """Say whether the server answered that an object ends before the range that was asked for (416)."""
    return _answer(error)[0] == "416"


def is_unknown_operation(error: Exception) -> bool:
    """Say whether the server answered that it has no such operation (501), as small servers do of versions."""
    return "NotImplemented" in _answer(error) or "501" in _answer(error)


def translate(error: Exception, where: translating) -> S3BIDSError:
    """Give our error for one of theirs; the text names operation, bucket, key, cause and next step."""
    what = f"cannot {where.operation} {where.location}" + (f"/{where.key}" if where.key else "")
    if type(error).__name__ == "S3UploadFailedError" and isinstance(error.__context__, Exception):
        error = error.__context__
    name = type(error).__name__
    if name in ("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "UnauthenticatedError"):
        return AccessDeniedError(f"{what}: {NO_CREDENTIALS}")
    if re.search("Token|SSO|Login|Credential", name):
        return AccessDeniedError(f"{what}: {_first_line(error)}; renew the credentials, or use anon=True (--no-sign)")
    if re.search("Param|Endpoint(?!Connection)|Profile|Region|Config", name):
        # All lines: the first one of a ParamValidationError says only that something is wrong.
        return ConfigError(f"{what}: {' '.join(str(error).split())[:300]}")
    status, code = _answer(error)
    if status is None and code is None:
        return _without_answer(error, what, where.endpoint)
    meaning = _MEANINGS.get(code or "") or _MEANINGS.get(status or "")
    if meaning is None and (status or "").startswith("5"):
        meaning = (StorageUnavailableError, "the server failed; try again later")
    if meaning is None:
        meaning = (StorageError, "the server refused the request")
    kind, text = meaning
    if kind is BucketNotFoundError and where.location == f"s3://{DEFAULT_BUCKET}":
        text += "; this name is taken when S3_DEFAULT_BUCKET is not set"
    return kind(f"{what}: {text} ({_described(status, code)})")


def _answer(error: Exception) -> tuple[str | None, str | None]:
    """Find the HTTP status and the S3 error code in an error, None where it has none."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        return (str(status) if status else None), response.get("Error", {}).get("Code")
    text = str(error)
    status_match, code_match = _STATUS.search(text), _CODE.search(text)
    code = code_match[1] if code_match else None
    if code is None and "without LOCATION" in text:
        return "301", "PermanentRedirect"
    return (status_match[1] if status_match else None), code


def _without_answer(error: Exception, what: str, endpoint: str) -> S3BIDSError:
    text = str(error)
    if type(error).__name__ in ("NotFoundError", "FileNotFoundError"):
        return ObjectNotFoundError(f"{what}: there is no such object; list the bucket to see what it holds")
    if type(error).__name__ == "PreconditionError":
        return ObjectChangedError(f"{what}: {_MEANINGS['412'][1]}")
    if "Generic Config error" in text:
        return ConfigError(f"{what}: {_first_line(error)}; an AWS_* variable may be wrong")
    if is_not_partial(error):
        return RangeNotServedError(f"{what}: the server does not serve parts of objects")
    cause = _connection_cause(text) or _waiting(text) or _first_line(error)
    server = f" at {endpoint}" if endpoint else ""
    return StorageConnectionError(
        f"{what}: no usable answer from the server{server} ({cause}); check the network and the endpoint"
    )


def _connection_cause(text: str) -> str | None:
    """Find the innermost cause in obstore's long description of a failed connection."""
    causes = re.findall(r'message: "([^"]+)"', text) or re.findall(r'error: "([^"]+)"', text)
    return causes[-1] if causes else None


def _waiting(text: str) -> str | None:
    """Say how long obstore waited for an answer in vain."""
    found = re.search(r"in (\d+)(?:\.\d+)?s, after \d+ retries.*error sending request", text, flags=re.DOTALL)
    return f"none came within {found[1]} s" if found else None


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:300] or type(error).__name__


def _described(status: str | None, code: str | None) -> str:
    parts = ([f"HTTP {status}"] if status else []) + ([code] if code and code != status else [])
    return " ".join(parts)


__all__ = ["is_foreign", "is_not_partial", "is_outside", "is_unknown_operation", "translate", "translating"]

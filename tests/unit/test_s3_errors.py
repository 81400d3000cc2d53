import errno
import inspect
import pickle
import string

import botocore.exceptions
import obstore.exceptions
import pytest
import urllib3.exceptions
from boto3.exceptions import Boto3Error, S3UploadFailedError

from s3bids.errors import (
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
from s3bids.storage.s3_errors import is_foreign, translating
from s3bids.transfer.retry import PASSING

#: HTTP status and S3 error code -> our error, whether asking again may help, and a word of the advice.
ANSWERS = [
    (404, "NoSuchKey", ObjectNotFoundError, False, "no such object"),
    (404, "404", ObjectNotFoundError, False, "no such object"),
    (404, None, ObjectNotFoundError, False, "no such object"),
    (404, "NoSuchBucket", BucketNotFoundError, False, "bucket does not exist"),
    (403, "AccessDenied", AccessDeniedError, False, "anon=False"),
    (403, "403", AccessDeniedError, False, "anon=False"),
    (403, "AllAccessDisabled", AccessDeniedError, False, "anon=False"),
    (403, "InvalidAccessKeyId", AccessDeniedError, False, "access key"),
    (403, "SignatureDoesNotMatch", AccessDeniedError, False, "secret access key"),
    (403, "InvalidObjectState", AccessDeniedError, False, "archived"),
    (400, "ExpiredToken", AccessDeniedError, False, "expired"),
    (400, "InvalidToken", AccessDeniedError, False, "token"),
    (400, "UnsupportedAlgorithm", AccessDeniedError, False, "signed requests"),
    (401, "Unauthorized", AccessDeniedError, False, "credentials"),
    (412, "PreconditionFailed", ObjectChangedError, False, "changed"),
    (416, "InvalidRange", StorageError, False, "range"),
    (301, "PermanentRedirect", StorageError, False, "region"),
    (400, "InvalidBucketName", StorageError, False, "bucket's name"),
    (409, "OperationAborted", StorageError, False, "refused"),
    (503, "SlowDown", StorageUnavailableError, True, "slow down"),
    (429, "TooManyRequests", StorageUnavailableError, True, "slow down"),
    (500, "InternalError", StorageUnavailableError, True, "try again"),
    (502, None, StorageUnavailableError, True, "try again"),
    (503, "ServiceUnavailable", StorageUnavailableError, True, "try again"),
]


def translated(error, **where):
    with pytest.raises(S3BIDSError) as caught, translating("read", "s3://bucket", "ds/x", **where):
        raise error
    assert caught.value.__cause__ is error
    return caught.value


def client_error(status, code):
    answer = {"Error": {"Message": "words of the server"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    if code:
        answer["Error"]["Code"] = code
    return botocore.exceptions.ClientError(answer, "GetObject")


def obstore_error(status, code):
    """An error as obstore 0.12 words it."""
    kinds = {
        404: FileNotFoundError,
        403: "PermissionDeniedError",
        401: "UnauthenticatedError",
        412: "PreconditionError",
    }
    kind = kinds.get(status, "GenericError")
    body = f"<?xml version='1.0'?>\n<Error><Code>{code}</Code><Message>m</Message></Error>" if code else ""
    reason = f"Server returned non-2xx status code: {status} Words: {body}"
    if status == 301:
        reason = "Received redirect without LOCATION, this normally indicates an incorrectly configured region"
    text = f"Generic S3 error: Error performing GET http://127.0.0.1:1/bucket/ds/x in 1.2ms - {reason}\n\nDebug source:"
    return getattr(obstore.exceptions, kind)(text) if isinstance(kind, str) else kind(text)


@pytest.mark.parametrize("make", [client_error, obstore_error])
@pytest.mark.parametrize(("status", "code", "kind", "passes", "advice"), ANSWERS)
def test_an_answer_of_the_server(make, status, code, kind, passes, advice):
    if make is obstore_error and status == 401:
        advice = "anon=True"
    error = translated(make(status, code))
    assert type(error) is kind
    assert isinstance(error, PASSING) is passes
    text = str(error)
    assert text.startswith("cannot read s3://bucket/ds/x: ")
    assert advice in text
    assert "\n" not in text
    assert "<Code>" not in text


@pytest.mark.parametrize("make", [client_error, obstore_error])
def test_the_status_and_the_code_are_told(make):
    assert str(translated(make(503, "SlowDown"))).endswith("(HTTP 503 SlowDown)")


#: What obstore says of a server that takes a connection and never answers.
SILENT = (
    "Generic S3 error: Error performing list request: Error performing GET http://127.0.0.1:9/x?list-type=2 "
    "in 120.103433667s, after 1 retries, max_retries: 4, retry_timeout: 120s  - HTTP error: error sending request"
)
REFUSED = (
    "Generic S3 error: Error performing GET http://127.0.0.1:1/bucket/k in 4.6ms - HTTP error: error sending request"
    '\n\nDebug source:\nGeneric { inner: Http( HttpError { kind: Connect, source: ConnectError("tcp connect error", '
    'Os { code: 111, kind: ConnectionRefused, message: "Connection refused" } ) } ) }'
)


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (obstore.exceptions.GenericError(REFUSED), StorageConnectionError, "Connection refused"),
        (obstore.exceptions.GenericError("HTTP error: request or response body error"), StorageConnectionError, "body"),
        (TimeoutError("operation timed out"), StorageConnectionError, "timed out"),
        (obstore.exceptions.GenericError(SILENT), StorageConnectionError, "(none came within 120 s); check"),
        (FileNotFoundError("Object at location x not found"), ObjectNotFoundError, "no such object"),
        (obstore.exceptions.PreconditionError("text"), ObjectChangedError, "changed"),
        (obstore.exceptions.UnauthenticatedError("text"), AccessDeniedError, "AWS_ACCESS_KEY_ID"),
        (
            obstore.exceptions.GenericError("Received non-partial response when range requested"),
            RangeNotServedError,
            "parts",
        ),
        (botocore.exceptions.NoCredentialsError(), AccessDeniedError, "anon=True"),
        (
            botocore.exceptions.PartialCredentialsError(provider="env", cred_var="secret"),
            AccessDeniedError,
            "AWS_SECRET_ACCESS_KEY",
        ),
        (botocore.exceptions.EndpointConnectionError(endpoint_url="http://x"), StorageConnectionError, "http://x"),
        (botocore.exceptions.ReadTimeoutError(endpoint_url="http://x"), StorageConnectionError, "timeout"),
        (
            botocore.exceptions.IncompleteReadError(actual_bytes=3, expected_bytes=5),
            StorageConnectionError,
            "3 read, but total bytes expected is 5",
        ),
        (botocore.exceptions.ParamValidationError(report="bad name"), ConfigError, "Parameter validation failed"),
        (urllib3.exceptions.ProtocolError("Connection broken"), StorageConnectionError, "Connection broken"),
    ],
)
def test_an_error_without_an_answer(error, kind, text):
    found = translated(error)
    assert type(found) is kind
    assert text in str(found)
    assert len(str(found)) < 500


def test_an_error_of_the_connection_names_the_server():
    error = botocore.exceptions.ConnectionClosedError(endpoint_url="http://x/bucket")
    assert "at http://minio:9000 (" in str(translated(error, endpoint="http://minio:9000"))


def test_without_a_key_the_bucket_is_named():
    with pytest.raises(BucketNotFoundError, match=r"^cannot list s3://bucket: "), translating("list", "s3://bucket"):
        raise client_error(404, "NoSuchBucket")


def made(kind):
    """Make a botocore exception of any class, with a word for each of its fields."""
    if issubclass(kind, botocore.exceptions.ClientError):
        return kind({"Error": {"Code": "X"}, "ResponseMetadata": {"HTTPStatusCode": 418}}, "GetObject")
    if not hasattr(kind, "fmt"):
        return kind("text")
    parameters = list(inspect.signature(kind.__init__).parameters.values())[1:]
    needed = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD and p.default is p.empty]
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        needed += [field.partition("[")[0] for _, field, _, _ in string.Formatter().parse(kind.fmt) if field]
    return kind(**dict.fromkeys(needed, "word"))


def exceptions_of(module):
    kinds = [kind for kind in vars(module).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    return sorted({kind for kind in kinds if kind.__module__ == module.__name__}, key=lambda kind: kind.__name__)


BOTOCORE, OBSTORE = exceptions_of(botocore.exceptions), exceptions_of(obstore.exceptions)


def test_the_walks_below_find_the_exceptions():
    assert len(BOTOCORE) > 80
    assert len(OBSTORE) > 10


@pytest.mark.parametrize("kind", BOTOCORE, ids=lambda kind: kind.__name__)
def test_no_exception_of_botocore_is_unmapped(kind):
    error = translated(made(kind))
    assert str(error).startswith("cannot read s3://bucket/ds/x: ")


@pytest.mark.parametrize("kind", OBSTORE, ids=lambda kind: kind.__name__)
def test_no_exception_of_obstore_is_unmapped_but_the_one_for_odd_keys(kind):
    if kind is obstore.exceptions.InvalidPathError:
        with pytest.raises(obstore.exceptions.InvalidPathError), translating("list", "s3://bucket"):
            raise kind("Encountered empty path segment")
    else:
        assert isinstance(translated(kind("text")), StorageError | ConfigError)


@pytest.mark.parametrize(
    "kind",
    [
        "NoCredentialsError",
        "PartialCredentialsError",
        "CredentialRetrievalError",
        "SSOTokenLoadError",
        "UnauthorizedSSOTokenError",
        "TokenRetrievalError",
        "LoginRefreshRequired",
    ],
)
def test_without_credentials_nothing_is_asked_again(kind):
    error = translated(made(getattr(botocore.exceptions, kind)))
    assert isinstance(error, AccessDeniedError)
    assert not isinstance(error, PASSING)


@pytest.mark.parametrize(
    "kind", ["ProfileNotFound", "InvalidRegionError", "ParamValidationError", "InvalidConfigError"]
)
def test_a_wrong_setting_is_no_fault_of_the_network(kind):
    error = translated(made(getattr(botocore.exceptions, kind)))
    assert isinstance(error, ConfigError)
    assert not isinstance(error, PASSING)


@pytest.mark.parametrize("kind", [Boto3Error, S3UploadFailedError])
def test_exceptions_of_boto3_are_mapped_too(kind):
    assert isinstance(translated(kind("text")), StorageError)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        FileNotFoundError(errno.ENOENT, "No such file"),
        PermissionError(errno.EACCES, "Permission denied"),
        ValueError("a bug"),
        KeyError("a bug"),
        StorageError("ours already"),
        ConfigError("ours already"),
    ],
)
def test_errors_of_the_disk_and_of_our_own_pass_through(error):
    with pytest.raises(type(error)) as caught, translating("read", "s3://bucket", "ds/x"):
        raise error
    assert caught.value is error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), GeneratorExit(), SystemExit()])
def test_an_interruption_is_no_error_of_the_storage(error):
    with pytest.raises(type(error)), translating("read", "s3://bucket"):
        raise error


def test_nothing_happens_where_nothing_is_raised():
    with translating("read", "s3://bucket") as nothing:
        assert nothing is None


def test_foreign_is_what_comes_from_below():
    assert is_foreign(botocore.exceptions.NoCredentialsError())
    assert is_foreign(TimeoutError("timed out"))
    assert not is_foreign(OSError(errno.EIO, "disk"))
    assert not is_foreign(RuntimeError("x"))


def test_our_errors_are_the_built_in_ones_too_and_pickle():
    missing, denied = translated(client_error(404, "NoSuchKey")), translated(client_error(403, "AccessDenied"))
    assert isinstance(missing, FileNotFoundError)
    assert isinstance(denied, PermissionError)
    for error in (missing, denied, translated(TimeoutError("timed out"))):
        copy = pickle.loads(pickle.dumps(error))
        assert (type(copy), str(copy)) == (type(error), str(error))

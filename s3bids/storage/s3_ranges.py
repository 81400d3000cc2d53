"""Ranged GETs: by obstore where the server answers them with 206, else by boto3, which costs ten times the CPU.

AWS answers 206 (RFC 9110, section 15.3.7). Other servers show with the first answer what they do: ``rclone serve s3``
sends the range with status 200, and a server without ranges sends the whole object.
"""

from __future__ import annotations

import re
from contextlib import closing
from datetime import UTC
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from .base import ObjectInfo, plain_etag
from .s3_answers import info, is_odd

if TYPE_CHECKING:
    from obstore import GetOptions, GetResult
    from obstore.store import S3Store

    from .s3_clients import S3Clients

_BEYOND_THE_END = re.compile(r"status code: 416\b")


def get_range(
    clients: S3Clients, bucket: str, key: str, start: int, end: int | None, if_match: str | None
) -> tuple[bytes, ObjectInfo] | None:
    """Read the bytes ``[start:end]`` of an object, with one request.

    Parameters
    ----------
    end
        More than `start`, or None for the end of the object.
    if_match
        An ETag without quotes that the object must have.

    Returns
    -------
    tuple of bytes and ObjectInfo, or None
        The bytes and the object they are of; None if the object ends before `start`.
    """
    if clients.answers_206 and not is_odd(key):
        return _by_obstore(clients, key, start, end, if_match)
    return _by_boto3(clients, bucket, key, start, end, if_match)


def _by_obstore(
    clients: S3Clients, key: str, start: int, end: int | None, if_match: str | None
) -> tuple[bytes, ObjectInfo] | None:
    import obstore
    from obstore.exceptions import BaseError

    options: GetOptions = {"range": {"offset": start} if end is None else (start, end)}
    if if_match:
        options["if_match"] = f'"{if_match}"'

    def get(store: S3Store) -> GetResult:
        return obstore.get(store, key, options=options)

    try:
        answer = clients.ask(get)
    except BaseError as error:
        if _BEYOND_THE_END.search(str(error)):
            return None
        raise
    return bytes(answer.bytes()), info(answer.meta)


def _by_boto3(
    clients: S3Clients, bucket: str, key: str, start: int, end: int | None, if_match: str | None
) -> tuple[bytes, ObjectInfo] | None:
    from botocore.exceptions import ClientError

    options = {"IfMatch": f'"{if_match}"'} if if_match else {}
    asked = f"bytes={start}-{'' if end is None else end - 1}"
    try:
        answer = clients.boto3.get_object(Bucket=bucket, Key=key, Range=asked, **options)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return None
        raise
    clients.answers_206 = answer["ResponseMetadata"]["HTTPStatusCode"] == HTTPStatus.PARTIAL_CONTENT
    with closing(answer["Body"]) as body:
        if "ContentRange" in answer:
            return body.read(), _object(key, answer, int(answer["ContentRange"].rpartition("/")[2]))
        # A server without ranges sends the object from its beginning; what lies behind the range is not waited for.
        return body.read(end)[start:], _object(key, answer, answer["ContentLength"])


def _object(key: str, answer: dict[str, Any], size: int) -> ObjectInfo:
    moment = answer.get("LastModified")
    return ObjectInfo(key, size, plain_etag(answer.get("ETag")), moment.astimezone(UTC) if moment else None)


__all__ = ["get_range"]

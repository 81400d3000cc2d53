"""Parts of objects: by obstore where the server marks them as S3 does, else by boto3, at ten times the CPU.

S3 answers a range with 206 (RFC 9110, section 15.3.7), the only answer that obstore takes. Other servers show with the
first one what they do: ``rclone serve s3`` sends the range with status 200, and a server without ranges sends the
whole object.
"""

from __future__ import annotations

from contextlib import closing
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from ..errors import RangeNotServedError
from .base import plain_etag
from .s3_answers import answered_info, info, is_odd
from .s3_clients import PATIENT_RETRIES
from .s3_errors import is_not_partial, is_outside

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .base import ObjectInfo
    from .s3_clients import S3Clients


def read_part(
    clients: S3Clients, bucket: str, key: str, start: int, end: int | None, if_match: str | None
) -> tuple[bytes, ObjectInfo] | None:
    """Read ``[start:end]`` of an object, also from a server that sends it whole, and say what object that is.

    It takes one request, since a server of which nothing is known yet is asked by boto3.

    Returns
    -------
    tuple of bytes and ObjectInfo, or None
        None if the object ends before `start`.
    """
    if is_odd(key) or clients.ranges_need_boto3 is not False:
        return _read_by_boto3(clients, bucket, key, start, end, if_match)
    try:
        answer = clients.get(key, start, end, if_match, retries=PATIENT_RETRIES)
        return bytes(answer.bytes()), info(answer.meta)
    except Exception as error:
        if is_outside(error):
            return None
        if not is_not_partial(error):
            raise
    return _read_by_boto3(clients, bucket, key, start, end, if_match)


def _read_by_boto3(
    clients: S3Clients, bucket: str, key: str, start: int, end: int | None, if_match: str | None
) -> tuple[bytes, ObjectInfo] | None:
    answer = _ask(clients, bucket, key, start, end, if_match)
    if answer is None:
        return None
    with closing(answer["Body"]) as body:
        # What lies behind the range in a whole object is not waited for.
        data: bytes = body.read() if _is_part(answer) else body.read(end)[start:]
    return data, answered_info(key, answer)


def stream_part(
    clients: S3Clients, bucket: str, key: str, start: int, end: int | None, if_match: str | None, chunk_size: int
) -> Iterator[bytes]:
    """Yield ``[start:end]`` of an object; from a server that sends it whole, only where no end is given."""
    answer = _ask(clients, bucket, key, start, end, if_match)
    if answer is None:
        return
    is_part = _is_part(answer)
    if end is not None and not is_part and not _is_whole_within(answer, start, end, if_match):
        answer["Body"].close()
        raise RangeNotServedError(f"cannot read a part of s3://{bucket}/{key}: the server sends it whole")
    skip = 0 if is_part else start
    with closing(answer["Body"]) as body:
        for piece in body.iter_chunks(chunk_size):
            if skip >= len(piece):
                skip -= len(piece)
                continue
            yield piece[skip:]
            skip = 0


def _ask(clients: S3Clients, bucket: str, key: str, start: int, end: int | None, if_match: str | None) -> Any:
    """Ask for a part of an object; None if the object ends before it."""
    options = {"IfMatch": f'"{if_match}"'} if if_match else {}
    if start or end is not None:
        options["Range"] = f"bytes={start}-{'' if end is None else end - 1}"
    client = clients.boto3
    try:
        answer = client.get_object(Bucket=bucket, Key=key, **options)
    except client.exceptions.ClientError as error:
        if is_outside(error):
            return None
        raise
    if _is_part(answer):
        # Some servers send a part with the status of the whole, which obstore refuses each time.
        clients.ranges_need_boto3 = answer["ResponseMetadata"]["HTTPStatusCode"] == HTTPStatus.OK
    return answer


def _is_part(answer: dict[str, Any]) -> bool:
    return "ContentRange" in answer


def _is_whole_within(answer: dict[str, Any], start: int, end: int, if_match: str | None) -> bool:
    """Say whether an answer that is no part is a whole object, one that ends before the end of the range.

    A page of somebody between here and the server is short as well, but has not the object's ETag.
    """
    is_other = if_match is not None and plain_etag(answer.get("ETag")) != if_match
    return not (start or is_other or answer["ContentLength"] > end)


__all__ = ["read_part", "stream_part"]

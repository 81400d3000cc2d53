"""Objects and parts of them by boto3, for servers and keys that obstore cannot ask."""

from __future__ import annotations

from contextlib import closing
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from ..errors import RangeNotServedError
from .base import plain_etag
from .s3_answers import answered_info
from .s3_errors import is_outside

if TYPE_CHECKING:
    from collections.abc import Generator

    from .base import ObjectInfo
    from .s3_clients import S3Clients


def read_part(
    clients: S3Clients, bucket: str, key: str, start: int, end: int | None, if_match: str | None
) -> tuple[bytes, ObjectInfo] | None:
    """Read ``[start:end]`` of an object, also from a server that sends it whole, and say what object that is.

    Returns
    -------
    tuple of bytes and ObjectInfo, or None
        None if the object ends before `start`.
    """
    answer = _ask(clients, bucket, key, start, end, if_match)
    if answer is None:
        return None
    with closing(answer["Body"]) as body:
        # What lies behind the range in a whole object is not waited for.
        data: bytes = body.read() if _is_part(answer) else body.read(end)[start:]
    return data, answered_info(key, answer)


def stream_part(
    clients: S3Clients,
    bucket: str,
    key: str,
    start: int,
    end: int | None,
    if_match: str | None,
    chunk_size: int,
    *,
    version: str | None = None,
) -> Generator[bytes, None, None]:
    """Yield ``[start:end]`` of an object; from a server that sends it whole, only where no end is given."""
    answer = _ask(clients, bucket, key, start, end, if_match, version)
    if answer is None:
        return
    is_part = _is_part(answer)
    if end is not None and not is_part and not _is_whole_within(answer, start, end, if_match):
        answer["Body"].close()
        raise RangeNotServedError(f"cannot read a part of s3://{bucket}/{key}: the server sends it whole")
    yield from pieces_of(answer, chunk_size, skip=0 if is_part else start)


def ask_whole(clients: S3Clients, bucket: str, key: str, if_match: str | None) -> dict[str, Any]:
    """Ask for an object; the bytes are in ``Body``."""
    answer: dict[str, Any] = _ask(clients, bucket, key, 0, None, if_match)
    return answer


def pieces_of(answer: dict[str, Any], chunk_size: int, *, skip: int = 0) -> Generator[bytes, None, None]:
    """Yield the bytes of an answer, those to skip left out; the connection is closed at the end."""
    with closing(answer["Body"]) as body:
        for piece in body.iter_chunks(chunk_size):
            if skip >= len(piece):
                skip -= len(piece)
                continue
            yield piece[skip:]
            skip = 0


def _ask(
    clients: S3Clients,
    bucket: str,
    key: str,
    start: int,
    end: int | None,
    if_match: str | None,
    version: str | None = None,
) -> Any:
    """Ask for a part of an object; None if the object ends before it."""
    options = {"IfMatch": f'"{if_match}"'} if if_match else {}
    if version:
        options["VersionId"] = version
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


__all__ = ["ask_whole", "pieces_of", "read_part", "stream_part"]

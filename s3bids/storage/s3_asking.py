"""GET of an object on S3: by obstore, and by boto3, at ten times the CPU, where obstore cannot.

S3 answers a range with 206 (RFC 9110, section 15.3.7), the only answer that obstore takes. Other servers show with the
first one what they do: ``rclone serve s3`` sends the range with status 200, and a server without ranges sends the
whole object.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, NamedTuple

from .base import Piece, plain_etag
from .s3_answers import cut, info, is_odd
from .s3_clients import PATIENT_RETRIES, obstore_is_lost
from .s3_errors import is_not_partial, is_outside, translating
from .s3_parts import ask_whole, pieces_of, read_part, stream_part

if TYPE_CHECKING:
    from obstore import GetResult

    from .base import ObjectInfo
    from .params import S3Params
    from .s3_clients import S3Clients

#: The bytes of an object; closing it gives the connection back.
Pieces = Generator[Piece, None, None]


class Answer(NamedTuple):
    """What a server answers when it is asked for a whole object."""

    #: Bytes in all.
    size: int
    #: Without quotes; None where the server says none.
    etag: str | None
    pieces: Pieces


class Asking:
    """Ask for the objects of one bucket. Serves many threads."""

    def __init__(self, params: S3Params, clients: S3Clients) -> None:
        self._bucket = params.bucket_name
        #: Where the bucket is, for messages.
        self.location = f"s3://{params.bucket_name}"
        self._endpoint = params.endpoint_url or ""
        self._clients = clients

    def translating(self, operation: str, key: str = "") -> translating:
        """Turn errors into ours."""
        return translating(operation, self.location, key, self._endpoint)

    def by_boto3(self, key: str) -> bool:
        """Say whether all requests for a key go by boto3.

        They do if a client was given, if obstore cannot carry the key, or if a fork has left obstore behind.
        """
        return self._clients.is_given or is_odd(key) or obstore_is_lost()

    def part(
        self, key: str, start: int, end: int | None, if_match: str | None = None
    ) -> tuple[bytes, ObjectInfo] | None:
        """Read a part of an object, and say what object that is; None if the object ends before the part.

        It takes one request, since a server of which nothing is known yet is asked by boto3.
        """
        with self.translating("read", key):
            if self.by_boto3(key) or self._clients.ranges_need_boto3 is not False:
                return read_part(self._clients, self._bucket, key, start, end, if_match)
            try:
                answer = self._clients.get(key, start, end, if_match, retries=PATIENT_RETRIES)
                return bytes(answer.bytes()), info(answer.meta)
            except Exception as error:
                if is_outside(error):
                    return None
                if not is_not_partial(error):
                    raise
            return read_part(self._clients, self._bucket, key, start, end, if_match)

    def whole(self, key: str, chunk_size: int, if_match: str | None = None) -> Answer:
        """Ask for an object, and learn from the answer how large it is before its bytes are taken."""
        trouble = self.translating("read", key)
        with trouble:
            if self.by_boto3(key):
                found = ask_whole(self._clients, self._bucket, key, if_match)
                pieces = _guarded(pieces_of(found, chunk_size), trouble)
                return Answer(found["ContentLength"], plain_etag(found.get("ETag")), pieces)
            answer = self._clients.get(key, 0, None, if_match, retries=PATIENT_RETRIES)
            meta = answer.meta
            return Answer(meta["size"], plain_etag(meta["e_tag"]), _guarded(_pieces(answer, chunk_size), trouble))

    def stream(
        self, key: str, start: int, end: int | None, if_match: str | None, chunk_size: int, *, retries: int
    ) -> Pieces:
        """Yield the bytes ``[start:end]`` of an object; `retries` are those of obstore."""
        ranges_fail = end is not None and self._clients.ranges_need_boto3
        if self.by_boto3(key) or (start and end is None) or ranges_fail:
            yield from self._stream_by_boto3(key, start, end, if_match, chunk_size)
            return
        # No context manager around: small files are many, and each microsecond counts for them.
        try:
            yield from _pieces(self._clients.get(key, start, end, if_match, retries=retries), chunk_size)
            return
        except Exception as error:
            if is_outside(error):
                return
            if end is None or not is_not_partial(error):
                with self.translating("read", key):
                    raise
        yield from self._stream_by_boto3(key, start, end, if_match, chunk_size)

    def _stream_by_boto3(self, key: str, start: int, end: int | None, if_match: str | None, chunk_size: int) -> Pieces:
        with self.translating("read", key):
            yield from stream_part(self._clients, self._bucket, key, start, end, if_match, chunk_size)


def _pieces(answer: GetResult, chunk_size: int) -> Pieces:
    first, last = answer.range
    if last - first > chunk_size:
        for piece in answer.stream(min_chunk_size=chunk_size):
            yield from cut(memoryview(piece), chunk_size)
        return
    # One call instead of one for each piece and one for the end.
    data = memoryview(answer.bytes())
    if data:
        yield data


def _guarded(pieces: Generator[Any, None, None], trouble: translating) -> Pieces:
    with trouble:
        yield from pieces


__all__ = ["Answer", "Asking", "Pieces"]

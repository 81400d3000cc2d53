"""GET of an object on S3: by obstore, and by boto3 where obstore cannot."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple

from .base import plain_etag
from .s3_answers import is_odd
from .s3_clients import PATIENT_RETRIES
from .s3_errors import translating

if TYPE_CHECKING:
    from obstore import GetOptions, GetResult

    from .params import S3Params
    from .s3_clients import S3Clients


class Answer(NamedTuple):
    """What a server answers to a GET."""

    #: Size of the object in bytes, where the whole of it was asked for.
    size: int
    #: Without quotes; None where the server says none.
    etag: str | None
    #: The bytes asked for, in pieces with a buffer.
    pieces: Generator[Any, None, None]


#: Asks for the bytes from a start to an end (None: all of them), of the object with an ETag (None: any).
Open = Callable[[int, int | None, str | None], Answer]


class Asking:
    """Ask for the objects of one bucket. Serves many threads."""

    def __init__(self, params: S3Params, clients: S3Clients) -> None:
        self._bucket = params.bucket_name
        self._endpoint = params.endpoint_url or ""
        self._clients = clients
        #: rclone answers a range with status 200, which obstore takes for no answer to it.
        self._ranges_by_obstore = True

    def opener(self, key: str, piece_bytes: int) -> Open:
        """Give a function that asks for the bytes of one object, in pieces of about `piece_bytes`."""

        def ask(start: int, end: int | None, etag: str | None) -> Answer:
            by_obstore = not self._clients.is_given and not is_odd(key) and (end is None or self._ranges_by_obstore)
            answer = self._by_obstore(key, start, end, etag, piece_bytes) if by_obstore else None
            return answer or self._by_boto3(key, start, end, etag, piece_bytes)

        return ask

    def translating(self, operation: str, key: str) -> translating:
        """Turn errors into ours."""
        return translating(operation, f"s3://{self._bucket}", key, self._endpoint)

    def _by_obstore(self, key: str, start: int, end: int | None, etag: str | None, piece_bytes: int) -> Answer | None:
        """Ask by obstore; None if that takes no ranges from this server."""
        import obstore
        from obstore.exceptions import BaseError

        options: GetOptions = {}
        if end is not None:
            options["range"] = (start, end)
        if etag is not None:
            options["if_match"] = f'"{etag}"'
        trouble = self.translating("read", key)
        with trouble:
            try:
                answer = self._clients.ask(
                    lambda store: obstore.get(store, key, options=options), retries=PATIENT_RETRIES
                )
            except BaseError as error:
                if end is None or "non-partial response" not in str(error):
                    raise
                self._ranges_by_obstore = False
                return None
            meta = answer.meta
        return Answer(meta["size"], plain_etag(meta["e_tag"]), _by_obstore(answer, piece_bytes, trouble))

    def _by_boto3(self, key: str, start: int, end: int | None, etag: str | None, piece_bytes: int) -> Answer:
        options = {} if end is None else {"Range": f"bytes={start}-{end - 1}"}
        if etag is not None:
            options["IfMatch"] = f'"{etag}"'
        trouble = self.translating("read", key)
        with trouble:
            answer = self._clients.boto3.get_object(Bucket=self._bucket, Key=key, **options)
        # A server without ranges sends all.
        skip = 0 if "ContentRange" in answer else start
        pieces = _by_client(answer["Body"], piece_bytes, skip=skip, trouble=trouble)
        return Answer(answer["ContentLength"], plain_etag(answer.get("ETag")), pieces)

    def range(self, key: str, start: int, end: int | None) -> bytes:
        """Read a part of an object in one request; past its end there are no bytes."""
        from botocore.exceptions import ClientError

        last = "" if end is None else end - 1
        with self.translating("read", key):
            try:
                answer = self._clients.boto3.get_object(Bucket=self._bucket, Key=key, Range=f"bytes={start}-{last}")
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                    return b""
                raise
            with closing(answer["Body"]) as body:
                data: bytes = body.read()
        # A server without ranges sends the whole object: boto3 takes that as well, obstore does not.
        return data if "ContentRange" in answer else data[start:end]


def _by_obstore(answer: GetResult, piece_bytes: int, trouble: translating) -> Generator[Any, None, None]:
    with trouble:
        if answer.meta["size"] <= piece_bytes:
            # One call instead of one for each piece and one for the end: small files are many.
            yield answer.bytes()
            return
        yield from answer.stream(min_chunk_size=piece_bytes)


def _by_client(body: Any, piece_bytes: int, *, skip: int, trouble: translating) -> Generator[Any, None, None]:
    with trouble, closing(body):
        for piece in body.iter_chunks(piece_bytes):
            if skip < len(piece):
                yield memoryview(piece)[skip:]
            skip = max(0, skip - len(piece))


__all__ = ["Answer", "Asking", "Open"]

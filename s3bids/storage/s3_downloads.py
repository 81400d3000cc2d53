"""Bytes of one object on S3, to memory or to a file: in one request, or in ranges side by side.

The first request asks for the whole object, because its answer says how large the object is: a small one, as most are,
is then here already. A large one is read from that answer up to the end of the first part, and the other parts are
asked for meanwhile, each with the ETag of the first answer.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import closing
from http import HTTPStatus
from io import BytesIO
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, Protocol

from ..errors import StorageConnectionError
from .base import plain_etag
from .chooser import TransferMethod
from .concurrency import in_threads
from .s3_clients import PATIENT_RETRIES
from .transfers import Progress, Throttle

if TYPE_CHECKING:
    from obstore import GetOptions, GetResult

    from .s3_clients import S3Clients
    from .s3_errors import translating
    from .transfers import Limits, ProgressCallback


class Answer(NamedTuple):
    """What a server answers to a GET."""

    #: Size of the whole object, in bytes.
    size: int
    #: Without quotes; None where the server says none.
    etag: str | None
    #: The bytes asked for, in pieces with a buffer.
    pieces: Generator[Any, None, None]


#: Asks for the bytes from a start to an end (None: all), of the object with an ETag (None: any).
Open = Callable[[int, int | None, str | None], Answer]


class Sink(Protocol):
    """Where the bytes go."""

    def begin(self, size: int) -> None:
        """Make room."""
        ...

    def put(self, start: int, piece: memoryview) -> None:
        """Take a piece that begins at `start`. Serves many threads."""
        ...


class MemorySink:
    """Collect an object in memory, once and not twice: BytesIO gives its bytes away without a copy."""

    def __init__(self) -> None:
        self._buffer = BytesIO()
        self._view = memoryview(b"")

    def begin(self, size: int) -> None:
        """Make room."""
        self._buffer = BytesIO(bytes(size))
        self._view = self._buffer.getbuffer()

    def put(self, start: int, piece: memoryview) -> None:
        """Take a piece."""
        self._view[start : start + len(piece)] = piece

    def data(self) -> bytes:
        """Give the bytes; no piece can be taken after that."""
        self._view.release()
        return self._buffer.getvalue()


class FileSink:
    """Write an object to a file, whatever the order of its pieces."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._lock = threading.Lock()

    def begin(self, size: int) -> None:
        """Do nothing: a file grows by itself."""

    def put(self, start: int, piece: memoryview) -> None:
        """Write a piece."""
        with self._lock:
            self._file.seek(start)
            self._file.write(piece)


def fetch(
    what: str,
    open_object: Open,
    sink: Sink,
    method: TransferMethod,
    limits: Limits,
    callback: ProgressCallback | None,
) -> tuple[int, Progress]:
    """Bring one object to a sink; give its size, and the progress, whose end the caller tells when all is stored.

    Parameters
    ----------
    what
        The object's address, for messages.

    Raises
    ------
    ObjectChangedError
        If the object becomes another one meanwhile.
    StorageConnectionError
        If the bytes break off too often.
    """
    first = open_object(0, None, None)
    sink.begin(first.size)
    progress = Progress(callback, first.size)
    part = _Part(what, open_object, sink, first, limits, progress)
    # Without an ETag nothing would keep the ranges of two versions apart.
    if method is TransferMethod.SIMPLE or first.size < limits.multipart_threshold or first.etag is None:
        part.fetch((0, first.size))
        return first.size, progress
    size = limits.multipart_chunksize
    spans = [(start, min(start + size, first.size)) for start in range(0, first.size, size)]
    if limits.use_threads:
        in_threads(part.fetch, spans, workers=limits.max_concurrency)
    else:
        for span in spans:
            part.fetch(span)
    return first.size, progress


class _Part:
    """Fetch parts of one object. Serves many threads."""

    def __init__(
        self, what: str, open_object: Open, sink: Sink, first: Answer, limits: Limits, progress: Progress
    ) -> None:
        self._what = what
        self._open = open_object
        self._sink = sink
        self._first = first
        self._attempts = limits.num_download_attempts if first.etag else 1
        self._throttle = Throttle(limits.max_bandwidth)
        self._progress = progress

    def fetch(self, span: tuple[int, int]) -> None:
        """Fetch the bytes from a start to an end; where they break off, ask for the rest."""
        start, end = span
        at = start
        for attempt in range(1, self._attempts + 1):
            try:
                for piece in self._pieces(at, end, is_first=start == 0 and attempt == 1):
                    self._take(at, piece)
                    at += len(piece)
            except StorageConnectionError:
                if attempt == self._attempts:
                    raise
            if at == end:
                return
        raise StorageConnectionError(
            f"cannot read {self._what}: {at - start} of the {end - start} bytes from {start} on came in "
            f"{self._attempts} attempts, and then no more; check the network and the server"
        )

    def _pieces(self, at: int, end: int, *, is_first: bool) -> Generator[memoryview, None, None]:
        """Yield the bytes from one position to another, and close the connection there."""
        pieces = self._first.pieces if is_first else self._open(at, end, self._first.etag).pieces
        with closing(pieces):
            for piece in pieces:
                view = memoryview(piece)[: end - at]
                yield view
                at += len(view)
                if at == end:
                    return

    def _take(self, at: int, piece: memoryview) -> None:
        self._throttle.take(len(piece))
        self._sink.put(at, piece)
        self._progress.add(len(piece))


def read_range(client: Any, bucket: str, key: str, start: int, end: int | None) -> bytes:
    """Read a part of an object in one request of a boto3 client; past its end there are no bytes."""
    from botocore.exceptions import ClientError

    last = "" if end is None else end - 1
    try:
        answer = client.get_object(Bucket=bucket, Key=key, Range=f"bytes={start}-{last}")
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return b""
        raise
    with closing(answer["Body"]) as body:
        data: bytes = body.read()
    # A server without ranges sends the whole object: boto3 takes that as well, obstore does not.
    return data if "ContentRange" in answer else data[start:end]


def opener(
    clients: S3Clients, bucket: str, key: str, trouble: translating, *, by_boto3: bool, piece_bytes: int
) -> Open:
    """Give the function that asks for an object's bytes.

    Parameters
    ----------
    trouble
        Turns errors into ours.
    by_boto3
        For what obstore cannot carry.
    piece_bytes
        About the size of the pieces.
    """

    def by_obstore(start: int, end: int | None, etag: str | None) -> Answer:
        import obstore

        options: GetOptions = {}
        if end is not None:
            options["range"] = (start, end)
        if etag is not None:
            options["if_match"] = f'"{etag}"'
        with trouble:
            answer = clients.ask(lambda store: obstore.get(store, key, options=options), retries=PATIENT_RETRIES)
            meta = answer.meta
        return Answer(meta["size"], plain_etag(meta["e_tag"]), _by_obstore(answer, piece_bytes, trouble))

    def by_client(start: int, end: int | None, etag: str | None) -> Answer:
        options = {} if end is None else {"Range": f"bytes={start}-{end - 1}"}
        if etag is not None:
            options["IfMatch"] = f'"{etag}"'
        with trouble:
            answer = clients.boto3.get_object(Bucket=bucket, Key=key, **options)
        span = answer.get("ContentRange")
        size = int(span.rpartition("/")[2]) if span else answer["ContentLength"]
        # A server without ranges sends all.
        skip = 0 if span else start
        return Answer(
            size, plain_etag(answer.get("ETag")), _by_client(answer["Body"], piece_bytes, skip=skip, trouble=trouble)
        )

    return by_client if by_boto3 else by_obstore


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


__all__ = ["Answer", "FileSink", "MemorySink", "Open", "Sink", "fetch", "opener", "read_range"]

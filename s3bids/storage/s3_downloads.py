"""Bytes of one object on S3, to memory or to a file: in one request, or in ranges side by side.

The first request asks for the whole object, because its answer says how large the object is: a small one, as most are,
is then here already. A large one is read from that answer up to the end of the first part, and the other parts are
asked for meanwhile, each with the ETag of the first answer. A server that sends no parts is asked for the whole again.
"""

from __future__ import annotations

import threading
from contextlib import closing
from dataclasses import replace
from io import BytesIO
from typing import TYPE_CHECKING, BinaryIO, Protocol

from ..errors import RangeNotServedError, StorageConnectionError
from .chooser import TransferMethod
from .concurrency import in_threads
from .s3_clients import PATIENT_RETRIES
from .transfers import Progress, Throttle

if TYPE_CHECKING:
    from collections.abc import Generator

    from .s3_asking import Answer, Asking, Pieces
    from .transfers import Limits, ProgressCallback


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
    asking: Asking,
    key: str,
    sink: Sink,
    method: TransferMethod,
    limits: Limits,
    callback: ProgressCallback | None,
    if_match: str | None = None,
) -> tuple[int, Progress]:
    """Bring one object to a sink; give its size, and the progress, whose end the caller tells when all is stored.

    Raises
    ------
    ObjectChangedError
        If the object is not the one of `if_match` (an ETag without quotes), or becomes another one meanwhile.
    StorageConnectionError
        If the bytes break off too often.
    """
    first = asking.whole(key, limits.io_chunksize, if_match)
    sink.begin(first.size)
    progress = Progress(callback, first.size)
    part = _Part(asking, key, sink, first, limits, progress)
    try:
        _fetch_parts(part, first, method, limits)
    except RangeNotServedError:
        # All bytes again, over those that are here: nothing but the whole is to be had.
        again = asking.whole(key, limits.io_chunksize, first.etag)
        _Part(asking, key, sink, again, replace(limits, num_download_attempts=1), progress).fetch((0, first.size))
    return first.size, progress


def _fetch_parts(part: _Part, first: Answer, method: TransferMethod, limits: Limits) -> None:
    # Without an ETag nothing would keep the ranges of two versions apart.
    if method is TransferMethod.SIMPLE or first.size < limits.multipart_threshold or first.etag is None:
        part.fetch((0, first.size))
        return
    size = limits.multipart_chunksize
    spans = [(start, min(start + size, first.size)) for start in range(0, first.size, size)]
    if limits.use_threads:
        in_threads(part.fetch, spans, workers=limits.max_concurrency)
        return
    for span in spans:
        part.fetch(span)


class _Part:
    """Fetch parts of one object. Serves many threads."""

    def __init__(self, asking: Asking, key: str, sink: Sink, first: Answer, limits: Limits, progress: Progress) -> None:
        self._asking = asking
        self._key = key
        self._sink = sink
        self._first = first
        self._attempts = limits.num_download_attempts if first.etag else 1
        self._chunk_size = limits.io_chunksize
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
            f"cannot read {self._asking.location}/{self._key}: {at - start} of the {end - start} bytes from {start} on "
            f"came in {self._attempts} attempts, and then no more; check the network and the server"
        )

    def _pieces(self, at: int, end: int, *, is_first: bool) -> Generator[memoryview, None, None]:
        """Yield the bytes from one position to another, and close the connection there."""
        with closing(self._first.pieces if is_first else self._rest(at, end)) as pieces:
            for piece in pieces:
                view = memoryview(piece)[: end - at]
                yield view
                at += len(view)
                if at == end:
                    return

    def _rest(self, at: int, end: int) -> Pieces:
        return self._asking.stream(self._key, at, end, self._first.etag, self._chunk_size, retries=PATIENT_RETRIES)

    def _take(self, at: int, piece: memoryview) -> None:
        self._throttle.take(len(piece))
        self._sink.put(at, piece)
        self._progress.add(len(piece))


__all__ = ["FileSink", "MemorySink", "Sink", "fetch"]

"""An object on S3 as a file to write to: in parts, with bounded memory, and there only when it is whole."""

from __future__ import annotations

import io
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from .s3_uploads import Parts, put_whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .s3_errors import translating
    from .s3_uploads import Target

#: Bytes of one part, of an object whose size only its end will tell. S3 takes at most 10,000 parts (S3 user guide,
#: "Multipart upload limits"), so it has at most 156 GiB.
PART_BYTES = 16 * 1024 * 1024
#: Parts under way at once; with the one that is being filled they bound the memory: 64 MiB.
PARTS_UNDER_WAY = 3


@contextmanager
def uploading(target: Target, errors: translating) -> Iterator[BinaryIO]:
    """Open an object for writing. It takes its name when the block ends well; otherwise nothing is left on the server.

    Parameters
    ----------
    errors
        The context that turns errors of the client into ours; errors of the block itself are left alone.
    """
    upload = _Upload(target, errors)
    try:
        yield cast("BinaryIO", upload)
        upload.finish()
    except BaseException:
        upload.abandon()
        raise


class _Upload(io.RawIOBase):
    """What is written goes out part by part; what fits into one part is one PUT."""

    def __init__(self, target: Target, errors: translating) -> None:
        self._target = target
        self._errors = errors
        self._buffer = bytearray()
        self._written = 0
        self._parts: Parts | None = None
        self._threads = ThreadPoolExecutor(PARTS_UNDER_WAY, thread_name_prefix="s3bids-part")
        self._under_way: deque[Future[dict[str, Any]]] = deque()
        self._sent: list[dict[str, Any]] = []

    def writable(self) -> bool:
        """Say that the file can be written."""
        return True

    def tell(self) -> int:
        """Give the number of bytes written."""
        return self._written

    def write(self, data: Any) -> int:
        """Take bytes; wait for parts under way when there are enough of them."""
        view = memoryview(data).cast("B")
        self._written += len(view)
        for first in range(0, len(view), PART_BYTES):
            self._buffer += view[first : first + PART_BYTES]
            while len(self._buffer) > PART_BYTES:
                self._send(bytes(self._buffer[:PART_BYTES]))
                del self._buffer[:PART_BYTES]
        return len(view)

    def _send(self, part: bytes) -> None:
        if self._parts is None:
            with self._errors:
                self._parts = Parts(self._target)
        while len(self._under_way) >= PARTS_UNDER_WAY:
            self._receive()
        number = len(self._sent) + len(self._under_way) + 1
        self._under_way.append(self._threads.submit(self._parts.send, number, part))

    def _receive(self) -> None:
        with self._errors:
            self._sent.append(self._under_way.popleft().result())

    def finish(self) -> None:
        """Send what is left, and make the object."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        if self._parts is None:
            with self._errors:
                put_whole(self._target, rest)
            return
        self._send(rest)
        while self._under_way:
            self._receive()
        self._threads.shutdown()
        with self._errors:
            self._parts.complete(self._sent)

    def abandon(self) -> None:
        """Take back the parts that were sent, after those under way: one that arrives later would stay."""
        self._threads.shutdown(cancel_futures=True)
        if self._parts is not None:
            self._parts.abort()


__all__ = ["PARTS_UNDER_WAY", "PART_BYTES", "uploading"]

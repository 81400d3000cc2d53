"""An object as a file that can be read and sought, by ranged requests made when bytes are needed."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..storage.base import Storage

#: The first request: enough for the header of any image, compressed or not.
FIRST_BYTES = 64 * 1024
#: Requests grow to this while reading goes on from where the last one ended.
MOST_BYTES = 8 * 1024 * 1024


class RangeFile(io.RawIOBase):
    """Read an object in blocks; one block is held, so memory is bounded by 8 MiB.

    A read that goes on where the last block ended doubles the size of the next one; a jump starts small again.

    Parameters
    ----------
    storage, key
        Where the object is. Its size is asked for at once, nothing else.
    """

    def __init__(self, storage: Storage, key: str) -> None:
        self._storage = storage
        self._key = key
        self._size = storage.head(key).size
        self._position = 0
        self._start = 0
        self._block = b""
        self._next_bytes = FIRST_BYTES

    def readable(self) -> bool:
        """Say that the file can be read."""
        return True

    def seekable(self) -> bool:
        """Say that any place can be sought."""
        return True

    def tell(self) -> int:
        """Give the place of the next byte."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place; nothing is requested."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override] # a buffer of bytes is all that is needed
        """Fill a buffer, but for the end of the object: nibabel takes a short read for a damaged file."""
        view = memoryview(buffer).cast("B")
        filled = 0
        while filled < len(view) and self._position < self._size:
            offset = self._position - self._start
            if not 0 <= offset < len(self._block):
                self._fetch(len(view) - filled)
                offset = 0
            piece = self._block[offset : offset + len(view) - filled]
            if not piece:
                break
            view[filled : filled + len(piece)] = piece
            self._position += len(piece)
            filled += len(piece)
        return filled

    def read_some(self, size: int) -> bytes:
        """Read up to `size` bytes, and no further than the block at hand: at most one request; ``b""`` is the end."""
        if self._position >= self._size or size == 0:
            return b""
        offset = self._position - self._start
        if not 0 <= offset < len(self._block):
            self._fetch(1)
            offset = 0
        piece = self._block[offset : offset + size] if size > 0 else self._block[offset:]
        self._position += len(piece)
        return piece

    def _fetch(self, wanted: int) -> None:
        end = self._start + len(self._block)
        if self._position == end and self._block:
            self._next_bytes = min(self._next_bytes * 2, MOST_BYTES)
        elif self._block:
            self._next_bytes = FIRST_BYTES
        # A large read, as of a slab of an image, says how much is needed: no more is fetched.
        size = min(max(wanted, self._next_bytes), MOST_BYTES) if wanted <= self._next_bytes else min(wanted, MOST_BYTES)
        self._start = self._position
        self._block = self._storage.read(self._key, self._position, self._position + size)


class BlockByBlock:
    """A RangeFile for gzip, which asks for more bytes at a time than a header needs, and is content with fewer."""

    def __init__(self, file: RangeFile) -> None:
        self._file = file
        self.read = file.read_some
        self.seek = file.seek
        self.tell = file.tell
        self.seekable = file.seekable

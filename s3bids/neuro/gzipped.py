"""The content of a compressed object as a file that can be read and sought."""

from __future__ import annotations

import io
import zlib
from bisect import bisect_right
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from ..errors import ImageError
from .gzip_index import KeptIndex

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .gzip_index import IndexStore
    from .ranges import RangedFile

GZIP_MAGIC = b"\x1f\x8b"
#: Bytes of content that are inflated at a time, at most.
PIECE_BYTES = 1024 * 1024
#: Compressed bytes that are given to zlib at a time: it copies what it cannot use yet.
INPUT_BYTES = 64 * 1024
#: Least and most bytes of content between two places where inflating can begin anew. Each such place takes 40 KB:
#: 20 MB for an image of up to 4 GiB, half a percent of the content for larger ones.
LEAST_SPACING = 1024 * 1024
MOST_SPACING = 8 * 1024 * 1024
MOST_POINTS = 512
#: zlib cannot make more than this of one byte (zlib.net, "Maximum Compression Factor").
MOST_INFLATION = 1032
_GZIP_WINDOW = zlib.MAX_WBITS | 16


class GzippedFile(io.RawIOBase):
    """Inflate an object as it is read.

    Reading on costs each byte once. On the way, the state of the inflation is remembered every now and then, so that
    a jump back begins near its goal and not at the beginning; with `store`, an index of indexed_gzip is made as well,
    which outlives the program, and costs inflating a second time. Checksum and length, which stand at the end of the
    data (RFC 1952), are checked when the end is reached.

    Parameters
    ----------
    file
        The compressed file.
    content_end
        How long the content is, as far as its header promises.
    store
        Where the index is kept. Default: no index is made.
    """

    def __init__(self, file: RangedFile, *, content_end: int, store: IndexStore | None = None) -> None:
        self.lock = file.lock
        self._file = file
        self._content_end = content_end
        self._spacing = min(max(content_end // MOST_POINTS, LEAST_SPACING), MOST_SPACING)
        self._store = store
        self._index = KeptIndex(file, store, spacing=self._spacing) if store is not None else None
        self._position = 0
        self._prepared_end = 0
        self._piece_start = 0
        self._piece = b""
        self._stream = InflatingStream(file)
        #: Places where inflating can begin anew, in order.
        self._points: list[InflatingStream] = []

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (self._file, self._content_end, self._store)

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return self._file.name

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
        """Go to a place, counted from the beginning or from here: the length of the content is not known before."""
        if whence == io.SEEK_END:
            raise io.UnsupportedOperation("the end of compressed data is known when they have been read")
        self._position = max(0, offset + (self._position if whence == io.SEEK_CUR else 0))
        return self._position

    def prepare(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Say which places will be read, so that what they need is fetched ahead; nothing takes that back."""
        with self.lock:
            self._prepared_end = ranges[-1][1] if ranges else 0
            self._file.begin(self._compressed_place(self._prepared_end))

    def done(self) -> None:
        """Say that a read has ended: what was learnt on the way is kept."""
        with self.lock:
            if self._index is not None:
                self._index.keep()

    def _compressed_place(self, place: int) -> int:
        """Estimate where in the file a place of the content is."""
        if place >= self._content_end:
            return self._file.size
        known = {(0, 0), (self._content_end, self._file.size), *((point.made, point.taken) for point in self._points)}
        known.update(point for point in (self._index.points() if self._index else ()) if point[0] < self._content_end)
        for (made, taken), (next_made, next_taken) in pairwise(sorted(known)):
            if place < next_made:
                return taken + (place - made) * (next_taken - taken) // (next_made - made)
        return self._file.size

    def check_size(self, end: int) -> None:
        """Refuse content that could not come out of an object so small.

        Raises
        ------
        ImageError
            If the header promises more than zlib can make.
        """
        if end > self._file.size * MOST_INFLATION:
            raise ImageError(
                f"cannot read {self._file.name}: its header promises {end} bytes, and {self._file.size} "
                "compressed bytes cannot hold so many; the image is cut short, or its header is damaged"
            )

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override] # a buffer of bytes is all that is needed
        """Fill a buffer, but for the end of the content."""
        with self.lock:
            view = memoryview(buffer).cast("B")
            filled = 0
            while filled < len(view):
                piece = self._piece_at(self._position, len(view) - filled)
                if not piece:
                    break
                view[filled : filled + len(piece)] = piece
                filled += len(piece)
                self._position += len(piece)
            if self._position == self._content_end:
                self._check_end()
            return filled

    def _piece_at(self, position: int, size: int) -> memoryview:
        """Give some of the content from a place on, at most `size` bytes; nothing is the end."""
        if not self._piece_start <= position < self._piece_start + len(self._piece):
            self._inflate(position, size)
        offset = position - self._piece_start
        return memoryview(self._piece)[offset : offset + size] if self._piece else memoryview(b"")

    def _inflate(self, position: int, size: int) -> None:
        """Inflate a piece that holds a place."""
        start = self._nearest(position)
        if self._index is not None and self._index.nearest(position) > start.made + self._spacing:
            # Small reads follow one another: the piece may hold all that was announced.
            most = min(PIECE_BYTES, self._prepared_end - position)
            self._piece = self._index.read(position, max(size, most))
            self._piece_start = position
            return
        self._stream = start
        try:
            while self._stream.made <= position and self._next_piece():
                pass
        except BaseException:
            # Whoever tries again begins anew from the last place that was remembered.
            self._stream = InflatingStream(self._file)
            self._piece = b""
            raise

    def _next_piece(self) -> bytes:
        self._piece_start = self._stream.made
        self._piece = self._stream.next_piece()
        self._remember()
        return self._piece

    def _nearest(self, position: int) -> InflatingStream:
        """Give a stream that stands at or before a place, as near as there is one."""
        index = bisect_right(self._points, position, key=lambda point: point.made)
        behind = self._points[index - 1] if index else None
        if self._stream.made <= position and (behind is None or behind.made <= self._stream.made):
            return self._stream
        return InflatingStream(self._file) if behind is None else behind.copy()

    def _remember(self) -> None:
        stream = self._stream
        last = self._points[-1].made if self._points else 0
        if stream.made >= last + self._spacing and stream.can_be_copied:
            self._points.append(stream.copy())
        if self._index is not None:
            self._index.extend(stream.made, is_end=not self._piece)

    def _check_end(self) -> None:
        """Inflate on behind the data: what is wrong with the end shows there."""
        if self._stream.made == self._content_end:
            self._inflate(self._content_end, 1)


def _reopen(file: RangedFile, content_end: int, store: IndexStore | None) -> GzippedFile:
    return GzippedFile(file, content_end=content_end, store=store)


class InflatingStream:
    """Inflate a gzip file from its beginning on; a copy goes on from where the original stands.

    Several gzip members in a row are one content (RFC 1952, section 2.2); zeros or other bytes behind the last one are
    passed over.
    """

    def __init__(self, file: RangedFile) -> None:
        self._file = file
        self._inflater = zlib.decompressobj(_GZIP_WINDOW)
        self._rest = b""
        #: Compressed bytes taken from the file.
        self.taken = 0
        #: Bytes of content made of them.
        self.made = 0

    @property
    def can_be_copied(self) -> bool:
        """Whether a copy is small: nothing waits to be inflated."""
        return not (self._rest or self._inflater.unconsumed_tail or self._inflater.eof)

    def copy(self) -> InflatingStream:
        """Give a stream of its own that stands at the same place."""
        new = InflatingStream(self._file)
        new._inflater = self._inflater.copy()
        new._rest, new.taken, new.made = self._rest, self.taken, self.made
        return new

    def next_piece(self, most: int = PIECE_BYTES) -> bytes:
        """Inflate on; ``b""`` is the end.

        Raises
        ------
        ImageError
            If the data are damaged, end early, or do not have the checksum that stands behind them.
        """
        while not self._inflater.eof or self._begin_member():
            waiting = self._inflater.unconsumed_tail or self._rest or self._take()
            self._rest = b""
            if not waiting:
                raise ImageError(f"cannot read {self._file.name}: its compressed data end early; it is cut short")
            try:
                piece = self._inflater.decompress(waiting, most)
            except zlib.error as error:
                raise ImageError(f"cannot read {self._file.name}: its compressed data are damaged ({error})") from error
            if piece:
                self.made += len(piece)
                return piece
        return b""

    def _take(self) -> bytes:
        self._file.seek(self.taken)
        data = self._file.read_some(INPUT_BYTES)
        self.taken += len(data)
        return data

    def _begin_member(self) -> bool:
        """Look for another member behind the one that has ended."""
        rest = self._inflater.unused_data
        while len(rest.lstrip(b"\0")) < len(GZIP_MAGIC) and (more := self._take()):
            rest = rest.lstrip(b"\0") + more
        rest = rest.lstrip(b"\0")
        if not rest.startswith(GZIP_MAGIC):
            return False
        self._inflater = zlib.decompressobj(_GZIP_WINDOW)
        self._rest = rest
        return True

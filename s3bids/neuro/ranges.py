"""An object as a file that can be read and sought, by ranged requests that follow how it is read."""

from __future__ import annotations

import io
import threading
from bisect import bisect_right, insort
from collections import OrderedDict, deque
from typing import TYPE_CHECKING

from ..errors import ImageError
from ..storage.concurrency import in_threads

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .sources import Source

#: The first request, and the least one for a place that nothing is known of: enough for the header of any image, and
#: no more than 64 KB, whichever KB one counts.
FIRST_BYTES = 60 * 1024
#: The least request when places are read at random.
LEAST_BYTES = 4 * 1024
#: The largest request. AWS advises 8 to 16 MB (S3 user guide, "Use byte-range fetches").
PART_BYTES = 8 * 1024 * 1024
#: Requests under way at once, ahead of the reader: one connection is slower than a link, and than a gunzip.
UNDER_WAY = 4
#: How far to read ahead of a reader of whom it is not known how far it will go.
MOST_AHEAD = 8 * 1024 * 1024
#: Bytes of blocks that are kept. With the requests under way, an open file takes at most 64 MiB of memory.
CACHE_BYTES = 32 * 1024 * 1024
#: Requests that go on from where the last one ended, before more is fetched than is asked for.
PATIENCE = 2


class RangedFile(io.RawIOBase):
    """Read an object by ranges.

    Blocks that were fetched are kept, the least recently used ones go first. Who reads on and on is read ahead for, in
    the background: at most as many bytes as were fetched in one run so far. Who jumps about gets just what was asked
    for. A reader that knows how far it will go says so (:meth:`begin`), and nothing is left to guess.

    Parameters
    ----------
    source
        Where the bytes are. Nothing is asked of it before they are needed.
    cache_bytes
        Bytes of blocks to keep.

    Notes
    -----
    Position and content belong together: threads that share a file hold its `lock` from :meth:`seek` to the read.
    """

    def __init__(self, source: Source, *, cache_bytes: int = CACHE_BYTES) -> None:
        self.source = source
        self.lock = threading.RLock()
        self._cache_bytes = cache_bytes
        self._blocks = _Blocks(cache_bytes)
        self._ahead: deque[_Fetch] = deque()
        self._position = 0
        self._expected = 0
        self._run_start = 0
        self._run_end = 0
        self._streak = 0
        self._least = FIRST_BYTES
        self._step = FIRST_BYTES
        self._reach = 0
        self._is_noted = False

    def __reduce__(self) -> tuple[type[RangedFile], tuple[Source], dict[str, int]]:
        return RangedFile, (self.source,), {"cache_bytes": self._cache_bytes}

    def __setstate__(self, state: dict[str, int]) -> None:
        self._cache_bytes = state["cache_bytes"]
        self._blocks = _Blocks(self._cache_bytes)

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return self.source.name

    @property
    def size(self) -> int:
        """Bytes in all. If nothing was read yet, the first block is fetched."""
        with self.lock:
            if self.source.size is None:
                self._block_at(0, FIRST_BYTES)
        return self.source.size or 0

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
        base = 0 if whence == io.SEEK_SET else self._position if whence == io.SEEK_CUR else self.size
        self._position = max(0, base + offset)
        return self._position

    def begin(self, end: int = 0) -> None:
        """Say that a read begins, and how far it will go if that is known: so far is fetched ahead.

        Who reads by :meth:`readinto` need not say it: each call is a read of its own.
        """
        with self.lock:
            self._expected = end
            self._is_noted = False

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override] # a buffer of bytes is all that is needed
        """Fill a buffer, but for the end of the object: nibabel takes a short read for a damaged file."""
        with self.lock:
            self._is_noted = False
            view = memoryview(buffer).cast("B")
            filled = 0
            while filled < len(view):
                piece = self._next_piece(len(view) - filled)
                if not piece:
                    break
                view[filled : filled + len(piece)] = piece
                filled += len(piece)
            return filled

    def read_some(self, size: int) -> bytes:
        """Read up to `size` bytes, and no further than the block at hand; ``b""`` is the end."""
        with self.lock:
            return bytes(self._next_piece(size, least=1))

    def _next_piece(self, size: int, *, least: int | None = None) -> memoryview:
        """Give the bytes at the position that one block holds, and go behind them.

        Parameters
        ----------
        least
            How many bytes are needed; default: `size`.
        """
        if size <= 0 or (self.source.size is not None and self._position >= self.source.size):
            return memoryview(b"")
        piece = self._block_at(self._position, self._position + (size if least is None else least))[:size]
        self._position += len(piece)
        return piece

    def _block_at(self, position: int, wanted_end: int) -> memoryview:
        """Give the rest of the block that holds a position; it is fetched if it is not there."""
        found = self._blocks.find(position)
        if found is None:
            found = self._fetch(position, wanted_end)
        start, data = found
        return memoryview(data)[position - start :]

    def _fetch(self, position: int, wanted_end: int) -> tuple[int, bytes]:
        if not any(fetch.covers(position) for fetch in self._ahead):
            self._ahead.clear()
        limit = max(wanted_end, self._expected, self._reach_from(position))
        if self.source.size is not None:
            limit = min(limit, self.source.size)
        self._send(position, limit)
        while not self._ahead[0].covers(position):
            self._ahead.popleft()
        fetch = self._ahead[0]
        self._send(fetch.end, limit)
        self._ahead.popleft()
        data = fetch.result()
        self._blocks.put(fetch.start, data)
        self._run_end = max(self._run_end, fetch.end)
        return fetch.start, data

    def _reach_from(self, position: int) -> int:
        """Say how far to fetch without being asked for it. How the file is read is seen once for each read."""
        if not self._is_noted:
            self._is_noted = True
            self._note(position)
        elif position >= max(self._reach, self._expected):
            self._step = min(2 * self._step, MOST_AHEAD)
            self._reach = position + self._step
        return self._reach

    def _note(self, position: int) -> None:
        """See whether a read goes on from where the last one ended: who does so again and again is read ahead for."""
        if self._ahead or 0 < position == self._run_end:
            self._streak += 1
            self._least = min(FIRST_BYTES, self._least * 2)
        else:
            self._streak = 0
            self._least = max(LEAST_BYTES, self._least // 2) if position else FIRST_BYTES
            self._run_start = self._run_end = position
        run = self._run_end - self._run_start
        ahead = min(run, MOST_AHEAD) if self._streak >= PATIENCE else 0
        self._step = max(self._least, ahead)
        self._reach = position + self._step

    def _send(self, start: int, limit: int) -> None:
        """Send requests for what is missing from `start` on, as long as not enough are under way."""
        start = max(start, self._ahead[-1].end if self._ahead else start)
        while start < limit and len(self._ahead) < (UNDER_WAY if self.source.is_parallel else 1):
            known = self._blocks.find(start)
            if known is not None:
                start = known[0] + len(known[1])
                continue
            end = min(limit, start + PART_BYTES, self._blocks.start_after(start, default=limit))
            self._ahead.append(_Fetch(self.source, start, end))
            start = end

    def check_size(self, end: int) -> None:
        """Refuse content that the object does not hold.

        Raises
        ------
        ImageError
            If `end` lies behind the end of the object.
        """
        if end > self.size:
            raise ImageError(
                f"cannot read {self.name}: its header promises {end} bytes, and it has {self.size}; "
                "the image is cut short, or its header is damaged"
            )

    def done(self) -> None:
        """Say that a read has ended; nothing is learnt from it that outlives the file."""

    def prepare(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Fetch several places at once, so that reading them one by one does not wait for each.

        Parameters
        ----------
        ranges
            Pairs of start and end, sorted. Places so close together that a request of its own costs more than the gap
            become one. If they are more than half of the cache, nothing is fetched: the first would be gone before the
            last is there.
        """
        with self.lock:
            runs = [run for run in _joined(ranges) if self._blocks.find(run[0]) is None]
            total = sum(end - start for start, end in runs)
            if len(runs) < 2 or total > self._cache_bytes // 2 or not self.source.is_parallel:
                return
            for (start, _), data in zip(runs, in_threads(lambda run: self.source.read(*run), runs), strict=True):
                self._blocks.put(start, data)


def _joined(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join ranges with small gaps, and cut what is too large for one request."""
    runs: list[tuple[int, int]] = []
    for start, end in ranges:
        if runs and start - runs[-1][1] <= LEAST_BYTES and end - runs[-1][0] <= PART_BYTES:
            runs[-1] = (runs[-1][0], max(end, runs[-1][1]))
        else:
            runs += [(first, min(first + PART_BYTES, end)) for first in range(start, end, PART_BYTES)]
    return runs


class _Fetch:
    """A request in a thread of its own. A daemon: it must not keep the program from ending."""

    def __init__(self, source: Source, start: int, end: int) -> None:
        self.start = start
        self.end = end
        self._source = source
        self._done = threading.Event()
        self._data = b""
        self._error: BaseException | None = None
        threading.Thread(target=self._run, name="s3bids-range", daemon=True).start()

    def covers(self, position: int) -> bool:
        """Say whether the byte at a position is asked for."""
        return self.start <= position < self.end

    def _run(self) -> None:
        try:
            self._data = self._source.read(self.start, self.end)
        except BaseException as error:  # noqa: BLE001 - raised where the bytes are waited for
            self._error = error
        finally:
            self._done.set()

    def result(self) -> bytes:
        """Wait for the bytes."""
        self._done.wait()
        if self._error is not None:
            raise self._error
        return self._data


class _Blocks:
    """Blocks of bytes by their places; the least recently used ones go when there are too many."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._held = 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._starts: list[int] = []

    def find(self, position: int) -> tuple[int, bytes] | None:
        """Give start and content of the block that holds a position."""
        index = bisect_right(self._starts, position) - 1
        if index < 0:
            return None
        start = self._starts[index]
        data = self._blocks[start]
        if position >= start + len(data):
            return None
        self._blocks.move_to_end(start)
        return start, data

    def start_after(self, position: int, *, default: int) -> int:
        """Give the start of the first block behind a position."""
        index = bisect_right(self._starts, position)
        return self._starts[index] if index < len(self._starts) else default

    def put(self, start: int, data: bytes) -> None:
        """Keep a block, and let go of others; the one that came last stays, however large."""
        if start in self._blocks:
            self._drop(start)
        if not data:
            return
        insort(self._starts, start)
        self._blocks[start] = data
        self._held += len(data)
        while self._held > self._most_bytes and len(self._blocks) > 1:
            self._drop(next(iter(self._blocks)))

    def _drop(self, start: int) -> None:
        self._held -= len(self._blocks.pop(start))
        self._starts.remove(start)

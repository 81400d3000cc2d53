"""What is to be written: bytes in memory, a file on disk, or an open file that may have no known end."""

from __future__ import annotations

import io
import os
import stat
import threading
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, Protocol

#: What :meth:`~s3bids.storage.base.Storage.write` takes.
Data = bytes | bytearray | memoryview | BinaryIO


class Source(Protocol):
    """Bytes to be written; they are taken once."""

    @property
    def size(self) -> int | None:
        """Bytes in all; None if only the end will tell."""
        ...

    def is_below(self, nbytes: int) -> bool:
        """Say whether there are fewer bytes than that."""
        ...

    def pieces(self, nbytes: int) -> Iterator[memoryview]:
        """Yield pieces of exactly `nbytes`, the last one shorter; none for an empty source."""
        ...

    def window(self) -> Window:
        """Give all as one file that can be rewound."""
        ...

    def windows(self, nbytes: int) -> Iterator[Window]:
        """Yield the pieces as such files, which may be read side by side."""
        ...


class Window(io.RawIOBase):
    """Bytes as a file that can be rewound: a client reads them for the signature, and again to send them.

    Parameters
    ----------
    size
        Bytes in all.
    read_at
        Gives bytes: called with a position and a number.
    """

    def __init__(self, size: int, read_at: Callable[[int, int], bytes]) -> None:
        super().__init__()
        self._size = size
        self._read_at = read_at
        self._at = 0

    def __len__(self) -> int:
        return self._size

    def readable(self) -> bool:
        """Say yes."""
        return True

    def seekable(self) -> bool:
        """Say yes."""
        return True

    def tell(self) -> int:
        """Give the position."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Change the position."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        """Read bytes; OSError if the file below has become shorter meanwhile."""
        rest = max(0, self._size - self._at)
        wanted = rest if size is None or size < 0 else min(size, rest)
        data = self._read_at(self._at, wanted)
        if len(data) < wanted:
            raise OSError("the file has become shorter while it was uploaded")
        self._at += wanted
        return data


def _window_of(view: memoryview) -> Window:
    """Give a view as a file; it is not copied as a whole."""
    return Window(len(view), lambda position, wanted: bytes(view[position : position + wanted]))


class MemorySource:
    """Bytes in memory, which are not copied."""

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        view = memoryview(data)
        # A view with gaps has no bytes in a row to send.
        self._view = view.cast("B") if view.c_contiguous and view.nbytes else memoryview(view.tobytes())

    @property
    def size(self) -> int:
        """Bytes in all."""
        return len(self._view)

    def is_below(self, nbytes: int) -> bool:
        """Say whether there are fewer bytes than that."""
        return self.size < nbytes

    def pieces(self, nbytes: int) -> Iterator[memoryview]:
        """Yield the bytes in pieces."""
        return (self._view[start : start + nbytes] for start in range(0, self.size, nbytes))

    def window(self) -> Window:
        """Give all as one file."""
        return _window_of(self._view)

    def windows(self, nbytes: int) -> Iterator[Window]:
        """Yield the pieces as files."""
        return map(_window_of, self.pieces(nbytes))


class FileSource:
    """An open binary file, from its position on.

    Parameters
    ----------
    file
        Anything that reads bytes. A file on disk says how large it is; of anything else only the end is known.
    """

    def __init__(self, file: Any) -> None:
        self._file = file
        self._start = 0
        self._size = self._rest_on_disk()
        self._head: bytes | None = None
        self._lock = threading.Lock()

    def _rest_on_disk(self) -> int | None:
        # Others have a fileno too, such as GzipFile, and it is that of another file.
        raw = getattr(self._file, "raw", self._file)
        if not isinstance(raw, io.FileIO) or not stat.S_ISREG(os.fstat(raw.fileno()).st_mode):
            return None
        self._start = self._file.tell()
        return max(0, os.fstat(raw.fileno()).st_size - self._start)

    @property
    def size(self) -> int | None:
        """Bytes in all, when this began; None if only the end will tell."""
        return self._size

    def is_below(self, nbytes: int) -> bool:
        """Say whether there are fewer bytes than that."""
        if self._size is not None:
            return self._size < nbytes
        if self._head is None:
            self._head = self._read(nbytes)
        return len(self._head) < nbytes

    def pieces(self, nbytes: int) -> Iterator[memoryview]:
        """Yield the bytes in pieces."""
        while piece := self._read(nbytes):
            yield memoryview(piece)

    def window(self) -> Window:
        """Give all as one file; what is not on disk is read into memory."""
        if self._size is None:
            return _window_of(memoryview(b"".join(self.pieces(io.DEFAULT_BUFFER_SIZE))))
        return self._window_at(0, self._size)

    def windows(self, nbytes: int) -> Iterator[Window]:
        """Yield the pieces as files; those of a file on disk are read when they are sent."""
        if self._size is None:
            return map(_window_of, self.pieces(nbytes))
        size = self._size
        return (self._window_at(start, min(nbytes, size - start)) for start in range(0, size, nbytes))

    def _window_at(self, start: int, size: int) -> Window:
        def read_at(position: int, wanted: int) -> bytes:
            with self._lock:
                self._file.seek(self._start + start + position)
                data: bytes = self._file.read(wanted)
            return data

        return Window(size, read_at)

    def _read(self, size: int) -> bytes:
        """Read exactly so many bytes, fewer at the end only."""
        found, self._head = self._head or b"", None
        if len(found) > size:
            found, self._head = found[:size], found[size:]
            return found
        parts = [found] if found else []
        missing = size - len(found)
        while missing and (piece := self._file.read(missing)):
            if not isinstance(piece, bytes | bytearray | memoryview):
                raise TypeError(f"a file to be written reads bytes, not {type(piece).__name__}; open it in binary mode")
            parts.append(bytes(piece))
            missing -= len(piece)
        return parts[0] if len(parts) == 1 else b"".join(parts)


def source_of(data: Data | Any) -> MemorySource | FileSource:
    """Give the source of some data; what is neither bytes nor an open binary file is TypeError."""
    if isinstance(data, bytes | bytearray | memoryview):
        return MemorySource(data)
    if isinstance(data, io.BytesIO):
        # All of it, whatever its position.
        return MemorySource(data.getbuffer())
    if isinstance(data, io.TextIOBase):
        raise TypeError("a file to be written must give bytes; open it in binary mode")
    if callable(getattr(data, "read", None)):
        return FileSource(data)
    kind = type(data).__name__
    raise TypeError(f"what is written is bytes, a bytearray, a memoryview or an open binary file, not {kind}")


__all__ = ["Data", "FileSource", "MemorySource", "Source", "Window", "source_of"]

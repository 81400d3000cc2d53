"""Where the bytes of an image come from: one object of a storage, or an open file of somebody else's file system."""

from __future__ import annotations

import io
import sys
import threading
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import ObjectChangedError, StorageConnectionError, StorageUnavailableError
from ..storage.capabilities import read_range

if TYPE_CHECKING:
    from ..storage.base import ObjectInfo, Storage

#: How often a range is asked for before a lost connection or a busy server is an error. The clients below wait and
#: ask again by themselves until an answer begins; this is for answers that break off.
ATTEMPTS = 3


class Source(Protocol):
    """Bytes that can be read by ranges, all of one version."""

    @property
    def name(self) -> str:
        """What it is called in messages."""
        ...

    @property
    def size(self) -> int | None:
        """Bytes in all; None as long as nothing has been read."""
        ...

    @property
    def version(self) -> str:
        """A text that is another one when the bytes are others; known after the first read."""
        ...

    @property
    def is_parallel(self) -> bool:
        """Whether several ranges may be read at once."""
        ...

    def read(self, start: int, end: int) -> bytes:
        """Read the bytes ``[start:end]``, which are fewer only where the object ends."""
        ...


class StorageSource:
    """One object of a storage, as it was at the first read. Serves many threads, and pickles.

    Every read after the first says which ETag it expects (``If-Match``); where a storage does not look at that, or has
    no ETags, the object of each answer is compared: its ETag, else its size and the time when it was written.
    """

    is_parallel = True

    def __init__(self, storage: Storage, key: str) -> None:
        self.storage = storage
        self.key = key
        self._info: ObjectInfo | None = None
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())

    @property
    def name(self) -> str:
        """The address of the object."""
        return f"{self.storage.location}/{self.key}"

    @property
    def size(self) -> int | None:
        """Bytes in all; None as long as nothing has been read."""
        return None if self._info is None else self._info.size

    @property
    def version(self) -> str:
        """The address with the ETag, else with size and time."""
        info = self._info
        if info is None:
            return self.name
        return f"{self.name} {info.etag or f'{info.size} {info.last_modified}'}"

    def read(self, start: int, end: int) -> bytes:
        """Read the bytes ``[start:end]``, which are fewer only where the object ends.

        Raises
        ------
        ObjectChangedError
            If the object is not the one of the first read.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._read_once(start, end)
            except (StorageConnectionError, StorageUnavailableError):
                if attempt == ATTEMPTS:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def _read_once(self, start: int, end: int) -> bytes:
        known = self._info
        try:
            data, found = read_range(self.storage, self.key, start, end, if_match=known.etag if known else None)
        except ObjectChangedError as error:
            raise self._changed() from error
        with self._lock:
            if self._info is None:
                self._info = found
        if not _is_same(self._info, found):
            raise self._changed()
        expected = max(0, min(end, found.size) - start)
        if len(data) != expected:
            raise StorageConnectionError(
                f"cannot read {self.name}: {len(data)} of the {expected} bytes from {start} on came; try again"
            )
        return data

    def _changed(self) -> ObjectChangedError:
        return ObjectChangedError(
            f"cannot read {self.name}: the object was replaced while it was being read; open it again"
        )


def _is_same(one: ObjectInfo, other: ObjectInfo) -> bool:
    if one.etag is not None and other.etag is not None:
        return one.etag == other.etag
    return (one.size, one.last_modified) == (other.size, other.last_modified)


class FileSource:
    """An open file: it has one position, so its ranges are read one after the other.

    Parameters
    ----------
    file
        Anything with ``read`` in binary; if it cannot seek, it is read whole.
    """

    is_parallel = False

    def __init__(self, file: Any, name: str) -> None:
        self.name = name
        seekable = getattr(file, "seekable", lambda: hasattr(file, "seek"))()
        self._file = file if seekable else io.BytesIO(file.read())
        self._lock = threading.Lock()
        self._file.seek(0, io.SEEK_END)
        self.size: int | None = self._file.tell()

    @property
    def version(self) -> str:
        """The name with the size: no more is known of a file."""
        return f"{self.name} {self.size}"

    def read(self, start: int, end: int) -> bytes:
        """Read the bytes ``[start:end]``, which are fewer only where the file ends."""
        pieces = []
        with self._lock:
            try:
                self._file.seek(start)
                while start < end and (piece := self._file.read(end - start)):
                    pieces.append(piece)
                    start += len(piece)
            except OSError as error:
                # s3fs has sent If-Match by itself.
                if type(error).__name__ != "FileExpired":
                    raise
                raise ObjectChangedError(
                    f"cannot read {self.name}: the object was replaced while it was being read; open it again"
                ) from error
        return b"".join(pieces)


def open_with(fs: Any, fname: str) -> FileSource:
    """Open a file of the caller's file system.

    Parameters
    ----------
    fs
        Any object with ``open(path, mode)``. One of fsspec, such as ``s3fs.S3FileSystem``, is told to fetch just the
        ranges that are asked for: by default s3fs fetches 50 MB for the first byte.
    """
    fsspec = sys.modules.get("fsspec")
    if fsspec is not None and isinstance(fs, fsspec.AbstractFileSystem):
        return FileSource(fs.open(fname, "rb", cache_type="none"), fname)
    return FileSource(fs.open(fname, "rb"), fname)
